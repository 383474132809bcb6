"""What the overview takes from the receipts: that a day is published, and what older batches cost."""

from __future__ import annotations

from nightpress.costs.receipt import DayReceipt
from nightpress.costs.receipt_files import decode_receipt
from nightpress.layout import DataRoot
from nightpress.overview.file_cache import FileCache
from nightpress.storage import is_local

_MAX_DAYS = 5_000
_MAX_DAYS_REMOTE = 200
"""On an object store each receipt is a request of its own at the first look, so the newest have to do."""


def paid_by_batch(receipt: DayReceipt) -> dict[str, float | None]:
    """Return what each batch of a receipt cost that was paid for here."""
    return {batch.batch_id: batch.paid_usd for batch in receipt.batches if not batch.reused}


class Receipts:
    """The receipts of all pipelines, read again only when they change."""

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._limit = _MAX_DAYS if is_local(root.path) else _MAX_DAYS_REMOTE
        self._folders: dict[str, FileCache[DayReceipt | None]] = {}

    def refresh(self, pipelines: set[str]) -> bool:
        """Look at the receipts of these pipelines; tell whether any changed.

        :raises OSError: the store cannot be asked.
        """
        changed = False
        for pipeline in pipelines:
            if pipeline not in self._folders:
                self._folders[pipeline] = FileCache(self._root.receipts(pipeline), _decode, limit=self._limit)
            changed |= self._folders[pipeline].refresh()
        return changed

    def find(self, pipeline: str, day: str) -> DayReceipt | None:
        """Return the receipt of a day; None when there is none, or none that can be read."""
        folder = self._folders.get(pipeline)
        return folder.get(self._root.receipt(pipeline, day).name) if folder else None


def _decode(name: str, content: bytes | OSError, modified: float | None) -> DayReceipt | None:  # noqa: ARG001
    return None if isinstance(content, OSError) else decode_receipt(content)
