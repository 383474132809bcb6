"""What the overview takes from the receipts: that a day is published, and what older batches cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from nightpress.overview.file_cache import FileCache
from nightpress.storage import StoragePath, is_local

_MAX_DAYS = 5_000
_MAX_DAYS_REMOTE = 200
"""On an object store each receipt is a request of its own at the first look, so the newest have to do."""


class _Batch(msgspec.Struct):
    batch_id: str = ""
    paid_usd: float | None = None
    reused: bool = False


class Receipt(msgspec.Struct, frozen=True):
    """A day's receipt, as far as it is shown; every field may be missing in an older one.

    :param run: the last run that published the day.
    """

    run: str = ""
    offline: bool = False
    published_at: datetime | None = None
    paid_usd: float | None = None
    list_usd: float | None = None
    saved_usd: float | None = None
    wasted_usd: float | None = None
    numbers: dict[str, Any] | None = None
    batches: list[_Batch] = []

    def paid_by_batch(self) -> dict[str, float | None]:
        """Return what each batch of the receipt cost that was paid for here."""
        return {batch.batch_id: batch.paid_usd for batch in self.batches if not batch.reused}


_receipt = msgspec.json.Decoder(Receipt)


class Receipts:
    """The receipts of all pipelines, read again only when they change."""

    def __init__(self, root: StoragePath) -> None:
        self._root = root
        self._limit = _MAX_DAYS if is_local(root) else _MAX_DAYS_REMOTE
        self._folders: dict[str, FileCache[Receipt | None]] = {}

    def refresh(self, pipelines: set[str]) -> bool:
        """Look at the receipts of these pipelines; tell whether any changed.

        :raises OSError: the store cannot be asked.
        """
        changed = False
        for pipeline in pipelines:
            if pipeline not in self._folders:
                self._folders[pipeline] = FileCache(self._root / pipeline, _decode, limit=self._limit)
            changed |= self._folders[pipeline].refresh()
        return changed

    def find(self, pipeline: str, day: str) -> Receipt | None:
        """Return the receipt of a day; None when there is none, or none that can be read."""
        folder = self._folders.get(pipeline)
        return folder.get(f"day={day}.json") if folder else None


def _decode(name: str, content: bytes | OSError, modified: float | None) -> Receipt | None:  # noqa: ARG001
    if isinstance(content, OSError):
        return None
    try:
        return _receipt.decode(content)
    except msgspec.MsgspecError:
        return None
