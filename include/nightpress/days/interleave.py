"""Reused rows between those that were sent, in article order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa


def interleave(sent: Iterable[pa.Table], reused: Iterable[tuple[np.ndarray, pa.Table]]) -> Iterator[pa.Table]:
    """Yield the rows of a run in article order, holding a table of each kind at a time.

    :param sent: rows that were sent, in order; they fill the places that reused rows leave free.
    :param reused: ordinals and rows, in order; all tables have the same schema.
    """
    copies = _Copies(reused)
    passed = 0
    for table in sent:
        rest = table
        end = passed + table.num_rows
        while (found := copies.before(end)) is not None:
            behind, rows = found
            count = int(behind[-1]) - passed
            # A copy with so many sent rows behind it comes just before the next of them.
            places = np.concatenate([2 * (passed + np.arange(count)) + 1, 2 * behind])
            yield pa.concat_tables([rest.slice(0, count), rows]).take(
                pa.array(np.argsort(places, kind="stable"))
            )
            rest = rest.slice(count)
            passed += count
        if rest.num_rows:
            yield rest
        passed = end
    while (found := copies.before(None)) is not None:
        yield found[1]


class _Copies:
    """Reused rows, to be had as far as they come before a number of sent ones."""

    def __init__(self, files: Iterable[tuple[np.ndarray, pa.Table]]) -> None:
        self._files = iter(files)
        self._behind = np.empty(0, np.int64)
        self._rows: pa.Table | None = None
        self._seen = 0

    def before(self, end: int | None) -> tuple[np.ndarray, pa.Table] | None:
        """Return the next copies that have fewer than ``end`` sent rows behind them, with how many each has."""
        if not len(self._behind):
            following = next(self._files, None)
            if following is None:
                return None
            ordinals, self._rows = following
            self._behind = ordinals - (self._seen + np.arange(len(ordinals)))
            self._seen += len(ordinals)
        count = len(self._behind) if end is None else int(np.searchsorted(self._behind, end))
        if not count:
            return None
        assert self._rows is not None
        found = self._behind[:count], self._rows.slice(0, count)
        self._behind, self._rows = self._behind[count:], self._rows.slice(count)
        return found
