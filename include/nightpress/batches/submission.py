"""Submit a shard so that it is paid for exactly once.

The API has no idempotency key, so the state is found from three sources that survive a crash:
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

:mod:`nightpress.batches.unknown_outcome` finds out the outcome of a POST, and
:mod:`nightpress.batches.submission_records` stores it.

:func:`submit_shard` goes through this once and returns; the caller waits if asked to, and calls again.
No step guesses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from nightpress.batches.batch_api import BatchApi
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.redaction import describe_error
from nightpress.batches.refusals import is_account_trouble, read_failure
from nightpress.batches.streamed_body import POST_SECONDS, read_beginning
from nightpress.batches.submission_records import Submitted, Wait, end_post, mark_attempt, record_batch
from nightpress.batches.unknown_outcome import SETTLING_SECONDS, resolve_last_post
from nightpress.errors import LedgerError, NightpressError, UnknownOutcomeError
from nightpress.shards.request_keys import custom_id_prefix
from nightpress.shards.shard import has_no_second_round
from nightpress.storage import StoragePath

log = logging.getLogger(__name__)


MAX_LOST_ATTEMPTS = 5
"""POSTs of one shard that may be lost before a person has to decide."""


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
    check_taken: Callable[[str], object] | None = None,
) -> Submitted | Wait:
    """Take the next step towards exactly one batch for the shard, and return.

    :param intent: the shard as it should be recorded; used when the ledger does not know it yet.
    :param clock: epoch seconds.
    :param check_before_post: raises an error to forbid a POST; called once it is certain that the shard has no batch.
    :param check_taken: the same, called with the token of the attempt once its right to POST is taken, which every
        other process can see.
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
        resolved = resolve_last_post(entry, api, ledger, clock())
        if not isinstance(resolved, Entry):
            return resolved
        entry = resolved
    if check_before_post is not None:
        check_before_post()
    return _post(entry, body, api, ledger, clock, betas=intent.betas, check_taken=check_taken)


def _may_start_over(entry: Entry, intent: Entry) -> bool:
    """Return whether a shard whose batch got no answers is sent again: of a second round, or of hand-made requests.

    Another run sends it again. The same run does so only when the account caused every error, since it went on
    only because a person has fixed the account.
    """
    if entry.answered != 0 or not (intent.round > 1 or has_no_second_round(intent.uri)):
        return False
    return entry.run != intent.run or _is_account_trouble_only(entry)


def _is_account_trouble_only(entry: Entry) -> bool:
    messages = {example.kind: example.message for example in entry.examples}
    return bool(entry.errors) and all(is_account_trouble(kind, messages.get(kind)) for kind in entry.errors)


def _start_over(entry: Entry, intent: Entry, ledger: Ledger) -> Entry:
    """Record that a shard is sent again: its batch ended without an answer and was not billed.

    Any other first-round shard is not sent again: its second round may have answers, and is found by attaching to it.
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
    check_taken: Callable[[str], object] | None,
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
    if check_taken is not None:
        _check_taken(taken, ledger, check_taken)
    name = entry.key[:16]
    log.info("POST of shard %s: %s requests, %s bytes", name, f"{entry.requests:,}", f"{body.size:,}")
    try:
        batch = api.create(body.path, body.size, deadline=now + POST_SECONDS, betas=betas)
    except Exception as error:
        refusal = read_failure(error)
        if refusal is None:
            # This POST is over, so a retry need not wait for its deadline.
            end_post(taken, ledger, type(error).__name__, clock(), api.time())
            raise UnknownOutcomeError(
                f"no usable answer to the POST of shard {name} ({describe_error(error)}): a batch may exist. "
                "A retry looks for it before anything is sent again."
            ) from error
        mark_attempt(taken, ledger, "refused", refusal.message)
        raise refusal.error(f"shard {name} was not accepted, and no batch exists: ") from error
    return record_batch(taken, batch, ledger, "created", api.identify())


def _check_taken(taken: Entry, ledger: Ledger, check: Callable[[str], object]) -> None:
    """Check a shard whose right to POST is taken; if it may not be sent, record that nothing was."""
    try:
        check(taken.attempts[-1].token)
    except Exception as error:
        reason = str(error) if isinstance(error, NightpressError) else type(error).__name__
        mark_attempt(taken, ledger, "refused", f"not sent: {reason}")
        raise


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
            "Nothing was sent; read the articles again.",
            code="body_gone",
        )
    if _names_another_shard(entry, body):
        raise LedgerError(
            f"{body.path} holds the requests of another shard than {entry.key[:16]}: the articles were read again "
            "after it was staged, and have changed. Nothing was sent; read the articles again.",
            code="body_gone",
        )
    if sum(attempt.outcome == "lost" for attempt in entry.attempts) >= MAX_LOST_ATTEMPTS:
        raise UnknownOutcomeError(
            f"shard {entry.key[:16]} was POSTed {MAX_LOST_ATTEMPTS} times without an answer, and no batch was "
            "ever found; nothing more is sent until a person has looked at the API's list of batches"
        )


def _names_another_shard(entry: Entry, body: Body) -> bool:
    """Return whether a body's first custom_id is that of another shard: a body of equal size may have replaced it.

    Its results would be the other shard's, so that they are paid for and never found.
    """
    named = _FIRST_ID.match(read_beginning(body.path, _BEGINNING))
    return named is not None and named[1].decode() != custom_id_prefix(entry.key)


_BEGINNING = 200
_FIRST_ID = re.compile(rb'\{"requests":\[\{"custom_id":"([0-9a-f]{16}-)0"')
