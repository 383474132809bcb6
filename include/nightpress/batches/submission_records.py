"""What the ledger keeps of a shard's submission: its batch, and the outcome of each POST."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from nightpress.batches.api_facts import Identity
from nightpress.batches.batch import Batch
from nightpress.batches.ledger import Entry, Ledger
from nightpress.errors import LedgerError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The shard has its batch.

    :param how: ``created``, ``attached`` (known from before) or ``adopted`` (found and proved).
    """

    batch_id: str
    how: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be decided yet; call again when all ``batch_ids`` have ended or at ``until``.

    :param batch_ids: batches that are still running and could be this shard's.
    :param until: epoch seconds.
    """

    why: str
    until: float
    batch_ids: tuple[str, ...] = ()


def record_batch(
    entry: Entry, batch: Batch, ledger: Ledger, how: str, identity: Identity | None = None
) -> Submitted:
    """Make the shard the batch's owner and store the batch in its entry.

    :param how: ``created`` or ``adopted``.
    :param identity: whose batch it is.
    :raises LedgerError: another shard owns the batch.
    """
    identity = identity or Identity()
    if not ledger.take_batch(batch.id, entry.key, identity):
        raise LedgerError(
            f"batch {batch.id} belongs to shard {ledger.owner(batch.id)} in the ledger, yet it was created for "
            f"shard {entry.key}; a person has to look"
        )
    attempts = entry.attempts
    if attempts and attempts[-1].outcome != "refused":
        attempts = (*attempts[:-1], msgspec.structs.replace(attempts[-1], outcome="accepted"))
    ledger.save(
        msgspec.structs.replace(
            entry,
            attempts=attempts,
            batch_id=batch.id,
            adopted=how == "adopted",
            submitted_at=batch.created_at or datetime.now(UTC),
            organization_id=identity.organization_id,
            workspace_id=identity.workspace_id,
        )
    )
    log.info("shard %s is batch %s (%s)", entry.key[:16], batch.id, how)
    return Submitted(batch.id, how)


def mark_attempt(entry: Entry, ledger: Ledger, outcome: str, detail: str) -> Entry:
    """Store the outcome of the last POST: ``refused`` or ``lost``."""
    last = msgspec.structs.replace(entry.attempts[-1], outcome=outcome, detail=detail[:500])
    return ledger.save(msgspec.structs.replace(entry, attempts=(*entry.attempts[:-1], last)))


def end_post(entry: Entry, ledger: Ledger, detail: str, now: float, api_now: float | None) -> None:
    """Store that a POST is over without a known outcome."""
    last = entry.attempts[-1]
    api_deadline = last.api_deadline
    if api_now is not None:
        api_deadline = api_now if api_deadline is None else min(api_now, api_deadline)
    last = msgspec.structs.replace(last, detail=detail[:500], deadline=now, api_deadline=api_deadline)
    ledger.save(msgspec.structs.replace(entry, attempts=(*entry.attempts[:-1], last)))
