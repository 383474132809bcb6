"""What the overview takes from the plans of running runs: how many shards will come, and what they may cost."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from nightpress.layout import DataRoot
from nightpress.storage import StoragePath

_KEPT_SECONDS = 30.0
_MOST = 1_000


class Plan(msgspec.Struct, frozen=True):
    """A run's plan, as far as it is shown; every field may be missing.

    :param attached: articles of shards that another run submitted before; those shards stay with that run.
    """

    shards: int | None = None
    attached: int | None = None
    cost_expected_usd: float | None = None
    cost_upper_usd: float | None = None
    articles: int | None = None
    to_send: int | None = None
    reused: int | None = None
    plan_only: bool = False
    offline: bool = False
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    plan: Plan | None


_plan = msgspec.json.Decoder(Plan)


class Plans:
    """Plans by the folder of their run; a look is good for half a minute, for plans hardly change."""

    def __init__(self, root: StoragePath) -> None:
        self._root = DataRoot(root)
        self._kept: dict[str, _Kept] = {}

    def find(self, folder: str, now: float) -> Plan | None:
        """Return the plan in a run's folder; None when there is none that can be read.

        :param folder: the reference in the ledger.
        """
        kept = self._kept.get(folder)
        if kept is None or not 0 <= now - kept.at < _KEPT_SECONDS:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            kept = self._kept[folder] = _Kept(now, self._read(folder))
        return kept.plan

    def _read(self, folder: str) -> Plan | None:
        if not folder:
            return None
        try:
            return _plan.decode(self._root.open(f"{folder}/plan.json").read_bytes())
        except (OSError, ValueError):  # a foreign reference is a ValueError, too
            return None
