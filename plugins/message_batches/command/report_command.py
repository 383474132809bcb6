"""``nightpress report``: write a day's report again, from what is published, without Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from message_batches.command import connection
from message_batches.command.command_settings import read_settings
from message_batches.command.console import local_path, say, warn
from message_batches.command.options import Day, Root, read_pipeline

if TYPE_CHECKING:
    from nightpress.reports.day.write_day_report import WrittenReport


def report(
    *,
    day: Day,
    pipeline: Annotated[
        str,
        typer.Option(
            "--pipeline",
            metavar="NAME",
            parser=read_pipeline,
            help="Only this pipeline (default: all that published the day).",
            show_default=False,
        ),
    ] = "",
    root: Root = "",
) -> None:
    """Write a day's report again, from what is published, without Airflow.

    Exit code: 0 written, also when it says that nothing was published; 1 the day's answers are damaged.

    Example: `nightpress report --day 2026-11-22`
    """
    from nightpress.errors import ConfigurationError, NightpressError
    from nightpress.reports.day.write_day_report import write_report

    data = connection.open_root(read_settings(), root)
    try:
        written = write_report(data, day, pipelines=[pipeline] if pipeline else None)
    except ConfigurationError:
        raise
    except (NightpressError, OSError) as error:
        warn(f"no report: {error}")
        raise typer.Exit(1) from None
    for line in _describe(written):
        say(line)


def _describe(written: WrittenReport) -> list[str]:
    from nightpress.costs.money import paid_in_words
    from nightpress.reports.wording import counted

    lines = [f"{name} has not published {written.day}; the report says so." for name in written.absent]
    if not written.pipelines and not written.absent:
        lines.append(f"Nothing was published for {written.day}; the report says so.")
    if written.pipelines:
        lines.append(
            f"{', '.join(written.pipelines)}: {counted(written.articles, 'article')}, {written.succeeded:,} answered, "
            f"{written.failed:,} failed, "
            f"{paid_in_words(written.paid_usd, written.known_paid_usd, written.unknown_requests)} paid"
            + (" (offline API: nothing was billed)" if written.offline else "")
        )
    return [
        *lines,
        f"Report: {local_path(written.report_uri)}",
        f"        {local_path(written.markdown_uri)}",
    ]
