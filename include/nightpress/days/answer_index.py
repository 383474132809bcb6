"""Find answers that were paid for before by request key, in the published files of a pipeline.

The index takes 56 bytes per row: the request key, its first eight bytes sorted, and the row's position. A
match of the first bytes counts only if the whole key is equal.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightpress.days.day_sources import READABLE_AGAIN
from nightpress.errors import ResultsError
from nightpress.parquet_files import open_parquet
from nightpress.plain_text import for_log
from nightpress.results.answer_columns import has_earlier_statuses, with_statuses
from nightpress.results.answers_schema import TAIL
from nightpress.settings import OFFLINE_BATCH_PREFIX
from nightpress.statuses import STATUSES, SUCCEEDED
from nightpress.storage import StoragePath

_KEY_WORDS, _KEY_DIGITS = 4, 64
_LOOKED_AT = ["request_key", "status", "batch_id"]
_JUDGED = ["text", "stop_reason"]
_ANSWER = [column for column in TAIL if column.name != "day"]
_KEPT = [status.name for status in STATUSES.values() if status.kept]


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
        self._keys, self._rows, self._starts = self._read((*published, *replaced), replaced)
        heads = self._keys[:, 0]
        self._order = np.argsort(heads, kind="stable")
        self._heads = heads[self._order]

    def _read(
        self, paths: Iterable[StoragePath], replaced: Sequence[StoragePath]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the keys of all files, their rows in the files, and where each file begins among them."""
        keys, rows = [np.empty((0, _KEY_WORDS), np.uint64)], [np.empty(0, np.int64)]
        starts: list[int] = []
        for path in paths:
            read = _read_keys(path, self._statuses(path), self._offline)
            if read is None:
                continue
            found, positions = read
            if path in replaced:
                # Most of them are in the day's file: an index of them all would take as much memory again.
                new = ~np.isin(found[:, 0], np.concatenate([known[:, 0] for known in keys]))
                found, positions = found[new], positions[new]
            keys.append(found)
            rows.append(positions)
            starts.append(self.rows)
            self.files.append(path)
            self.rows += len(positions)
        return np.concatenate(keys), np.concatenate(rows), np.array(starts)

    def find(self, keys: Sequence[bytes]) -> list[tuple[int, int] | None]:
        """Return for each request the file's number and the row of its answer, or None; many at once are fast.

        :param keys: the request keys, 32 bytes each.
        """
        found: list[tuple[int, int] | None] = [None] * len(keys)
        wanted = np.frombuffer(b"".join(keys), np.uint64).reshape(-1, _KEY_WORDS)
        asked = np.arange(len(keys))
        positions = self._heads.searchsorted(wanted[:, 0])
        # Different keys with the same first bytes follow one another, so those not found yet go one further.
        while len(asked):
            inside = positions < self.rows
            asked, positions = asked[inside], positions[inside]
            alike = self._heads[positions] == wanted[asked, 0]
            asked, positions = asked[alike], positions[alike]
            places = self._order[positions]
            equal = (self._keys[places] == wanted[asked]).all(axis=1)
            hits = places[equal]
            numbers = self._starts.searchsorted(hits, side="right") - 1
            places_of = zip(numbers.tolist(), self._rows[hits].tolist(), strict=True)
            for at, place in zip(asked[equal].tolist(), places_of, strict=True):
                found[at] = place
            asked, positions = asked[~equal], positions[~equal] + 1
        return found

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
    """Return the request keys of the rows that count, each as four numbers, and the positions of these rows."""
    try:
        with _open_answers(path) as file:
            schema = file.schema_arrow
            columns = _LOOKED_AT + (_JUDGED if has_earlier_statuses(schema) else [])
            tables = [
                _keys(with_statuses(file.read_row_group(number, columns=columns), schema), statuses, offline)
                for number in range(file.num_row_groups)
            ]
            starts = np.cumsum([0] + [file.metadata.row_group(n).num_rows for n in range(len(tables))])
    except FileNotFoundError:
        return None
    rows = [rows + start for (_, rows), start in zip(tables, starts[:-1], strict=True)]
    none = np.empty((0, _KEY_WORDS), np.uint64), np.empty(0, np.int64)
    return np.concatenate([none[0], *[keys for keys, _ in tables]]), np.concatenate([none[1], *rows])


@contextmanager
def _open_answers(path: StoragePath) -> Iterator[pq.ParquetFile]:
    """Open a published file; a damaged one is not passed over, because its answers would be paid for again."""
    try:
        with open_parquet(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
            raise  # the store's, not Arrow's word for a damaged page
        raise ResultsError(
            f"{path} cannot be read ({for_log(error, 300)}). It holds answers that were paid for, so nothing was sent. "
            f"{READABLE_AGAIN} A damaged file of an earlier publication can also be moved away.",
            code="damaged_day",
        ) from None


def _counting(table: pa.Table, statuses: Sequence[str], offline: bool) -> pa.ChunkedArray:
    """Tell which rows count."""
    local = pc.starts_with(table["batch_id"], OFFLINE_BATCH_PREFIX)
    return pc.and_(pc.is_in(table["status"], pa.array(statuses)), pc.equal(local, offline))


def _keys(table: pa.Table, statuses: Sequence[str], offline: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of the rows that count, and their positions in the table."""
    counting = _counting(table, statuses, offline)
    chosen = pc.and_(counting, pc.equal(pc.binary_length(table["request_key"]), _KEY_DIGITS))
    digits = _joined(table["request_key"].filter(chosen))
    if not _is_hexadecimal(digits):
        # Rows of somebody else's among ours: each is looked at.
        chosen = pc.and_(counting, pc.match_substring_regex(table["request_key"], "^[0-9a-f]{64}$"))
        digits = _joined(table["request_key"].filter(chosen))
    rows = pc.indices_nonzero(chosen).to_numpy().astype(np.int64)
    return np.frombuffer(unhexlify(digits), np.uint64).reshape(len(rows), _KEY_WORDS), rows


def _joined(texts: pa.ChunkedArray) -> bytes:
    return b"".join(texts.cast(pa.binary()).to_pylist())


def _is_hexadecimal(digits: bytes) -> bool:
    """Return whether these are pairs of hexadecimal digits without capitals."""
    try:
        return hexlify(unhexlify(digits)) == digits
    except ValueError:
        return False


def _read_rows(path: StoragePath, rows: np.ndarray, statuses: Sequence[str], offline: bool) -> pa.Table:
    tables = []
    with _open_answers(path) as file:
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
        raise published_anew([path])
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


def published_anew(files: Sequence[StoragePath]) -> ResultsError:
    """Return the error for a day that was replaced between lookup and copy, so that its rows have changed."""
    return ResultsError(
        f"answers are copied from {', '.join(map(str, files))}, which was published again meanwhile. Nothing was sent; "
        "a retry looks again."
    )
