"""The state of a batch at a moment, computed from its record and the clock; nothing runs in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offline_api.clock import rfc3339
from offline_api.store import Record

DAY = 24 * 3600.0
KEPT_SECONDS = 29 * DAY


@dataclass(frozen=True)
class Speed:
    """How long processing takes.

    :param seconds_per_batch: for any batch.
    :param seconds_per_1000_requests: added, by size.
    """

    seconds_per_batch: float = 3.0
    seconds_per_1000_requests: float = 0.0

    def seconds(self, requests: int) -> float:
        """Return how long a batch of ``requests`` takes."""
        return self.seconds_per_batch + self.seconds_per_1000_requests * requests / 1000


def status(record: Record, now: float) -> str:
    """Return ``in_progress``, ``canceling`` or ``ended``."""
    if now >= record.ends_at:
        return "ended"
    return "in_progress" if record.cancel_initiated_at is None else "canceling"


def is_archived(record: Record, now: float) -> bool:
    """Return whether the results are gone: 29 days after creation."""
    return now >= record.created_at + KEPT_SECONDS


def view(record: Record, now: float, base_url: str) -> dict[str, Any]:
    """Return a batch as the API shows it: until it ends, all counts but ``processing`` are 0."""
    ended, archived = status(record, now) == "ended", is_archived(record, now)
    shown = ("succeeded", "errored", "canceled", "expired")
    counts = {name: getattr(record, name) if ended else 0 for name in shown}
    canceled_at = record.cancel_initiated_at
    return {
        "id": record.id,
        "type": "message_batch",
        "processing_status": status(record, now),
        "request_counts": {"processing": 0 if ended else record.requests, **counts},
        "created_at": rfc3339(record.created_at),
        "expires_at": rfc3339(record.expires_at),
        "ended_at": rfc3339(record.ends_at) if ended else None,
        "cancel_initiated_at": None if canceled_at is None else rfc3339(canceled_at),
        "archived_at": rfc3339(record.created_at + KEPT_SECONDS) if archived else None,
        "results_url": f"{base_url}/v1/messages/batches/{record.id}/results"
        if ended and not archived
        else None,
    }
