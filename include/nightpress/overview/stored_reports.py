"""When each day's report was written: a report shows a publication only when it is newer."""

from __future__ import annotations

from nightpress.layout import DataRoot, is_day
from nightpress.storage import list_versions

_KEPT_SECONDS = 15.0
_MAX_DAYS = 1_000


class Reports:
    """Reports by day; a look is good for a quarter of a minute."""

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._kept: dict[str, tuple[float, float | None]] = {}

    def covers(self, day: str, published_at: float, now: float) -> bool:
        """Tell whether the day's report was written after a publication; yes where the store keeps no times.

        :raises OSError: the store cannot be asked.
        """
        written = self._written(day, now)
        return written is not None and written >= published_at

    def _written(self, day: str, now: float) -> float | None:
        if not is_day(day):
            return None
        kept = self._kept.get(day)
        if kept is None or not 0 <= now - kept[0] < _KEPT_SECONDS:
            if len(self._kept) >= _MAX_DAYS:
                self._kept.clear()
            path = self._root.report(day)
            found = list_versions(path.parent).get(path.name)
            written = None if found is None else float("inf") if found.modified is None else found.modified
            kept = self._kept[day] = (now, written)
        return kept[1]
