"""A batch as the API describes it, with only the fields that are needed."""

from __future__ import annotations

from datetime import datetime

import msgspec


class RequestCounts(msgspec.Struct, frozen=True, gc=False):
    """Requests of a batch by outcome. All but ``processing`` stay 0 until the whole batch has ended."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        """Requests in the batch."""
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired


class Batch(msgspec.Struct, frozen=True, gc=False):
    """The state of a Message Batch (API documentation, "The Message Batch object")."""

    id: str
    processing_status: str
    created_at: datetime
    request_counts: RequestCounts = RequestCounts()
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    cancel_initiated_at: datetime | None = None
    results_url: str | None = None

    @property
    def ended(self) -> bool:
        """True once nothing more will be processed; ``canceling`` is not the end."""
        return self.processing_status == "ended"


class BatchPage(msgspec.Struct, frozen=True, gc=False):
    """One page of the list of batches, newest first."""

    data: tuple[Batch, ...] = ()
    has_more: bool = False
    last_id: str | None = None


decode_batch = msgspec.json.Decoder(Batch).decode
decode_page = msgspec.json.Decoder(BatchPage).decode
