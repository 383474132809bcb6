"""``nightpress replay``: rebuild a published day from its kept results, without the API."""

from __future__ import annotations

from typing import Annotated

import typer

from message_batches.command import connection
from message_batches.command.command_settings import read_settings
from message_batches.command.console import say
from message_batches.command.options import DEFAULT_PIPELINE, Day, Pipeline, Root


def replay(
    *,
    day: Day,
    pipeline: Pipeline = DEFAULT_PIPELINE,
    root: Root = "",
    check: Annotated[bool, typer.Option("--check", help="Only compare; write nothing.")] = False,
) -> None:
    """Rebuild a published day from its kept raw results, without the API.

    Exit code: 0 the day is as it was, or was repaired; 1 it cannot be rebuilt or (with --check) differs.

    Example: `nightpress replay --day 2026-11-22 --check`
    """
    from nightpress.days.replay import replay_day

    report = replay_day(
        connection.open_root(read_settings(), root),
        pipeline,
        day,
        tell=say,
        write=not check,
    )
    if report.equal:
        say("Nothing changed: every row is as it was.")
    elif check:
        say("The kept results give other rows than the files that are there; nothing was written.")
        raise typer.Exit(1)
    else:
        say("The files above that differed or were gone were replaced.")
