"""One batch of the overview: its ledger entry, in the form that the page shows."""

from __future__ import annotations

import sys
from datetime import datetime

import msgspec

from nightpress.batches import manual_ledger
from nightpress.batches.ledger import Entry, Example
from nightpress.errors import LedgerError

STATES = ("question", "submitting", "submitted", "ended", "intended", "collected")
"""``submitting``: a POST may be under way; ``submitted``: the batch is being processed; ``ended``: its results
are not written yet; ``question``: an unknown batch may exist, or the entry cannot be read."""

_REQUESTS = "requests-"
_MAX_CHARS = 4_000
_MAX_KINDS = 200
_MAX_COUNT = 10_000_000
_MAX_USD = 1e7
_LAST_MOMENT = 4_102_444_800.0  # the year 2100


class BatchRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A shard and its batch. Moments are epoch seconds.

    There are tens of thousands of rows, none in a reference cycle, so the garbage collector skips them.

    :param folder: of the run's files, as a URL.
    :param name: of the shard in its run, e.g. ``00000`` or ``r2-00000``.
    :param state: one of :data:`STATES`.
    :param until: when a row of state ``submitting`` becomes a question.
    :param touched: when the entry was last written; None when the store does not say.
    :param known_cost_usd: the known part of a cost that is not fully known.
    :param line: the ledger line, kept to explain an open question.
    """

    scope: str
    key: str
    folder: str
    name: str
    round: int
    pipeline: str
    day: str
    run: str
    dag_id: str
    task_id: str
    map_index: int
    requests: int
    state: str
    batch_id: str
    adopted: bool
    attempts: int
    until: float
    posted: float | None
    submitted: float | None
    ended: float | None
    collected: float | None
    touched: float | None
    by_status: dict[str, int]
    errors: dict[str, int]
    examples: tuple[Example, ...]
    cost_usd: float | None
    known_cost_usd: float | None = None
    line: manual_ledger.LedgerLine | None = None

    @property
    def since(self) -> float | None:
        """When the row reached its state."""
        moment = {
            "collected": self.collected,
            "ended": self.ended,
            "submitted": self.submitted,
            "submitting": self.posted,
            "question": self.posted,
        }.get(self.state)
        return moment if moment is not None else self.touched

    @property
    def began(self) -> float | None:
        """The earliest moment that is known."""
        known = [moment for moment in (self.posted, self.submitted) if moment is not None]
        return min(known) if known else self.touched

    @property
    def last(self) -> float:
        """The latest moment that is known; 0 when none is."""
        return max(self.posted or 0.0, self.submitted or 0.0, self.ended or 0.0, self.collected or 0.0) or (
            self.touched or 0.0
        )


def read_row(scope: str, entry: Entry, touched: float | None) -> BatchRow:
    """Return the row of an entry.

    :raises LedgerError: it holds a number or a text that Nightpress never writes; one such entry must not break the
        whole page.
    """
    _check(entry)
    state = manual_ledger.state_of(entry)
    last = entry.attempts[-1] if entry.attempts else None
    until = 0.0
    if state == "open":
        state = "question"
        # A POST that failed has a reason on record; one without a reason may be under way until its deadline.
        until = last.deadline if last is not None and last.outcome == "open" and not last.detail else 0.0
    elif state == "submitted" and entry.ended_at is not None:
        state = "ended"
    return BatchRow(
        scope=scope,
        key=entry.key,
        folder=sys.intern(entry.uri.rpartition("/")[0]),
        name=_shard_name(entry.uri),
        round=entry.round,
        pipeline=sys.intern(entry.pipeline),
        day=sys.intern(entry.day),
        run=sys.intern(entry.run),
        dag_id=sys.intern(entry.dag_id),
        task_id=sys.intern(entry.task_id),
        map_index=entry.map_index,
        requests=entry.requests,
        state=state,
        batch_id=entry.batch_id or "",
        adopted=entry.adopted,
        attempts=len(entry.attempts),
        until=until,
        posted=entry.attempts[0].at if entry.attempts else None,
        submitted=_seconds(entry.submitted_at),
        ended=_seconds(entry.ended_at),
        collected=_seconds(entry.collected_at),
        touched=touched,
        by_status=entry.by_status,
        errors=entry.errors,
        examples=entry.examples,
        cost_usd=entry.cost_usd,
        known_cost_usd=entry.known_cost_usd,
        line=manual_ledger.LedgerLine(scope, entry, "open") if state == "question" else None,
    )


def read_damaged(scope: str, key: str, error: LedgerError, touched: float | None) -> BatchRow:
    """Return the row of an entry that cannot be read."""
    empty = Entry(key=key, requests=0, bytes=0)
    line = manual_ledger.LedgerLine(scope, empty, "damaged", str(error))
    return msgspec.structs.replace(read_row(scope, empty, touched), state="question", line=line)


def _check(entry: Entry) -> None:
    texts = (
        entry.key,
        entry.uri,
        entry.pipeline,
        entry.day,
        entry.run,
        entry.dag_id,
        entry.task_id,
        entry.batch_id or "",
        *entry.by_status,
        *entry.errors,
        *(text for example in entry.examples for text in (example.kind, example.custom_id, example.message)),
        *(attempt.detail for attempt in entry.attempts),
    )
    counts = (entry.requests, entry.round, *entry.by_status.values(), *entry.errors.values())
    moments = [
        *(attempt.at for attempt in entry.attempts),
        *(attempt.deadline for attempt in entry.attempts),
        *filter(None, map(_seconds, (entry.submitted_at, entry.ended_at, entry.collected_at))),
    ]
    wrong = next((text for text in texts if len(text) > _MAX_CHARS), None)
    if wrong is not None:
        raise LedgerError(f"a text of {len(wrong):,} characters begins with {wrong[:40]!r}")
    if len(entry.by_status) > _MAX_KINDS or len(entry.errors) > _MAX_KINDS:
        raise LedgerError("it names more kinds of failures than there are")
    if any(not 0 <= number <= _MAX_COUNT for number in counts):
        raise LedgerError("a count is negative or far too large")
    if any(not 0 <= moment <= _LAST_MOMENT for moment in moments):
        raise LedgerError("a time is out of range")
    if any(not 0 <= usd <= _MAX_USD for usd in (entry.cost_usd or 0.0, entry.known_cost_usd or 0.0)):
        raise LedgerError("a cost is negative or far too large")


def _shard_name(uri: str) -> str:
    name = uri.rsplit("/", 1)[-1]
    return name.removeprefix(_REQUESTS).removesuffix(".json") if name.startswith(_REQUESTS) else ""


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None
