"""Answers that were paid for before: found by their request key, copied, not sent again.

The index holds 56 bytes a row: the request key, its first eight bytes sorted, and the row's place. A key that
is found there is compared whole before it counts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightpress.errors import ResultsError
from nightpress.outputs.output_schema import OutputSchema
from nightpress.results.answers_schema import TAIL, answers_schema
from nightpress.results.typed_answers import type_answers
from nightpress.settings import OFFLINE_BATCH_PREFIX
from nightpress.shards.metadata_columns import metadata_column
from nightpress.storage import StoragePath, atomic_writer

ORDINALS = b"ordinals"
"""Key of the schema metadata of ``reused-*.parquet``: see :func:`read_ordinals`."""

_ROWS_A_FILE = 20_000
_KEY_BYTES = 32
_LOOKED_AT = ["request_key", "status", "batch_id"]
_ANSWER = [column.name for column in TAIL if column.name not in {"request_key", "day"}]
_OF_OURS = {"article_id", "title", "source_file", "source_position"}


class AnswerIndex:
    """Where the answer to a request is, among published files of one pipeline.

    :param published: ``answers.parquet`` files, the preferred one first; one that is not there is no error.
    :param offline: True finds answers of the offline API alone, False those of a model alone: the one never
        stands in for the other.
    """

    def __init__(self, published: Iterable[StoragePath], *, offline: bool) -> None:
        self.files: list[StoragePath] = []
        self.rows = 0
        heads, places, self._keys = [], [], []
        for path in published:
            keys = _read_keys(path, offline)
            if keys is None:
                continue
            found, rows = keys
            heads.append(_heads(found))
            places.append(np.arange(len(rows), dtype=np.int64) + self.rows)
            self._keys.append((self.rows, found, rows))
            self.files.append(path)
            self.rows += len(rows)
        unsorted = np.concatenate(heads) if heads else np.empty(0, np.uint64)
        order = np.argsort(unsorted, kind="stable")
        self._view: memoryview = unsorted[order].data
        self._places = np.concatenate(places)[order] if places else order
        self._starts = [start for start, _, _ in self._keys]

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Return the file's number and the row of an answer, or None.

        :param key: the request key, 32 bytes.
        """
        if not self.rows:
            return None
        head = int.from_bytes(key[:8], "big")
        # One key at a time, the standard library's bisect is twice as fast as numpy's.
        position = bisect_left(self._view, head)
        while position < self.rows and self._view[position] == head:
            place = int(self._places[position])
            number = bisect_right(self._starts, place) - 1
            start, keys, rows = self._keys[number]
            if keys[place - start].tobytes() == key:
                return number, int(rows[place - start])
            position += 1
        return None


def _read_keys(path: StoragePath, offline: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the request keys of a file's answers, 32 bytes each, and their rows."""
    try:
        with path.open("rb") as stream:
            file = pq.ParquetFile(pa.PythonFile(stream, mode="r"))
            tables = [
                _answered(file.read_row_group(number, columns=_LOOKED_AT), offline)
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


def _answered(table: pa.Table, offline: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of the answers in a table, and their rows."""
    chosen = pc.and_(
        pc.equal(table["status"], "succeeded"),
        pc.match_substring_regex(table["request_key"], "^[0-9a-f]{64}$"),
    )
    local = pc.starts_with(table["batch_id"], OFFLINE_BATCH_PREFIX)
    chosen = pc.and_(chosen, pc.equal(local, offline))
    rows = pc.indices_nonzero(chosen).to_numpy().astype(np.int64)
    keys = bytes.fromhex("".join(table["request_key"].filter(chosen).to_pylist()))
    return np.frombuffer(keys, np.uint8).reshape(len(rows), _KEY_BYTES), rows


def _heads(keys: np.ndarray) -> np.ndarray:
    """Return the first eight bytes of each key as a number."""
    return np.ascontiguousarray(keys[:, :8]).view(">u8").ravel().astype(np.uint64)


@dataclass(slots=True)
class _Waiting:
    """Articles whose answers are about to be copied."""

    ordinals: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    articles: list[dict[str, object]] = field(default_factory=list)


class ReusedRows:
    """Takes the articles that have an answer already, and writes them as ``reused-<n>.parquet``.

    The rows are those of a shard's results: the article's own id, title and metadata of today, the answer of
    then, ``reused`` set and ``cost_usd`` 0.

    :param folder: the run's.
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
        """Take an article if its request was answered before.

        :param key: the request key, 32 bytes.
        :param row: the article's columns, without its text.
        :param ordinal: its place among all articles of the run, from 0.
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
        """Write what was taken and not written yet.

        :raises ResultsError: a published file is not the one that was looked up; a retry looks again.
        """
        waiting, self._waiting = self._waiting, _Waiting()
        if not waiting.ordinals:
            return
        # The columns are made of the text once more: the answer is the same, the schema may have other columns now.
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
        path = reused_file(self.folder, len(self.files))
        with atomic_writer(path) as stream:
            pq.write_table(
                table.replace_schema_metadata({ORDINALS: ordinals.hex()}), stream, compression="zstd"
            )
        self.files.append(path)

    def _copy_answers(self, waiting: _Waiting) -> pa.Table:
        """Return the answers that are waited for, in this order; each row group is read once."""
        found = np.asarray(waiting.places, np.int64)
        tables: list[pa.Table] = []
        positions = np.empty(len(found), np.int64)
        start = 0
        for number in np.unique(found[:, 0]):
            wanted = np.flatnonzero(found[:, 0] == number)
            rows, inverse = np.unique(found[wanted, 1], return_inverse=True)
            tables.append(_read_rows(self.index.files[int(number)], rows))
            positions[wanted] = start + inverse
            start += len(rows)
        copied = pa.concat_tables(tables).take(pa.array(positions))
        if copied["request_key"].to_pylist() != [key.hex() for key in waiting.keys]:
            raise _published_anew(self.index.files)
        return copied


def _published_anew(files: Sequence[StoragePath]) -> ResultsError:
    """Another run replaced a day between the look for answers and their copy: its rows are other articles' now."""
    return ResultsError(
        f"answers are copied from {', '.join(map(str, files))}, which was published anew meanwhile. Nothing was sent; "
        "a retry looks again."
    )


def _read_rows(path: StoragePath, rows: np.ndarray) -> pa.Table:
    """Return the answers in the given rows of a published file, which are sorted.

    :raises ResultsError: there are not as many; the file is not the one that was looked up.
    """
    tables = []
    with path.open("rb") as stream:
        file = pq.ParquetFile(pa.PythonFile(stream, mode="r"))
        start = 0
        for number in range(file.num_row_groups):
            end = start + file.metadata.row_group(number).num_rows
            inside = rows[(rows >= start) & (rows < end)] - start
            if len(inside):
                group = file.read_row_group(number, columns=[*_ANSWER, "request_key"])
                tables.append(group.take(pa.array(inside)).filter(pc.field("status") == "succeeded"))
            start = end
    if sum(table.num_rows for table in tables) != len(rows):
        raise _published_anew([path])
    return pa.concat_tables(tables)


def reused_file(folder: StoragePath, number: int) -> StoragePath:
    """Return where the ``number``-th file of reused rows of a run is, counted from 0."""
    return folder / f"reused-{number:05d}.parquet"


def read_ordinals(path: StoragePath) -> np.ndarray:
    """Return the place of each row of a file of reused rows among all articles of the run, from 0."""
    with path.open("rb") as stream:
        metadata = pq.read_schema(pa.PythonFile(stream, mode="r")).metadata or {}
    return np.frombuffer(bytes.fromhex(metadata[ORDINALS].decode()), np.int64)
