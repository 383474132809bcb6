"""Estimate when a running batch ends from how long others took: the API shows no progress inside a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from nightpress.overview.batch_rows import BatchRow

EXPIRES_AFTER_SECONDS = 86_400.0
"""A batch that has not ended by then expires (API documentation, "Message Batches")."""

_FEWEST = 3
_MAX_DURATIONS = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long similar batches took, in seconds.

    :param usual: the median.
    :param late: nine of ten took no longer.
    :param batches: how many batches the estimate is based on.
    :param alike: what they have in common: ``pipeline and size``, ``pipeline``, ``size`` or ``api``.
    """

    usual: float
    late: float
    batches: int
    alike: str


class BatchDurations:
    """The durations of ended batches.

    Sizes are similar if they are at most one power of two apart. Only the latest 200 of each group count,
    since the API's speed of last month says little about tonight's.
    """

    def __init__(self, rows: Iterable[BatchRow]) -> None:
        groups: defaultdict[tuple[object, ...], list[tuple[float, float]]] = defaultdict(list)
        for row in rows:
            if row.submitted is None or row.ended is None or row.ended < row.submitted:
                continue
            groups[row.scope, row.pipeline, row.requests.bit_length()].append(
                (row.ended, row.ended - row.submitted)
            )
        self._groups = groups
        self._known: dict[tuple[str, str, int], Estimate | None] = {}

    def estimate(self, scope: str, pipeline: str, requests: int) -> Estimate | None:
        """Return how long such a batch takes, from the most similar batches; None when there are none."""
        wanted = (scope, pipeline, requests.bit_length())
        if wanted not in self._known:
            self._known[wanted] = self._estimate(*wanted)
        return self._known[wanted]

    def _estimate(self, scope: str, pipeline: str, size: int) -> Estimate | None:
        near = {size - 1, size, size + 1}
        for alike, fewest in (
            ("pipeline and size", _FEWEST),
            ("pipeline", _FEWEST),
            ("size", _FEWEST),
            ("api", 1),
        ):
            found: list[tuple[float, float]] = []
            for (of_api, of_pipeline, of_size), durations in self._groups.items():
                if (
                    of_api == scope
                    and (of_pipeline == pipeline or "pipeline" not in alike)
                    and (of_size in near or "size" not in alike)
                ):
                    found += durations
            if len(found) >= fewest:
                return _summarize(found, alike)
        return None


def _summarize(found: list[tuple[float, float]], alike: str) -> Estimate:
    latest = sorted(seconds for _, seconds in sorted(found)[-_MAX_DURATIONS:])
    count = len(latest)
    middle = (latest[(count - 1) // 2] + latest[count // 2]) / 2
    return Estimate(middle, latest[min(count - 1, int(count * 0.9))], count, alike)
