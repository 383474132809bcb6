"""Accept by hand that a batch has fewer results than requests."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from nightpress.batches.ledger import Entry, Ledger, check_unchanged
from nightpress.batches.ledger_records import AcceptedResults
from nightpress.batches.manual_ledger import LedgerLine
from nightpress.errors import LedgerError


def check_acceptable(line: LedgerLine, lines: int) -> str:
    """Return the id of the batch whose results may be accepted though they are short.

    :param lines: lines of results that could be read.
    :raises LedgerError: the shard has no batch whose results are awaited, or the number is not below its requests.
    """
    entry, short = line.entry, line.entry.key[:16]
    if line.state == "damaged":
        raise LedgerError(line.problem)
    if entry.batch_id is None:
        raise LedgerError(f"shard {short} is {line.state}: it has no batch whose results could be short")
    if entry.collected_at is not None:
        raise LedgerError(
            f"shard {short} is collected already; results of batch {entry.batch_id} are not read again. Nothing was "
            "changed."
        )
    if not 0 < lines < entry.requests:
        raise LedgerError(
            f"{lines:,} lines are not between 1 and {entry.requests - 1:,}, as shard {short} has {entry.requests:,} "
            "requests: give the number that the message of the failed task names. Nothing was changed."
        )
    return entry.batch_id


def accept_short(line: LedgerLine, lines: int, ledger: Ledger, now: float) -> Entry:
    """Record a person's word that the shard's batch has no more results than ``lines``; return the entry.

    :param now: epoch seconds.
    :raises LedgerError: see :func:`check_acceptable`; or the entry has changed since it was looked at.
    """
    batch_id = check_acceptable(line, lines)
    check_unchanged(line.entry, ledger.load(line.entry.key))
    accepted = AcceptedResults(batch_id, lines, datetime.fromtimestamp(now, UTC))
    return ledger.save(msgspec.structs.replace(line.entry, accepted=accepted))
