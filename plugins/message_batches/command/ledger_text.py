"""How ``nightpress ledger`` shows shards: tables, questions and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from message_batches.command.console import local_path, say
from nightpress.batches import manual_ledger
from nightpress.errors import NightpressError
from nightpress.layout import DataRoot

if TYPE_CHECKING:
    from nightpress.batches.batch import Batch
    from nightpress.storage import StoragePath

_MAX_QUESTIONS = 20
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def say_empty(folder: StoragePath, *, filtered: bool, open_only: bool) -> str:
    """Return what is said when no shard is listed."""
    if filtered:
        what = "Nothing is open" if open_only else "No shard of the ledger matches"
        return f"{what} (looked in {local_path(str(folder))}). Without filters, all shards are listed."
    return (
        f"The ledger is empty ({local_path(str(folder))}): nothing was ever submitted from this data root. "
        "Another root is named with --root or NIGHTPRESS_ROOT."
    )


def print_questions(questions: Sequence[manual_ledger.OpenQuestion]) -> None:
    """Print what a person may have to decide."""
    if not questions:
        return
    say(f"{len(questions)} open question(s): a batch may exist that is paid for and not collected.\n")
    for question in questions[:_MAX_QUESTIONS]:
        say(f"  {question.key[:16]}  seen:    {question.seen}")
        say(f"  {'':16}  next:    {question.next}")
        say(f"  {'':16}  you can: {question.options}\n")
    if len(questions) > _MAX_QUESTIONS:
        more = len(questions) - _MAX_QUESTIONS
        say(f"  … and {more} more; `--open` lists them, `show KEY` explains one\n")


def print_table(lines: Sequence[manual_ledger.LedgerLine], now: float) -> None:
    """Print one line for each shard, and the totals."""
    head = ("key", "state", "pipeline", "day", "requests", "batch", "age", "attempts", "api")
    rows = [_row(line, now) for line in lines]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    right = {"requests", "age", "attempts"}
    for row in (head, *rows):
        cells = (
            f"{text:>{width}}" if name in right else f"{text:<{width}}"
            for name, text, width in zip(head, row, widths, strict=True)
        )
        say("  ".join(cells).rstrip())
    counts = Counter(line.state for line in lines)
    states = ", ".join(
        f"{counts[state]:,} {show_state(state)}" for state in manual_ledger.STATES if counts[state]
    )
    requests = sum(line.entry.requests for line in lines)
    shards = "1 shard" if len(lines) == 1 else f"{len(lines):,} shards"
    say(f"\n{shards}, {requests:,} requests: {states}")


def _row(line: manual_ledger.LedgerLine, now: float) -> tuple[str, ...]:
    entry = line.entry
    batch = (entry.batch_id or "-") + (" (adopted)" if entry.adopted else "")
    return (
        entry.key[:16],
        show_state(line.state),
        entry.pipeline or "-",
        entry.day or "-",
        f"{entry.requests:,}",
        batch,
        _age(line.since, now),
        str(len(entry.attempts)),
        line.scope,
    )


def show_state(state: str) -> str:
    """Return a state as it is shown; what needs a person is in capitals."""
    return state.upper() if state in {"open", "damaged"} else state


def _age(since: float | None, now: float) -> str:
    if since is None:
        return "-"
    seconds = max(0, int(now - since))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def as_json(
    lines: Sequence[manual_ledger.LedgerLine], questions: Sequence[manual_ledger.OpenQuestion], now: float
) -> dict[str, Any]:
    """Return shards, totals and open questions as plain values."""
    entries = [
        {"api": line.scope, "state": line.state, "age_seconds": line.since and round(now - line.since, 3)}
        | {"entry": msgspec.to_builtins(line.entry)}
        | ({"problem": line.problem} if line.problem else {})
        for line in lines
    ]
    return {
        "entries": entries,
        "totals": {state: sum(line.state == state for line in lines) for state in manual_ledger.STATES},
        "requests": sum(line.entry.requests for line in lines),
        "questions": [
            {"key": question.key, "seen": question.seen, "next": question.next, "options": question.options}
            for question in questions
        ],
    }


def print_shard(line: manual_ledger.LedgerLine, batches: Sequence[str], root: DataRoot) -> None:
    """Print everything that is known of a shard."""
    entry = line.entry
    adopted = " (adopted: its POST was never answered)" if entry.adopted else ""
    facts = [
        ("key", entry.key),
        ("api", line.scope),
        ("state", show_state(line.state)),
        ("requests", f"{entry.requests:,}, {entry.bytes:,} bytes"),
        ("pipeline", f"{entry.pipeline or '-'}, day {entry.day or '-'}, run {entry.run or '-'}"),
        ("batch", (entry.batch_id or "-") + adopted),
        ("owns", ", ".join(batches) or "no batch"),
        ("earlier", ", ".join(entry.earlier) + " (no answers)" if entry.earlier else "-"),
        ("submitted", manual_ledger.utc(entry.submitted_at)),
        ("ended", manual_ledger.utc(entry.ended_at)),
        ("collected", manual_ledger.utc(entry.collected_at)),
    ]
    if entry.accepted is not None:
        taken = entry.accepted
        at = manual_ledger.utc(taken.at)
        facts.append(("accepted", f"{taken.lines:,} lines of results of {taken.batch_id}, at {at}"))
    files = [("body", entry.uri), ("raw", entry.raw or ""), ("results", entry.results or "")]
    facts += [(name, _describe_file(uri, root)) for name, uri in files if uri]
    for attempt in entry.attempts:
        detail = f": {attempt.detail}" if attempt.detail else ""
        at = manual_ledger.utc(attempt.at)
        facts.append(("attempt", f"{attempt.number} at {at}, {attempt.outcome}{detail}"))
    if not entry.attempts:
        facts.append(("attempt", "none: it was never POSTed"))
    for name, value in facts:
        say(f"{name:<10} {value}")


def _describe_file(uri: str, root: DataRoot) -> str:
    try:
        path = root.open(uri)
        return f"{uri} ({path.stat().st_size:,} bytes)" if path.exists() else f"{uri} (GONE)"
    except (OSError, NightpressError) as error:
        return f"{uri} (cannot be looked at: {error})"


def describe_adopted(line: manual_ledger.LedgerLine, batch: Batch, proved: bool) -> str:
    """Return what was recorded, and on what grounds."""
    short = line.entry.key[:16]
    if proved:
        return f"Shard {short} is batch {batch.id}: the same number of requests, and its results name this shard."
    return (
        f"Shard {short} is batch {batch.id} on your word: the same number of requests, but it is "
        f"{batch.processing_status} and cannot be proved. If it is another's, this shard's articles come out as "
        "missing, and a batch of its own that may exist is paid for and never collected."
    )


def describe_batch(batch: Batch) -> str:
    """Return what tells a batch from others at the API."""
    created = manual_ledger.utc(batch.created_at)
    return (
        f"{batch.id}, {batch.request_counts.total:,} requests, {batch.processing_status}, created {created}"
    )
