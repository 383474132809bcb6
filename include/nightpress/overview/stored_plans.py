"""The plans of running runs, for the overview: how many shards will come, and what they may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from nightpress.costs.plan import Plan, read_plan
from nightpress.errors import ResultsError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot

_KEPT_SECONDS = 30.0
_MAX_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    plan: Plan | None


class Plans:
    """Plans by the folder of their run; a look is good for half a minute, for plans hardly change."""

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._kept: dict[str, _Kept] = {}

    def find(self, folder: str, now: float) -> Plan | None:
        """Return the plan in a run's folder; None when there is none that can be read.

        :param folder: the reference in the ledger.
        """
        kept = self._kept.get(folder)
        if kept is None or not 0 <= now - kept.at < _KEPT_SECONDS:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            kept = self._kept[folder] = _Kept(now, self._read(folder))
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
