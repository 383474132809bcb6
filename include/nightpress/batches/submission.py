"""Submit a shard so that it is paid for exactly once.

The API has no idempotency key, so what happened is worked out from three things that survive a crash:
the ledger, the list of batches, and the custom_ids in a batch's results, which name their shard::

    recorded batch? ── yes ─▶ attach
        │ no
    last POST known to be refused, or none yet? ── yes ─▶ take the right to POST ─▶ POST once
        │ no: its outcome is unknown                             │ 2xx ─▶ record   │ refused ─▶ say why
        ▼                                                        ▼ anything else: unknown, look below
    batches created since, with as many requests, owned by no other shard
        │ ended: its first result names this shard? ── yes ─▶ adopt and record
        │ running: wait for it (waiting costs nothing)
        │ none: wait until the POST's deadline and the listing's settling time are over ─▶ POST again

:func:`submit_shard` does one walk through this and returns; whoever calls it waits if asked to and calls
again. No step guesses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from nightpress.batches.batch import Batch
from nightpress.batches.client import BatchApi
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.refusals import read_failure
from nightpress.errors import LedgerError, ResultsError, UnknownOutcomeError
from nightpress.shards.requests import custom_id_prefix
from nightpress.storage import StoragePath

log = logging.getLogger(__name__)

POST_SECONDS = 600.0
"""How long a body may take to be sent; the SDK's own default time-out is the same."""

SETTLING_SECONDS = 60.0
"""How long after the last moment of a POST its batch may be missing from the list."""

CLOCK_MARGIN_SECONDS = 300.0
"""How far this machine's clock may be from the API's."""

UNKNOWN_RECHECK_SECONDS = 30.0
"""Between two looks for the batch of a POST whose outcome is unknown; another process may still be at it."""

RUNNING_RECHECK_SECONDS = 3600.0
"""How long to wait for running candidates before the list is read again."""

MAX_LOST_ATTEMPTS = 5
"""POSTs of one shard that may vanish before a person has to look."""


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


@dataclass(frozen=True, slots=True)
class Body:
    """The POST body of a shard.

    :param size: bytes, as staged; a file of another size is not sent.
    """

    path: StoragePath
    size: int


def submit_shard(
    intent: Entry, body: Body, api: BatchApi, ledger: Ledger, clock: Callable[[], float]
) -> Submitted | Wait:
    """Do what can be done now to give the shard exactly one batch.

    :param intent: the shard as it should be recorded; used when the ledger does not know it yet.
    :param clock: epoch seconds.
    :raises RequestRefusedError: no batch exists, and a retry cannot help.
    :raises SubmitLaterError: no batch exists, and a retry may help.
    :raises UnknownOutcomeError: a batch may exist; a retry looks for it first.
    :raises LedgerError: what is recorded cannot be trusted; a person decides.
    """
    entry = ledger.intend(intent)
    if (entry.requests, entry.bytes) != (intent.requests, intent.bytes):
        raise LedgerError(
            f"shard {entry.key[:16]} has {entry.requests} requests and {entry.bytes} bytes in the ledger, but "
            f"{intent.requests} and {intent.bytes} now; nothing was sent"
        )
    if entry.answered == 0 and entry.run != intent.run and intent.round > 1:
        entry = _start_over(entry, intent, ledger)
    if entry.batch_id is not None:
        return Submitted(entry.batch_id, "attached")
    if entry.attempts and entry.attempts[-1].outcome == "open":
        resolved = _resolve(entry, api, ledger, clock())
        if not isinstance(resolved, Entry):
            return resolved
        entry = resolved
    return _post(entry, body, api, ledger, clock)


def _start_over(entry: Entry, intent: Entry, ledger: Ledger) -> Entry:
    """Let another run send a second-round shard again whose batch ended without one answer, so unbilled.

    A first-round shard is not: its second round may have been answered, and is found by attaching to it.
    """
    log.info("batch %s of shard %s bought nothing; the shard is sent again", entry.batch_id, entry.key[:16])
    earlier = (*entry.earlier, *filter(None, [entry.batch_id]))
    return ledger.save(msgspec.structs.replace(intent, attempts=entry.attempts, earlier=earlier))


def _post(
    entry: Entry, body: Body, api: BatchApi, ledger: Ledger, clock: Callable[[], float]
) -> Submitted | Wait:
    _check_before_post(entry, body)
    now = clock()
    taken = ledger.take_attempt(entry, now, now + POST_SECONDS)
    if taken is None:
        return Wait("another process is submitting the same shard", now + SETTLING_SECONDS)
    name = entry.key[:16]
    log.info("POST of shard %s: %s requests, %s bytes", name, f"{entry.requests:,}", f"{body.size:,}")
    try:
        batch = api.create(body.path, body.size, deadline=now + POST_SECONDS)
    except Exception as error:
        refusal = read_failure(error)
        if refusal is None:
            # This POST is over, so a retry need not wait for its deadline.
            _mark(taken, ledger, "open", type(error).__name__, deadline=clock())
            raise UnknownOutcomeError(
                f"no usable answer to the POST of shard {name} ({type(error).__name__}): a batch may exist. "
                "A retry looks for it before anything is sent again."
            ) from error
        _mark(taken, ledger, "refused", refusal.message)
        raise refusal.error(f"shard {name} was not accepted, and no batch exists: ") from error
    return record_batch(taken, batch, ledger, "created")


def _check_before_post(entry: Entry, body: Body) -> None:
    actual = body.path.stat().st_size
    if actual != body.size:
        raise LedgerError(
            f"{body.path} has {actual:,} bytes, the shard {body.size:,}: it was changed after it was staged. "
            "Nothing was sent; read the articles again."
        )
    if sum(attempt.outcome == "lost" for attempt in entry.attempts) >= MAX_LOST_ATTEMPTS:
        raise UnknownOutcomeError(
            f"shard {entry.key[:16]} was POSTed {MAX_LOST_ATTEMPTS} times without an answer, and no batch was "
            "ever found; nothing more is sent until a person has looked at the API's list of batches"
        )


def _resolve(entry: Entry, api: BatchApi, ledger: Ledger, now: float) -> Submitted | Wait | Entry:
    """Find out what became of the last POST; return the entry when it is certain that nothing did."""
    since = entry.attempts[0].at - CLOCK_MARGIN_SECONDS
    running = []
    for batch in iter_candidates(entry, api, ledger, since):
        if ledger.owner(batch.id) == entry.key or (batch.ended and is_ours(entry, batch, api)):
            return record_batch(entry, batch, ledger, "adopted")
        if not batch.ended:
            running.append(batch.id)
    if running:
        why = f"{len(running)} running batch(es) could be this shard's; their results will tell"
        return Wait(why, now + RUNNING_RECHECK_SECONDS, tuple(running))
    settled = entry.attempts[-1].deadline + SETTLING_SECONDS
    if now < settled:
        why = "the outcome of a POST is unknown, and its batch may still appear in the list"
        return Wait(why, min(settled, now + UNKNOWN_RECHECK_SECONDS))
    log.warning("no batch came of the last POST of shard %s; it is sent again", entry.key[:16])
    return _mark(entry, ledger, "lost", "no batch of it in the list after the settling time")


def iter_candidates(entry: Entry, api: BatchApi, ledger: Ledger, since: float) -> Iterator[Batch]:
    """Yield batches that could be this shard's: young enough, as many requests, not another shard's.

    :param since: epoch seconds; older batches are not looked at.
    """
    after_id: str | None = None
    while True:
        page = api.list(after_id=after_id)
        for batch in page.data:
            if batch.created_at.timestamp() < since:
                return
            if batch.id in entry.earlier or batch.request_counts.total != entry.requests:
                continue
            if ledger.owner(batch.id) in {None, entry.key}:
                yield batch
        if not page.has_more or page.last_id is None:
            return
        after_id = page.last_id


def is_ours(entry: Entry, batch: Batch, api: BatchApi) -> bool:
    """Prove by the first custom_id of its results whether an ended batch is this shard's.

    :raises UnknownOutcomeError: its results cannot be read, so it cannot be told.
    """
    try:
        head = _first_line(api.stream_results(batch))
    except ResultsError as error:
        raise UnknownOutcomeError(
            f"batch {batch.id} could be that of shard {entry.key[:16]}, and its results cannot be read to tell "
            f"({error}). Nothing is sent."
        ) from error
    try:
        first = _decode_head(head).custom_id
    except msgspec.MsgspecError as error:
        raise UnknownOutcomeError(
            f"the first result of batch {batch.id} cannot be read ({error}), so it cannot be told whether it is "
            f"that of shard {entry.key[:16]}. Nothing is sent; a retry reads it again."
        ) from None
    return first.startswith(custom_id_prefix(entry.key))


class _Head(msgspec.Struct):
    custom_id: str


_decode_head = msgspec.json.Decoder(_Head).decode


def _first_line(stream: Iterator[bytes]) -> bytes:
    head = b""
    for chunk in stream:
        head += chunk
        if b"\n" in head.lstrip(b"\n"):
            break
    return head.lstrip(b"\n").partition(b"\n")[0]


def record_batch(entry: Entry, batch: Batch, ledger: Ledger, how: str) -> Submitted:
    """Make the shard the batch's owner and store the batch in its entry.

    :param how: ``created`` or ``adopted``.
    :raises LedgerError: another shard owns the batch.
    """
    if not ledger.take_batch(batch.id, entry.key):
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
            submitted_at=batch.created_at,
        )
    )
    log.info("shard %s is batch %s (%s)", entry.key[:16], batch.id, how)
    return Submitted(batch.id, how)


def _mark(entry: Entry, ledger: Ledger, outcome: str, detail: str, deadline: float | None = None) -> Entry:
    last = entry.attempts[-1]
    last = msgspec.structs.replace(
        last, outcome=outcome, detail=detail[:500], deadline=last.deadline if deadline is None else deadline
    )
    return ledger.save(msgspec.structs.replace(entry, attempts=(*entry.attempts[:-1], last)))
