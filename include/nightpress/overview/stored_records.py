"""Plans, receipts and reports below the data root, cached for the overview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from nightpress.costs.plan import Plan, read_plan
from nightpress.costs.receipt import BatchReceipt, DayReceipt
from nightpress.costs.receipt_files import decode_receipt
from nightpress.errors import ResultsError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot, is_day, is_pipeline_name
from nightpress.overview.file_cache import FileCache
from nightpress.storage import is_local
from nightpress.store_reads import list_versions

_PLAN_SECONDS = 30.0
_MAX_PLANS = 1_000


@dataclass(frozen=True, slots=True)
class _KeptPlan:
    at: float
    plan: Plan | None


class Plans:
    """Plans by the folder of their run, cached for half a minute, since plans hardly change."""

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._kept: dict[str, _KeptPlan] = {}

    def find(self, folder: str, now: float) -> Plan | None:
        """Return the plan in a run's folder; None when it is missing or cannot be read.

        :param folder: the reference in the ledger.
        """
        kept = self._kept.get(folder)
        if kept is None or not 0 <= now - kept.at < _PLAN_SECONDS:
            if len(self._kept) >= _MAX_PLANS:
                self._kept.clear()
            kept = self._kept[folder] = _KeptPlan(now, self._read(folder))
        return kept.plan

    def _read(self, folder: str) -> Plan | None:
        if not folder:
            return None
        try:
            content = RunFolder(self._root.open(folder)).plan.read_bytes()
            return read_plan(msgspec.json.decode(content, type=dict[str, Any]))
        except (
            OSError,
            ValueError,
            RecursionError,
            ResultsError,
        ):  # a foreign reference is a ValueError, too
            return None


_MAX_RECEIPTS = 5_000
_MAX_RECEIPTS_REMOTE = 200
"""On an object store the first look needs one request for each receipt, so only the newest are read."""


def paid_by_batch(receipt: DayReceipt) -> dict[str, BatchReceipt]:
    """Return the batches of a receipt that were paid for here, by id."""
    return {batch.batch_id: batch for batch in receipt.batches if not batch.reused}


class Receipts:
    """The receipts of all pipelines, read again only when they change."""

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._limit = _MAX_RECEIPTS if is_local(root.path) else _MAX_RECEIPTS_REMOTE
        self._folders: dict[str, FileCache[DayReceipt | None]] = {}

    def refresh(self, pipelines: set[str]) -> bool:
        """Look at the receipts of these pipelines, and return whether any changed.

        :raises OSError: the store cannot be asked.
        """
        changed = False
        # The names come from the ledger, where anything may stand; what is no name has no folder.
        for pipeline in filter(is_pipeline_name, pipelines):
            if pipeline not in self._folders:
                self._folders[pipeline] = FileCache(self._root.receipts(pipeline), _decode, limit=self._limit)
            changed |= self._folders[pipeline].refresh()
        return changed

    def find(self, pipeline: str, day: str) -> DayReceipt | None:
        """Return the receipt of a day; None when it is missing or cannot be read."""
        folder = self._folders.get(pipeline)
        return folder.get(self._root.receipt(pipeline, day).name) if folder else None


def _decode(name: str, content: bytes | OSError, modified: float | None) -> DayReceipt | None:  # noqa: ARG001
    return None if isinstance(content, OSError) else decode_receipt(content)


_REPORT_SECONDS = 15.0
_MAX_REPORTS = 1_000


class Reports:
    """When the report of each day was written, cached for a quarter of a minute."""

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._kept: dict[str, tuple[float, float | None]] = {}

    def covers(self, day: str, published_at: float, now: float) -> bool:
        """Return whether the day's report was written after a publication; True where the store keeps no times.

        :raises OSError: the store cannot be asked.
        """
        written = self._written(day, now)
        return written is not None and written >= published_at

    def _written(self, day: str, now: float) -> float | None:
        if not is_day(day):
            return None
        kept = self._kept.get(day)
        if kept is None or not 0 <= now - kept[0] < _REPORT_SECONDS:
            if len(self._kept) >= _MAX_REPORTS:
                self._kept.clear()
            path = self._root.report(day)
            found = list_versions(path.parent).get(path.name)
            written = None if found is None else float("inf") if found.modified is None else found.modified
            kept = self._kept[day] = (now, written)
        return kept[1]
