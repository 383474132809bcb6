"""``nightpress history`` and ``nightpress restore``: the publications of a day, and publishing an earlier one again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from message_batches.command import connection
from message_batches.command.command_settings import read_settings
from message_batches.command.console import local_path, say, say_json
from message_batches.command.options import DEFAULT_PIPELINE, Day, Json, Pipeline, Root

if TYPE_CHECKING:
    from nightpress.days.publications import StoredPublication

_COLUMNS = ("publication", "replaced", "run", "articles", "answered", "cost")


def history(
    *,
    day: Day,
    pipeline: Pipeline = DEFAULT_PIPELINE,
    root: Root = "",
    as_json: Json = False,
) -> None:
    """List the kept publications of a day: which run made each, and what is in it.

    The first one is what readers see now. `nightpress restore` publishes another one again.

    Example: `nightpress history --day 2026-11-22`
    """
    from nightpress.days.publications import list_publications

    found = list_publications(connection.open_root(read_settings(), root), pipeline, day)
    if as_json:
        say_json([_plain(publication) for publication in found])
    elif not found:
        say(f"{pipeline} {day} was never published here.")
    else:
        _say_table([_COLUMNS, *map(_cells, found)])


def restore(
    *,
    day: Day,
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="NAME", help="The publication, as history shows it.", show_default=False
        ),
    ],
    pipeline: Pipeline = DEFAULT_PIPELINE,
    root: Root = "",
) -> None:
    """Publish an earlier publication of a day again; the one that it replaces is kept.

    Nothing is sent and nothing is paid.

    Exit code: 0 restored; 1 there is no such publication.

    Example: `nightpress restore --day 2026-11-22 --name 20261123T020304.567890Z-0123456789abcdef.parquet`
    """
    from nightpress.days.publications import restore_publication

    data = connection.open_root(read_settings(), root)
    restored = restore_publication(data, pipeline, day, name)
    say(
        f"Restored {local_path(str(data.answers(pipeline, day)))}: {restored.answered:,} of {restored.articles:,} "
        f"articles answered, published by run {restored.run or 'unknown'}."
    )
    say(f"Write the day's report again with: nightpress report --day {day}")


def _plain(publication: StoredPublication) -> dict[str, Any]:
    replaced = publication.replaced_at
    return {
        "name": publication.name,
        "current": publication.current,
        "replaced_at": None if replaced is None else replaced.isoformat(),
        "run": publication.run,
        "articles": publication.articles,
        "answered": publication.answered,
        "cost_usd": publication.cost_usd,
        "damaged": publication.damaged,
    }


def _cells(publication: StoredPublication) -> tuple[str, ...]:
    from nightpress.costs.money import dollars

    replaced = publication.replaced_at
    moment = "" if replaced is None else f"{replaced:%Y-%m-%d %H:%M:%S} UTC"
    if publication.damaged:
        return (publication.name, moment, "damaged: it cannot be read", "", "", "")
    return (
        publication.name,
        moment,
        publication.run or "unknown",
        f"{publication.articles:,}",
        f"{publication.answered:,}",
        dollars(publication.cost_usd),
    )


def _say_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
