"""Combine the rows of a day from several sources: one row per article, in article order.

:func:`merge` takes the better outcome of two rounds and adds up their costs; :func:`interleave` puts reused
rows between the rows that were sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.parquet_files import open_parquet, read_parquet
from nightpress.results.answers_schema import TAIL, output_fields
from nightpress.shards.column_names import AMOUNT_COLUMNS, TOKEN_COLUMNS
from nightpress.statuses import EMPTY, INVALID_OUTPUT, REFUSED, SUCCEEDED, TRUNCATED, UNFINISHED
from nightpress.storage import StoragePath

ORIGIN = ("origin_shard", "origin_ordinal")
"""Columns of a second round's results that name the row of the first round to which each row belongs."""

_SUMMED = (*TOKEN_COLUMNS, *AMOUNT_COLUMNS)
_OF_THE_ARTICLE = {"request_key", "day"}
_OF_THE_ANSWER = [column.name for column in TAIL if column.name not in _OF_THE_ARTICLE]


class SecondRoundRows:
    """The rows of second rounds, by the shard of the first round to which they belong.

    :param paths: ``results-r2-*.parquet``.
    """

    def __init__(self, paths: Iterable[StoragePath]) -> None:
        self._paths: dict[str, list[StoragePath]] = {}
        for path in paths:
            names = read_parquet(path, [ORIGIN[0]])[ORIGIN[0]]
            for name in pc.unique(names).to_pylist():
                self._paths.setdefault(name, []).append(path)

    def find(self, shard_name: str) -> pa.Table | None:
        """Return the second round's rows of a shard, or None if there are none."""
        tables = list(self._iter_tables(shard_name))
        return pa.concat_tables(tables) if tables else None

    def _iter_tables(self, shard_name: str) -> Iterator[pa.Table]:
        for path in self._paths.get(shard_name, []):
            with open_parquet(path) as file:
                typed = [column.name for column in output_fields(file.schema_arrow)]
                table = file.read([*_OF_THE_ANSWER, *typed, *ORIGIN])
                table = table.filter(pc.equal(table[ORIGIN[0]], shard_name)).drop_columns([ORIGIN[0]])
            yield table


def merge(first: pa.Table, second: pa.Table) -> tuple[pa.Table, float | None]:
    """Return ``first`` with the better outcome for each row, and the USD paid for answers that are not used.

    Tokens and costs of a row are the sums over both rounds.

    :param first: all rows of a shard, in order.
    :param second: rows of some of its articles, with ``origin_ordinal``.
    """
    first, second = _with_all_columns(first), _with_all_columns(second)
    ordinals = second[ORIGIN[1]].to_numpy()
    better = _rank(second) <= _rank(first)[ordinals]
    wasted = _paid(first, ordinals[better]) + _paid(second, np.flatnonzero(~better))
    chosen = np.arange(first.num_rows)
    chosen[ordinals[better]] = first.num_rows + np.flatnonzero(better)
    typed = [column.name for column in output_fields(first.schema)]
    for name in [*_OF_THE_ANSWER, *typed]:
        index = first.schema.get_field_index(name)
        column = first.schema.field(index)
        if name in _SUMMED:
            values = _sum(first[name], second[name], ordinals, column.type)
        else:
            values = pa.chunked_array([*first[name].chunks, *second[name].cast(column.type).chunks]).take(
                pa.array(chosen)
            )
        first = first.set_column(index, column, values)
    return first, None if np.isnan(wasted) else float(wasted)


def _with_all_columns(rows: pa.Table) -> pa.Table:
    """Return rows with the columns that an earlier version did not write, and with large text."""
    for column in TAIL:
        if column.name in _OF_THE_ANSWER and column.name not in rows.column_names:
            rows = rows.append_column(column, pa.nulls(rows.num_rows, column.type))
    index = rows.schema.get_field_index("text")
    return rows.set_column(index, pa.field("text", pa.large_string()), rows["text"].cast(pa.large_string()))


def _paid(rows: pa.Table, indices: np.ndarray) -> float:
    paid: float = rows["cost_usd"].to_numpy()[indices].sum()
    return paid


_RANKS = {SUCCEEDED: 0, TRUNCATED: 1, INVALID_OUTPUT: 2, UNFINISHED: 3, EMPTY: 4, REFUSED: 5}
_NO_ANSWER = 6


def _rank(rows: pa.Table) -> np.ndarray:
    """Return the rank of each outcome; 0 is the best, a whole answer. Truncated text ranks above no text."""
    place = pc.index_in(rows["status"], pa.array(list(_RANKS)))
    rank = pc.fill_null(pc.take(pa.array([2 * rank for rank in _RANKS.values()]), place), 2 * _NO_ANSWER)
    nothing = pc.and_(pc.equal(rows["status"], TRUNCATED), pc.is_null(rows["text"]))
    ranks: np.ndarray = pc.if_else(nothing, 2 * _RANKS[TRUNCATED] + 1, rank).to_numpy()
    return ranks


def _sum(
    first: pa.ChunkedArray, second: pa.ChunkedArray, ordinals: np.ndarray, kind: pa.DataType
) -> pa.Array:
    """Add up two rounds; null where neither has a number, or where a cost is unknown."""
    counts = pa.types.is_integer(kind)
    total = (pc.fill_null(first, 0) if counts else first).to_numpy().copy()
    added = (pc.fill_null(second, 0) if counts else second).to_numpy()
    total[ordinals] += added
    # With a mask, Arrow does not turn NaN into null, so the mask has to include it.
    nothing = np.zeros(len(total), dtype=bool) if counts else np.isnan(total)
    if counts:
        nothing = first.is_null().to_numpy().copy()
        nothing[ordinals] &= second.is_null().to_numpy()
    return pa.array(total, type=kind, mask=nothing, from_pandas=True)


def interleave(sent: Iterable[pa.Table], reused: Iterable[tuple[np.ndarray, pa.Table]]) -> Iterator[pa.Table]:
    """Yield the rows of a run in article order, with one table of each kind in memory at a time.

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
            # A reused row that follows n sent rows is placed just before sent row n.
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
    """Reads reused rows in order, up to the next sent row."""

    def __init__(self, files: Iterable[tuple[np.ndarray, pa.Table]]) -> None:
        self._files = iter(files)
        self._behind = np.empty(0, np.int64)
        self._rows: pa.Table | None = None
        self._seen = 0

    def before(self, end: int | None) -> tuple[np.ndarray, pa.Table] | None:
        """Return the next reused rows before sent row ``end`` (None: all), and the sent rows before each."""
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
