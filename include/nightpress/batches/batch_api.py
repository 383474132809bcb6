"""What the core needs of the Message Batches API; :mod:`nightpress.batches.client` is the real one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from nightpress.batches.api_facts import Identity, Listed
from nightpress.batches.batch import Batch, BatchPage
from nightpress.storage import StoragePath


class BatchApi(Protocol):
    """What the core needs of the API."""

    @property
    def scope(self) -> str:
        """Name of the API that batch ids belong to, e.g. ``api.anthropic.com`` or ``offline``."""

    def identify(self) -> Identity:
        """Return whose batches this connection sees, as its latest response said."""

    def time(self) -> float | None:
        """Return the API's own time, epoch seconds; None when no response had a date."""

    @property
    def listed(self) -> Listed:
        """What the list of batches showed so far."""

    def create(self, body: StoragePath, size: int, *, deadline: float, betas: Sequence[str] = ()) -> Batch:
        """POST the body once."""

    def retrieve(self, batch_id: str) -> Batch:
        """Return the state of one batch."""

    def list(self, *, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        """Return one page of batches, newest first."""

    def stream_results(self, batch: Batch) -> Iterator[bytes]:
        """Yield the decoded bytes of a result stream."""
