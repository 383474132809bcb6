"""Decide after each look at the API whether to keep waiting for batches: no I/O, the clock is an argument.

A failed look says nothing about a batch, and one 404 does not prove that it is gone. Waiting ends only when the
batches have ended, at the deadline, when the credentials are refused, or when a batch stays missing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nightpress.batches.batch import Batch
from nightpress.batches.refusals import MAX_RETRY_AFTER_SECONDS

REFUSALS_TOLERATED = 3
"""Looks in a row that may be refused because of the key (401, 403) before the waiting ends."""

ABSENCES_TOLERATED = 5
"""Single look-ups in a row that may find nothing (404) before a batch counts as gone."""

MAX_BACKOFF_SECONDS = 600.0

MIN_POLL_SECONDS = 30.0
"""The API's documentation asks for no more than one look every 30 to 60 seconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the API.

    :param batches: what was seen, by id.
    :param absent: ids that were requested one by one and not found.
    :param error: why nothing was seen; None after a successful look.
    :param refused: the error is about the credentials, so waiting does not help.
    :param unlisted: the list failed although the API answers, so batches can be requested one by one.
    """

    at: float
    batches: Mapping[str, Batch] = field(default_factory=dict)
    absent: Collection[str] = ()
    error: str | None = None
    refused: bool = False
    unlisted: bool = False


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """Why the waiting is over.

    :param status: ``ended``, ``deadline``, ``refused`` or ``gone``.
    """

    status: str
    message: str


class BatchWait:
    """Wait for all of some batches to end.

    :param batch_ids: the batches.
    :param deadline: wall clock, epoch seconds, since another process may take over a trigger.
    """

    def __init__(self, batch_ids: Collection[str], deadline: float) -> None:
        self.open = set(batch_ids)
        self.deadline = deadline
        self.seen: dict[str, Batch] = {}
        self._refusals = 0
        self._absences = 0

    def on_look(self, look: Look) -> PollOutcome | None:
        """Return why the waiting is over, or None to keep waiting."""
        if look.error is None:
            self._take(look)
            if not self.open:
                return PollOutcome("ended", ", ".join(describe_ended(batch) for batch in self.seen.values()))
        self._refusals = self._refusals + 1 if look.refused else 0
        tolerated = self._refusals < REFUSALS_TOLERATED and self._absences < ABSENCES_TOLERATED
        return None if tolerated and look.at < self.deadline else self._give_up(look)

    def _give_up(self, look: Look) -> PollOutcome:
        names = ", ".join(sorted(self.open))
        if self._refusals >= REFUSALS_TOLERATED:
            return PollOutcome(
                "refused",
                f"the API refused {self._refusals} polls in a row ({look.error}). Batch {names} continues there and "
                "still bills what it answers; correct the key of the connection.",
            )
        if self._absences >= ABSENCES_TOLERATED:
            return PollOutcome(
                "gone",
                f"batch {names} was not found {self._absences} times in a row. Is the connection's API key that of "
                "the workspace that submitted it? Nothing is sent again by itself.",
            )
        return PollOutcome(
            "deadline",
            f"batch {names} had not ended by the deadline of this wait. It continues at the API, which lets "
            "batches expire after 24 hours.",
        )

    def _take(self, look: Look) -> None:
        found = {batch_id: look.batches[batch_id] for batch_id in self.open if batch_id in look.batches}
        self.seen.update(found)
        self.open -= {batch_id for batch_id, batch in found.items() if batch.ended}
        self._absences = self._absences + 1 if self.open & set(look.absent) else 0


def describe_ended(batch: Batch) -> str:
    """Return one line on an ended batch: its id and its counts."""
    counts = batch.request_counts
    parts = [
        f"{getattr(counts, kind):,} {kind}"
        for kind in ("succeeded", "errored", "canceled", "expired")
        if getattr(counts, kind)
    ]
    return f"batch {batch.id} ended: {', '.join(parts) or 'no results'}"


def next_look_seconds(poll_seconds: float, failures: int, retry_after: float | None, jitter: float) -> float:
    """Return how long to wait before the next look.

    :param failures: looks in a row that failed; each doubles the wait, up to ten minutes.
    :param retry_after: seconds the API asked for; the wait is at least this, up to an hour.
    :param jitter: 0 to 1; adds up to a tenth, so that triggerers do not all poll at the same time.
    """
    doubled = poll_seconds * 2.0 ** min(failures, 30)
    wait = min(doubled, max(poll_seconds, MAX_BACKOFF_SECONDS))
    asked = retry_after if retry_after is not None and math.isfinite(retry_after) else 0.0
    return float(max(wait * (1 + jitter / 10), min(asked, MAX_RETRY_AFTER_SECONDS)))
