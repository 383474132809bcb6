"""Reuse answers that were paid for before: find them by request key and copy them instead of sending again.

The index takes 56 bytes per row: the request key, its first eight bytes sorted, and the row's position. A
match of the first bytes counts only if the whole key is equal.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.errors import ResultsError
from nightpress.folders import RunFolder
from nightpress.outputs.output_schema import OutputSchema
from nightpress.parquet_files import open_parquet, write_parquet
from nightpress.results.answer_columns import has_earlier_statuses, with_statuses
from nightpress.results.answers_schema import TAIL, answers_schema
from nightpress.results.typed_answers import type_answers
from nightpress.settings import OFFLINE_BATCH_PREFIX
from nightpress.shards.metadata_columns import metadata_column
from nightpress.statuses import STATUSES, SUCCEEDED
from nightpress.storage import StoragePath

ORDINALS = b"ordinals"
"""Key of the schema metadata of ``reused-*.parquet``: see :func:`read_ordinals`."""

_ROWS_A_FILE = 20_000
_KEY_BYTES = 32
_LOOKED_AT = ["request_key", "status", "batch_id"]
_JUDGED = ["text", "stop_reason"]
_ANSWER = [column for column in TAIL if column.name != "day"]
_KEPT = [status.name for status in STATUSES.values() if status.kept]
_OF_OURS = {"article_id", "title", "source_file", "source_position"}


class AnswerIndex:
    """Finds the answer to a request in the published files of one pipeline.

    :param published: ``answers.parquet`` files, the preferred one first; a missing file is no error.
    :param offline: True finds only answers of the offline API, False only answers of a model; one never
        replaces the other.
    :param same_day: the file of the day itself. In it, paid outcomes without an answer count as well, because
        the same request would end the same way. In files of other days only answers count.
    :param replaced: earlier publications of the day; they count like its file, for requests that it lacks. A run
        with fewer articles replaces the day, and what it leaves out is paid for all the same.
    """

    def __init__(
        self,
        published: Iterable[StoragePath],
        *,
        offline: bool,
        same_day: StoragePath | None = None,
        replaced: Sequence[StoragePath] = (),
    ) -> None:
        self._offline, self._same_day = offline, (same_day, *replaced)
        self.files: list[StoragePath] = []
        self.rows = 0
        heads, self._keys = [np.empty(0, np.uint64)], []
        for path in (*published, *replaced):
            keys = _read_keys(path, self._statuses(path), offline)
            if keys is None:
                continue
            found, rows = keys
            if path in replaced:
                # Most of them are in the day's file: an index of them all would take as much memory again.
                new = ~np.isin(_heads(found), np.concatenate(heads))
                found, rows = found[new], rows[new]
            heads.append(_heads(found))
            self._keys.append((self.rows, found.ravel().data, rows.data))
            self.files.append(path)
            self.rows += len(rows)
        unsorted = np.concatenate(heads)
        order = np.argsort(unsorted, kind="stable")
        ordered = unsorted[order]
        # Memory views, because for single numbers the standard library is faster than numpy.
        self._heads, self._places = ordered.data, order.data
        self._bounds = np.searchsorted(ordered >> np.uint64(48), np.arange(2**16 + 1)).data
        self._starts = [start for start, _, _ in self._keys]

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Return the file's number and the row of an answer, or None.

        :param key: the request key, 32 bytes.
        """
        first = key[0] << 8 | key[1]
        end, head = self._bounds[first + 1], int.from_bytes(key[:8], "big")
        position = bisect_left(self._heads, head, self._bounds[first], end)
        while position < end and self._heads[position] == head:
            place = self._places[position]
            number = bisect_right(self._starts, place) - 1
            start, keys, rows = self._keys[number]
            at = place - start
            if keys[at * _KEY_BYTES : (at + 1) * _KEY_BYTES] == key:
                return number, rows[at]
            position += 1
        return None

    def copy_rows(self, number: int, rows: np.ndarray) -> pa.Table:
        """Return rows of the ``number``-th file.

        :param rows: row numbers, sorted.
        :raises ResultsError: the rows do not exist (any more), because the file was published again.
        """
        path = self.files[number]
        return _read_rows(path, rows, self._statuses(path), self._offline)

    def _statuses(self, path: StoragePath) -> Sequence[str]:
        return _KEPT if path in self._same_day else (SUCCEEDED,)


def _read_keys(
    path: StoragePath, statuses: Sequence[str], offline: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the request keys of the rows that count, 32 bytes each, and the positions of these rows."""
    try:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            columns = _LOOKED_AT + (_JUDGED if has_earlier_statuses(schema) else [])
            tables = [
                _keys(with_statuses(file.read_row_group(number, columns=columns), schema), statuses, offline)
                for number in range(file.num_row_groups)
            ]
            starts = np.cumsum([0] + [file.metadata.row_group(n).num_rows for n in range(len(tables))])
    except FileNotFoundError:
        return None
    keys = [keys for keys, _ in tables]
    rows = [rows + start for (_, rows), start in zip(tables, starts[:-1], strict=True)]
    if not keys:
        return np.empty((0, _KEY_BYTES), np.uint8), np.empty(0, np.int64)
    return np.concatenate(keys), np.concatenate(rows)


def _counting(table: pa.Table, statuses: Sequence[str], offline: bool) -> pa.ChunkedArray:
    """Tell which rows count."""
    local = pc.starts_with(table["batch_id"], OFFLINE_BATCH_PREFIX)
    return pc.and_(pc.is_in(table["status"], pa.array(statuses)), pc.equal(local, offline))


def _keys(table: pa.Table, statuses: Sequence[str], offline: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of the rows that count, and their positions in the table."""
    valid = pc.match_substring_regex(table["request_key"], "^[0-9a-f]{64}$")
    chosen = pc.and_(_counting(table, statuses, offline), valid)
    rows = pc.indices_nonzero(chosen).to_numpy().astype(np.int64)
    keys = bytes.fromhex("".join(table["request_key"].filter(chosen).to_pylist()))
    return np.frombuffer(keys, np.uint8).reshape(len(rows), _KEY_BYTES), rows


def _heads(keys: np.ndarray) -> np.ndarray:
    """Return the first eight bytes of each key as a number."""
    return np.ascontiguousarray(keys[:, :8]).view(">u8").ravel().astype(np.uint64)


@dataclass(slots=True)
class _Waiting:
    """Articles whose answers will be copied."""

    ordinals: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    articles: list[dict[str, object]] = field(default_factory=list)


class ReusedRows:
    """Takes the articles that already have an answer, and writes them as ``reused-<n>.parquet``.

    The rows have the columns of a shard's results: the article's current id, title and metadata, the earlier
    answer, ``reused`` set and ``cost_usd`` 0.

    :param folder: folder of the run.
    :param day: partition key, YYYY-MM-DD.
    :param output: the schema of the run's answers, or None for plain text.
    """

    def __init__(
        self,
        index: AnswerIndex,
        folder: StoragePath,
        day: str,
        *,
        output: OutputSchema | None = None,
        write: bool = True,
    ) -> None:
        self.index, self.folder, self.day, self.write, self.output = index, folder, day, write, output
        self.files: list[StoragePath] = []
        self.count = 0
        self._waiting = _Waiting()

    def take(self, key: bytes, row: dict[str, object], ordinal: int) -> bool:
        """Take an article if its request was answered before; return whether it was taken.

        :param key: the request key, 32 bytes.
        :param row: the article's columns, without its text.
        :param ordinal: its position among all articles of the run, from 0.
        """
        place = self.index.find(key)
        if place is None:
            return False
        self.count += 1
        if self.write:
            self._waiting.ordinals.append(ordinal)
            self._waiting.keys.append(key)
            self._waiting.places.append(place)
            self._waiting.articles.append(row)
            if len(self._waiting.ordinals) == _ROWS_A_FILE:
                self.flush()
        return True

    def flush(self) -> None:
        """Write the taken articles that are not written yet.

        :raises ResultsError: a published file was replaced since the lookup; a retry looks it up again.
        """
        waiting, self._waiting = self._waiting, _Waiting()
        if not waiting.ordinals:
            return
        # Read the columns from the text again: the answer is the same, but the schema may have changed.
        typed = type_answers(self._copy_answers(waiting), self.output)
        answers = typed.answers
        names = dict.fromkeys(name for row in waiting.articles for name in row)
        own = {name: metadata_column([row.get(name) for row in waiting.articles]) for name in names}
        columns = {name: answers[name] for name in answers.column_names} | own | dict(typed.columns)
        count = len(waiting.ordinals)
        columns["cost_usd"] = pa.array(np.zeros(count))
        columns["reused"] = pa.repeat(True, count)
        columns["day"] = pa.repeat(self.day, count)
        metadata = [pa.field(name, column.type) for name, column in own.items() if name not in _OF_OURS]
        schema = answers_schema(metadata, typed.fields)
        table = pa.table([columns[name] for name in schema.names], schema=schema)
        ordinals = np.asarray(waiting.ordinals, np.int64).tobytes()
        path = RunFolder(self.folder).reused(len(self.files))
        write_parquet(table.replace_schema_metadata({ORDINALS: ordinals.hex()}), path)
        self.files.append(path)

    def _copy_answers(self, waiting: _Waiting) -> pa.Table:
        """Return the requested answers in this order; each row group is read once."""
        found = np.asarray(waiting.places, np.int64)
        tables: list[pa.Table] = []
        positions = np.empty(len(found), np.int64)
        start = 0
        for number in np.unique(found[:, 0]):
            wanted = np.flatnonzero(found[:, 0] == number)
            rows, inverse = np.unique(found[wanted, 1], return_inverse=True)
            tables.append(self.index.copy_rows(int(number), rows))
            positions[wanted] = start + inverse
            start += len(rows)
        copied = pa.concat_tables(tables).take(pa.array(positions))
        if copied["request_key"].to_pylist() != [key.hex() for key in waiting.keys]:
            raise _published_anew(self.index.files)
        return copied


def _published_anew(files: Sequence[StoragePath]) -> ResultsError:
    """Return the error for a day that was replaced between lookup and copy, so that its rows have changed."""
    return ResultsError(
        f"answers are copied from {', '.join(map(str, files))}, which was published again meanwhile. Nothing was sent; "
        "a retry looks again."
    )


def _read_rows(path: StoragePath, rows: np.ndarray, statuses: Sequence[str], offline: bool) -> pa.Table:
    tables = []
    with open_parquet(path) as file:
        names = [column.name for column in _ANSWER if column.name in file.schema_arrow.names]
        start = 0
        for number in range(file.num_row_groups):
            end = start + file.metadata.row_group(number).num_rows
            inside = rows[(rows >= start) & (rows < end)] - start
            if len(inside):
                group = file.read_row_group(number, columns=names).take(pa.array(inside))
                group = with_statuses(group, file.schema_arrow)
                tables.append(group.filter(_counting(group, statuses, offline)))
            start = end
    if sum(table.num_rows for table in tables) != len(rows):
        raise _published_anew([path])
    return _with_all_columns(pa.concat_tables(tables))


def _with_all_columns(table: pa.Table) -> pa.Table:
    """Return the columns of answers; columns that an earlier version did not write are null."""
    columns = [
        table[column.name].cast(column.type)
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in _ANSWER
    ]
    return pa.table(columns, names=[column.name for column in _ANSWER])


def read_ordinals(path: StoragePath) -> np.ndarray:
    """Return the position of each row of a file of reused rows among all articles of the run, from 0."""
    with open_parquet(path) as file:
        metadata = file.schema_arrow.metadata or {}
    return np.frombuffer(bytes.fromhex(metadata[ORDINALS].decode()), np.int64)
