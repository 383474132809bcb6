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
        │ none, but the list may not show all batches of the workspace ─▶ say so; a person decides
        │ none: wait until the POST's deadline and the listing's settling time are over ─▶ POST again

That no batch exists is decided by the API's time alone (the ``Date`` of its responses): this machine's clock
may be wrong, and may have been right when the POST was made. It is decided only for the workspace in which the
POST was made, since a list shows one workspace.

:func:`submit_shard` goes through this once and returns; whoever calls it waits if asked to and calls
again. No step guesses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from nightpress.batches.api_facts import Identity
from nightpress.batches.batch import Batch
from nightpress.batches.batch_api import BatchApi
from nightpress.batches.candidates import Oddities, earliest_creation, is_ours, iter_candidates
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.redaction import describe_error
from nightpress.batches.refusals import is_account_trouble, read_failure
from nightpress.batches.streamed_body import POST_SECONDS
from nightpress.errors import ApiReplyError, LedgerError, UnknownOutcomeError
from nightpress.storage import StoragePath

log = logging.getLogger(__name__)

SETTLING_SECONDS = 60.0
"""How long after the last moment of a POST its batch may be missing from the list."""

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


def submit_shard(  # noqa: PLR0917 - the shard, and where it goes
    intent: Entry,
    body: Body,
    api: BatchApi,
    ledger: Ledger,
    clock: Callable[[], float],
    check_before_post: Callable[[], object] | None = None,
) -> Submitted | Wait:
    """Take the next step towards exactly one batch for the shard, and return.

    :param intent: the shard as it should be recorded; used when the ledger does not know it yet.
    :param clock: epoch seconds.
    :param check_before_post: raises what forbids a POST; called when it is certain that the shard has no batch.
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
    if _may_start_over(entry, intent):
        entry = _start_over(entry, intent, ledger)
    if entry.batch_id is not None:
        return Submitted(entry.batch_id, "attached")
    if entry.attempts and entry.attempts[-1].outcome == "open":
        resolved = _resolve(entry, api, ledger, clock())
        if not isinstance(resolved, Entry):
            return resolved
        entry = resolved
    if check_before_post is not None:
        check_before_post()
    return _post(entry, body, api, ledger, clock, betas=intent.betas)


def _may_start_over(entry: Entry, intent: Entry) -> bool:
    """Tell whether a second-round shard whose batch got no answers is sent again.

    By another run; and by the same run when the account was the cause of every error, since it ran on only
    because a person has cleared the trouble.
    """
    if entry.answered != 0 or intent.round <= 1:
        return False
    return entry.run != intent.run or _is_account_trouble_only(entry)


def _is_account_trouble_only(entry: Entry) -> bool:
    messages = {example.kind: example.message for example in entry.examples}
    return bool(entry.errors) and all(is_account_trouble(kind, messages.get(kind)) for kind in entry.errors)


def _start_over(entry: Entry, intent: Entry, ledger: Ledger) -> Entry:
    """Send a second-round shard again whose batch ended without one answer, so unbilled.

    A first-round shard is not: its second round may have been answered, and is found by attaching to it.
    """
    log.info("batch %s of shard %s got no answers; the shard is sent again", entry.batch_id, entry.key[:16])
    earlier = (*entry.earlier, *filter(None, [entry.batch_id]))
    return ledger.save(msgspec.structs.replace(intent, attempts=entry.attempts, earlier=earlier))


def _post(
    entry: Entry,
    body: Body,
    api: BatchApi,
    ledger: Ledger,
    clock: Callable[[], float],
    *,
    betas: tuple[str, ...],
) -> Submitted | Wait:
    _check_before_post(entry, body)
    identity = api.identify()
    now = clock()
    taken = ledger.take_attempt(
        entry,
        now,
        now + POST_SECONDS,
        identity=identity,
        api_now=api.time(),
        listed=api.listed,
    )
    if taken is None:
        return Wait("another process is submitting the same shard", now + SETTLING_SECONDS)
    name = entry.key[:16]
    log.info("POST of shard %s: %s requests, %s bytes", name, f"{entry.requests:,}", f"{body.size:,}")
    try:
        batch = api.create(body.path, body.size, deadline=now + POST_SECONDS, betas=betas)
    except Exception as error:
        refusal = read_failure(error)
        if refusal is None:
            # This POST is over, so a retry need not wait for its deadline.
            _end_post(taken, ledger, type(error).__name__, clock(), api.time())
            raise UnknownOutcomeError(
                f"no usable answer to the POST of shard {name} ({describe_error(error)}): a batch may exist. "
                "A retry looks for it before anything is sent again."
            ) from error
        _mark(taken, ledger, "refused", refusal.message)
        raise refusal.error(f"shard {name} was not accepted, and no batch exists: ") from error
    return record_batch(taken, batch, ledger, "created", api.identify())


def _check_before_post(entry: Entry, body: Body) -> None:
    try:
        actual = body.path.stat().st_size
    except FileNotFoundError:
        raise LedgerError(
            f"{body.path}, the body of shard {entry.key[:16]}, is gone; nothing was sent. Read the articles again.",
            code="body_gone",
        ) from None
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
    """Find out what the last POST did; return the entry when it is certain that it created no batch."""
    running, odd = [], Oddities()
    try:
        api.identify()
        # Taken before the list is read: what the list does not show later counts from here.
        api_now = api.time()
        for batch in iter_candidates(entry, api, ledger, earliest_creation(entry), odd):
            if ledger.owner(batch.id) == entry.key or (batch.ended and is_ours(entry, batch, api)):
                return record_batch(entry, batch, ledger, "adopted", api.identify())
            if not batch.ended:
                running.append(batch.id)
    except Exception as error:
        raise _cannot_look(entry, error) from error
    if running:
        why = f"{len(running)} running batch(es) could be this shard's; their results will tell"
        return Wait(why, now + RUNNING_RECHECK_SECONDS, tuple(running))
    waited = _wait_for_settling(entry, api_now, ledger, now)
    if waited is not None:
        return waited
    _check_same_workspace(entry, api.identify())
    odd.check(entry)
    log.warning("no batch came of the last POST of shard %s; it is sent again", entry.key[:16])
    return _mark(entry, ledger, "lost", "no batch of it in the list after the settling time")


def _wait_for_settling(entry: Entry, api_now: float | None, ledger: Ledger, now: float) -> Wait | None:
    """Return how long to wait until the absence of a batch means that there is none; None when it does.

    The API's time decides. This machine's can only delay: while it says that too little has passed since the
    POST, there is a wait, so that one response with a wrong ``Date`` does not decide alone.
    """
    last = entry.attempts[-1]
    if api_now is None:
        raise UnknownOutcomeError(
            f"no batch of shard {entry.key[:16]} is in the API's list, but the API's responses do not tell its "
            "time (no Date header), and this machine's clock is not trusted to tell that none will appear. "
            "Nothing is sent; a person has to look at the API's list of batches.",
            code="api_time_unknown",
        )
    if last.api_deadline is None:
        # The POST was made before the API's time was known: it is over this long from now at the latest.
        last = msgspec.structs.replace(last, api_at=api_now, api_deadline=api_now + POST_SECONDS)
        ledger.save(msgspec.structs.replace(entry, attempts=(*entry.attempts[:-1], last)))
    assert last.api_deadline is not None
    remaining = last.api_deadline + SETTLING_SECONDS - api_now
    settled = last.deadline + SETTLING_SECONDS
    if last.at <= now < settled:
        remaining = max(remaining, settled - now)
    if remaining <= 0:
        return None
    why = "the outcome of a POST is unknown, and its batch may still appear in the list"
    return Wait(why, now + min(remaining, UNKNOWN_RECHECK_SECONDS))


def _check_same_workspace(entry: Entry, seen: Identity) -> None:
    """Make sure that the list shows the workspace in which the POST was made.

    :raises UnknownOutcomeError: it shows another, or it is not known of one of the two.
    """
    last = entry.attempts[-1]
    posted = Identity(last.organization_id, last.workspace_id)
    if (posted.organization_id, posted.workspace_id) == (seen.organization_id, seen.workspace_id):
        return
    raise UnknownOutcomeError(
        f"a POST of shard {entry.key[:16]} was made in {posted}, and the connection now shows the batches of "
        f"{seen}: that its list holds no batch of the shard proves nothing. Nothing is sent. Give the connection "
        "a key of the first workspace, or decide by hand in the ledger.",
        code="other_workspace",
    )


def _cannot_look(entry: Entry, error: Exception) -> Exception:
    """Return the error to raise when the list cannot be read; errors of the project stay as they are."""
    import anthropic

    if not isinstance(error, (anthropic.APIError, ApiReplyError)):
        return error
    return UnknownOutcomeError(
        f"the outcome of a POST of shard {entry.key[:16]} is unknown, and the API's list of batches cannot be "
        f"read to find it ({describe_error(error)}). Nothing is sent; a retry looks again."
    )


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


def _mark(entry: Entry, ledger: Ledger, outcome: str, detail: str) -> Entry:
    last = msgspec.structs.replace(entry.attempts[-1], outcome=outcome, detail=detail[:500])
    return ledger.save(msgspec.structs.replace(entry, attempts=(*entry.attempts[:-1], last)))


def _end_post(entry: Entry, ledger: Ledger, detail: str, now: float, api_now: float | None) -> None:
    """Store that a POST is over without a known outcome."""
    last = entry.attempts[-1]
    api_deadline = last.api_deadline
    if api_now is not None:
        api_deadline = api_now if api_deadline is None else min(api_now, api_deadline)
    last = msgspec.structs.replace(last, detail=detail[:500], deadline=now, api_deadline=api_deadline)
    ledger.save(msgspec.structs.replace(entry, attempts=(*entry.attempts[:-1], last)))
