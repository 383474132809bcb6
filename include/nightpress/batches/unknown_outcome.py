"""Find out whether a POST created a batch when its answer is missing or not understood.

Only the API's time (the ``Date`` of its responses) decides that no batch exists: this machine's clock may be wrong
now, even if it was right when the POST was made. The decision holds only for the workspace in which the POST was
made, since a list shows one workspace.
"""

from __future__ import annotations

import logging

import msgspec

from nightpress.batches.api_facts import Identity
from nightpress.batches.batch_api import BatchApi
from nightpress.batches.candidates import Oddities, earliest_creation, is_ours, iter_candidates
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.redaction import describe_error
from nightpress.batches.streamed_body import POST_SECONDS
from nightpress.batches.submission_records import Submitted, Wait, mark_attempt, record_batch
from nightpress.errors import ApiReplyError, UnknownOutcomeError

log = logging.getLogger(__name__)

SETTLING_SECONDS = 60.0
"""How long after the end of a POST its batch may be missing from the list."""

UNKNOWN_RECHECK_SECONDS = 30.0
"""Wait between two searches for the batch of such a POST; another process may still be sending it."""

RUNNING_RECHECK_SECONDS = 3600.0
"""How long to wait for running candidates before the list is read again."""


def resolve_last_post(entry: Entry, api: BatchApi, ledger: Ledger, now: float) -> Submitted | Wait | Entry:
    """Find out what the last POST did; return the entry when it is certain that it created no batch."""
    running, odd = [], Oddities()
    try:
        api.identify()
        # Taken before the list is read: a batch that the list lacks was missing at this time.
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
    return mark_attempt(entry, ledger, "lost", "no batch of it in the list after the settling time")


def _wait_for_settling(entry: Entry, api_now: float | None, ledger: Ledger, now: float) -> Wait | None:
    """Return how long to wait until a batch that is not in the list cannot exist; None when that is so now.

    The API's time decides. This machine's clock can only prolong the wait: it does so while too little time has
    passed since the POST, so that one response with a wrong ``Date`` does not decide alone.
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
        # The POST was made before the API's time was known: it is over by this deadline at the latest.
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

    :raises UnknownOutcomeError: it shows another workspace, or one of the two is not known.
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
    """Return the error to raise when the list cannot be read; errors of Nightpress stay unchanged."""
    import anthropic

    if not isinstance(error, (anthropic.APIError, ApiReplyError)):
        return error
    return UnknownOutcomeError(
        f"the outcome of a POST of shard {entry.key[:16]} is unknown, and the API's list of batches cannot be "
        f"read to find it ({describe_error(error)}). Nothing is sent; a retry looks again."
    )
