"""``nightpress prune``: what grows on disk, and removing what nothing needs any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from message_batches.command import connection
from message_batches.command.command_settings import read_settings
from message_batches.command.console import say, say_json
from message_batches.command.options import Json, Root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightpress.runs.stored_files import StoredAmount


def prune(
    *,
    days: Annotated[
        int, typer.Option("--days", help="Only runs of which nothing changed for this many days.")
    ] = 30,
    replaced_days: Annotated[
        int | None,
        typer.Option(
            "--replaced-days",
            help="Also results of runs whose day another run has published since, after so many days, 30 or more "
            "(default: they are kept). The API no longer has them, so they cannot be downloaded again.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without --yes nothing is changed.")] = False,
    root: Root = "",
    as_json: Json = False,
) -> None:
    """Show what is stored and what can be removed; remove it with --yes.

    Never removed: ledger, receipts, reports, inboxes, published days and their earlier publications, what those were
    made of, and everything of a run with a batch that is not collected. Nothing is ever paid twice because of it.

    Exit code: 0 done; 1 the ledger cannot be read, so it is unclear what is needed.

    Example: `nightpress prune --days 60`
    """
    from nightpress.runs.prune import PruneRules, plan_prune, remove_unneeded
    from nightpress.runs.stored_files import StoredAmount

    data, rules = connection.open_root(read_settings(), root), PruneRules(days, replaced_days)
    plan = plan_prune(data, rules, time.time())
    going = {
        reason: StoredAmount(len(files), sum(file.size_bytes for file in files))
        for reason, files in plan.going.items()
    }
    removed = StoredAmount()
    if yes:
        for _, file in remove_unneeded(data, rules, time.time()):
            removed = StoredAmount(removed.files + 1, removed.size_bytes + file.size_bytes)
    if as_json:
        say_json(
            {
                "stored": _plain(plan.usage),
                "may_go": _plain(going),
                "kept_runs": dict(plan.kept),
                "removed": {"files": removed.files, "bytes": removed.size_bytes} if yes else None,
            }
        )
        return
    _say_usage("Stored now", plan.usage)
    _say_usage("May go", going)
    for reason, runs in plan.kept.items():
        say(f"Kept: {runs:,} run(s) {reason}.")
    if yes:
        say(f"Removed {removed.files:,} files, {size_text(removed.size_bytes)}.")
    elif plan.total.files:
        say("Nothing was removed. Remove it with the same command and --yes.")


def _plain(usage: Mapping[str, StoredAmount]) -> dict[str, Any]:
    return {kind: {"files": each.files, "bytes": each.size_bytes} for kind, each in usage.items()}


def _say_usage(title: str, usage: Mapping[str, StoredAmount]) -> None:
    say(f"{title}: {size_text(sum(each.size_bytes for each in usage.values()))}")
    for kind, each in usage.items():
        say(f"  {size_text(each.size_bytes):>10}  {each.files:>9,} files  {kind}")


def size_text(size_bytes: float) -> str:
    """Return a size as people read it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1_000:
            return f"{size_bytes:,.0f} {unit}" if unit == "bytes" else f"{size_bytes:,.1f} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:,.1f} TB"
