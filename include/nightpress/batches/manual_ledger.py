"""What a person can see and do in the ledger: list, adopt, discard.

A person decides only the cases that :mod:`nightpress.batches.submission` cannot decide. The proof is the same, and
nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from nightpress.batches.batch import Batch
from nightpress.batches.batch_api import BatchApi
from nightpress.batches.candidates import earliest_creation, is_ours, iter_candidates, list_known_before
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.refusals import read_failure
from nightpress.batches.submission import MAX_LOST_ATTEMPTS
from nightpress.batches.submission_records import record_batch
from nightpress.batches.unknown_outcome import SETTLING_SECONDS
from nightpress.errors import ConfigurationError, LedgerError, UnknownOutcomeError
from nightpress.layout import DataRoot, list_names
from nightpress.storage import StoragePath

STATES = ("intended", "submitted", "collected", "open", "damaged")
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One shard in the ledger of one API.

    :param scope: name of the API.
    :param state: one of :data:`STATES`; ``open`` when an unknown batch may exist.
    :param problem: why a damaged entry cannot be read.
    """

    scope: str
    entry: Entry
    state: str
    problem: str = ""

    @property
    def since(self) -> float | None:
        """When the entry last changed its state, epoch seconds; None before the first POST."""
        moment = self.entry.collected_at or self.entry.submitted_at
        if moment is not None:
            return moment.timestamp()
        return self.entry.attempts[-1].at if self.entry.attempts else None


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """An entry that a person may want to look at.

    :param seen: what is known.
    :param next: what happens automatically, and when.
    :param options: what a person can do.
    """

    key: str
    seen: str
    next: str
    options: str


def iter_ledger_lines(root: DataRoot) -> Iterator[LedgerLine]:
    """Yield every shard of every API.

    :param root: the data root.
    """
    for scope in list_apis(root):
        for key, found in Ledger(root.ledger(), scope).scan():
            yield _line(scope, key, found)


def list_apis(root: DataRoot) -> list[str]:
    """Return the names of the APIs that the ledger knows."""
    return [
        name for name in list_names(root.ledger()) if not name.startswith(".") and not name.endswith(".json")
    ]


def _line(scope: str, key: str, found: Entry | LedgerError) -> LedgerLine:
    if isinstance(found, LedgerError):
        return LedgerLine(scope, Entry(key=key, requests=0, bytes=0), "damaged", str(found))
    return LedgerLine(scope, found, state_of(found))


def state_of(entry: Entry) -> str:
    """Return the entry's state: ``open`` when it has no recorded batch, but one may exist."""
    if entry.batch_id is None and entry.attempts:
        lost = sum(attempt.outcome == "lost" for attempt in entry.attempts)
        if entry.attempts[-1].outcome == "open" or lost >= MAX_LOST_ATTEMPTS:
            return "open"
    return entry.state


def find_ledger_line(root: DataRoot, prefix: str, scope: str = "") -> LedgerLine:
    """Return the one shard whose key begins with ``prefix``.

    :param scope: search only the ledger of this API; empty searches all.
    :raises ConfigurationError: no key or several keys begin with it.
    """
    apis = [api for api in list_apis(root) if scope in {"", api}] if prefix else []
    found = [_line(api, key, entry) for api in apis for key, entry in Ledger(root.ledger(), api).find(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        where = f" of {scope}" if scope else ""
        raise ConfigurationError(f"no shard key in the ledger{where} begins with {prefix!r}")
    names = ", ".join(f"{line.entry.key[:24]} ({line.scope})" for line in found[:5])
    raise ConfigurationError(
        f"{len(found)} shards begin with {prefix!r}: {names}{', …' if len(found) > 5 else ''}; "
        "give more of the key, or the API with --api"
    )


def find_open_question(line: LedgerLine, now: float) -> OpenQuestion | None:
    """Return the open question about an entry, or None when there is none."""
    entry, short = line.entry, line.entry.key[:16]
    if line.state == "damaged":
        return OpenQuestion(
            entry.key,
            line.problem,
            "the shard is not sent; submitting it fails with this message",
            f"restore the file from a backup, or set it aside: discard {short} --even-submitted",
        )
    if line.state != "open":
        return None
    adopt_batch = (
        f"adopt {short} BATCH_ID when you know its batch, discard {short} when you know there is none"
    )
    last = entry.attempts[-1]
    if last.outcome != "open":
        return OpenQuestion(
            entry.key,
            f"{len(entry.attempts)} POSTs were not answered, the last at {utc(last.at)}, and no batch was found",
            "nothing is sent again: after this many lost POSTs a person has to decide",
            f"read the API's list of batches; {adopt_batch}",
        )
    settled = last.deadline + SETTLING_SECONDS
    then = f"a POST may still be under way until {utc(last.deadline)}; " if now < last.deadline else ""
    if now < settled:
        then += f"the next submission reads the API's list again, and may POST again from {utc(settled)} on"
    else:
        then += (
            "the next submission of the shard reads the API's list: it adopts the batch if its results prove it, "
            "waits for running candidates, and POSTs again only if there are none"
        )
    why = f" ({last.detail})" if last.detail else " (the process died before it was known)"
    seen = f"POST {last.number} of {entry.requests:,} requests at {utc(last.at)} has no known outcome{why}"
    return OpenQuestion(entry.key, seen, then, f"wait; or {adopt_batch}")


def utc(moment: float | datetime | None) -> str:
    """Return a moment as text in UTC, or a dash."""
    if moment is None:
        return "-"
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def find_candidates(entry: Entry, api: BatchApi, ledger: Ledger, now: float) -> list[Batch]:
    """Return batches at the API that could be the shard's, newest first.

    For an entry without an attempt, the batches of the last two days are searched.
    """
    since = earliest_creation(entry) if entry.attempts else (api.time() or now) - 2 * _DAY_SECONDS
    return list(iter_candidates(entry, api, ledger, since))


def adopt_batch(
    line: LedgerLine, batch_id: str, api: BatchApi, ledger: Ledger, *, unproved: bool = False
) -> tuple[Batch, bool]:
    """Record a batch for a shard by hand; return it and whether it was proved to be the shard's.

    :param unproved: accept a batch that is still running, whose results cannot be read yet.
    :raises LedgerError: the shard has a batch, or the batch belongs to another shard.
    :raises UnknownOutcomeError: the batch is not the shard's, or that is unclear.
    """
    entry = line.entry
    short = entry.key[:16]
    _check_adoptable(line, batch_id, api, ledger)
    batch = _retrieve(batch_id, api)
    if batch.request_counts.total not in {0, entry.requests}:
        raise UnknownOutcomeError(
            f"batch {batch_id} has {batch.request_counts.total:,} requests, shard {short} {entry.requests:,}: it "
            "is not this shard's. Nothing was recorded."
        )
    if batch.ended:
        if not is_ours(entry, batch, api):
            raise UnknownOutcomeError(
                f"the results of batch {batch_id} are those of another shard than {short}. Nothing was recorded."
            )
    else:
        _check_running(entry, batch, unproved)
    record_batch(entry, batch, ledger, "adopted", api.identify())
    return batch, batch.ended


def _check_adoptable(line: LedgerLine, batch_id: str, api: BatchApi, ledger: Ledger) -> None:
    entry = line.entry
    short = entry.key[:16]
    if line.state == "damaged":
        raise LedgerError(line.problem)
    if api.scope != line.scope:
        raise LedgerError(
            f"shard {short} is in the ledger of {line.scope}, the connection is to {api.scope}: batch ids of one "
            "mean nothing to the other. Nothing was recorded."
        )
    if entry.batch_id is not None:
        raise LedgerError(f"shard {short} is {entry.state} already, as batch {entry.batch_id}")
    if batch_id in entry.earlier:
        raise LedgerError(
            f"batch {batch_id} ended without any answer, and shard {short} was to be sent again because of that: "
            "with this batch it would never be answered. Nothing was recorded."
        )
    owner = ledger.owner(batch_id)
    if owner not in {None, entry.key}:
        raise LedgerError(f"batch {batch_id} belongs to shard {owner}; a batch has one shard")


def _retrieve(batch_id: str, api: BatchApi) -> Batch:
    import anthropic

    try:
        return api.retrieve(batch_id)
    except anthropic.NotFoundError:
        raise UnknownOutcomeError(
            f"the API does not know batch {batch_id} (404). Is the key that of the workspace that submitted it? "
            "Nothing was recorded."
        ) from None
    except anthropic.APIError as error:
        raise unreachable(error) from None


def _check_running(entry: Entry, batch: Batch, unproved: bool) -> None:
    since = earliest_creation(entry)
    too_old = since is not None and batch.created_at is not None and batch.created_at.timestamp() < since
    if too_old or batch.id in list_known_before(entry):
        raise UnknownOutcomeError(
            f"batch {batch.id} was created at {utc(batch.created_at)}, before shard {entry.key[:16]} was first "
            f"POSTed: it is not this shard's. Nothing was recorded."
        )
    if not unproved:
        raise UnknownOutcomeError(
            f"batch {batch.id} is {batch.processing_status}, so its results cannot prove yet that it is that of "
            f"shard {entry.key[:16]}. Wait until it has ended; the next submission of the shard then adopts it. With "
            "--unproved it is recorded without proof: if it belongs to another shard, this shard's articles become "
            "missing, and its own batch, if there is one, is paid for and never collected."
        )


def unreachable(error: Exception) -> UnknownOutcomeError:
    """Return the error for an API that could not be asked."""
    refusal = read_failure(error)
    said = refusal.message if refusal else f"{type(error).__name__}: {str(error)[:200]}"
    return UnknownOutcomeError(f"the API could not be asked ({said}). Nothing was changed.")


def check_discard(line: LedgerLine, ledger: Ledger, now: float, *, even_submitted: bool = False) -> list[str]:
    """Return the ids of the shard's known batches if its entry may be set aside.

    :param now: epoch seconds.
    :param even_submitted: also when the shard owns a batch, or its entry is damaged.
    :raises LedgerError: the entry may not be set aside.
    """
    entry, short = line.entry, line.entry.key[:16]
    last = entry.attempts[-1] if entry.attempts else None
    if entry.batch_id is None and last is not None and last.outcome == "open" and now < last.deadline:
        raise LedgerError(
            f"a POST of shard {short} may be under way until {utc(last.deadline)}; discarding it now could pay "
            "twice without anybody seeing it. Try again after that."
        )
    owned = {*ledger.batches_of(entry.key), *filter(None, [entry.batch_id])}
    batches = sorted(owned.difference(entry.earlier))
    if batches and not even_submitted:
        state = line.state if entry.batch_id or line.state == "damaged" else "not recorded as submitted"
        raise LedgerError(
            f"shard {short} is {state}, and owns batch {', '.join(batches)}, which is paid for; submitting it "
            "again attaches to that batch and pays nothing. To send it again anyway, and pay again: --even-submitted"
        )
    if line.state == "damaged" and not even_submitted:
        raise LedgerError(f"{line.problem} To set it aside anyway, and maybe pay again: --even-submitted")
    return batches


def discard_entry(
    line: LedgerLine, ledger: Ledger, now: float, *, even_submitted: bool = False
) -> StoragePath:
    """Set an entry and its attempts aside, so that the shard is sent again; return their new folder.

    :raises LedgerError: see :func:`check_discard`.
    """
    check_discard(line, ledger, now, even_submitted=even_submitted)
    stamp = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S.%fZ}"
    return ledger.set_aside(line.entry.key, stamp, None if line.state == "damaged" else line.entry)
