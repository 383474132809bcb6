"""Sources without files: a query or a function. Their rows are stored once, then read like any other source.

A query may give other rows a minute later, and a task may be retried; the rows that were read first are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import msgspec
import pyarrow as pa

from nightpress.articles.arrow_rows import AS_JSON
from nightpress.articles.reading_options import ReadLimits
from nightpress.articles.source_files import SourceFile, SourceFiles
from nightpress.errors import InputError
from nightpress.folders import RunFolder
from nightpress.parquet_files import write_parquet
from nightpress.storage import StoragePath, write_atomically

_ROWS_IN_FILE = 1_000
_BYTES_IN_FILE = 32 * 1024 * 1024


@runtime_checkable
class RowSource(Protocol):
    """A source that yields its own rows."""

    @property
    def shown(self) -> str:
        """The source for messages; never a secret value."""

    def iter_rows(self, day: str) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of a day, with only a few in memory at a time."""


class FunctionSource:
    """A function of the day that yields dicts."""

    def __init__(self, function: Callable[[str], Iterable[Mapping[str, Any]]]) -> None:
        self._function = function

    @property
    def shown(self) -> str:
        """The function's name."""
        return f"the function {getattr(self._function, '__qualname__', type(self._function).__name__)}"

    def iter_rows(self, day: str) -> Iterator[Mapping[str, Any]]:
        """Yield the function's rows.

        :raises InputError: a row is not a dict.
        """
        given = self._function(day)
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
            raise InputError(
                f"{self.shown} returned a {type(given).__name__}; it has to yield dicts, one an article"
            )
        for number, row in enumerate(given, start=1):
            if not isinstance(row, Mapping):
                raise InputError(
                    f"{self.shown}: row {number:,} is a {type(row).__name__}; it has to be a dict"
                )
            yield row


def as_row_source(source: object) -> RowSource | None:
    """Return a source that yields its own rows, or None if it is a path or a URL."""
    if isinstance(source, RowSource):
        return source
    return FunctionSource(source) if callable(source) and not isinstance(source, type) else None


def stage_rows(
    source: RowSource, day: str, folder: StoragePath, limits: ReadLimits | None = None
) -> SourceFiles:
    """Store the rows of a source below a folder, unless they are already stored; return the files to read.

    :param folder: folder of the run; the rows are in ``source/`` below it, a thousand per file.
    :raises InputError: a row is too large, or is not a dict.
    """
    files = RunFolder(folder)
    limits = limits or ReadLimits()
    if (known := _stored(files)) is not None:
        return known
    rows = source.iter_rows(day)
    count = 0
    while block := _next_block(rows, limits, source.shown):
        write_parquet(_as_table(block), files.source_rows(count))
        count += 1
    write_atomically(files.source_complete, msgspec.json.encode({"schema_version": 1, "files": count}))
    found = _stored(files)
    assert found is not None
    return found


def _stored(files: RunFolder) -> SourceFiles | None:
    try:
        known = msgspec.json.decode(files.source_complete.read_bytes())
    except FileNotFoundError:
        return None
    paths = map(files.source_rows, range(known["files"]))
    return SourceFiles([SourceFile(path, path.name, "parquet") for path in paths])


def _next_block(rows: Iterator[Mapping[str, Any]], limits: ReadLimits, shown: str) -> list[dict[str, Any]]:
    """Return the next rows, as many as fit into one file."""
    block: list[dict[str, Any]] = []
    size = 0
    for row in islice(rows, _ROWS_IN_FILE):
        plain = _plain_row(row, shown)
        row_bytes = sum(len(value) for value in plain.values() if isinstance(value, (str, bytes)))
        if row_bytes > limits.max_row_bytes:
            raise InputError(
                f"{shown}: a row has {row_bytes:,} bytes, more than max_row_bytes={limits.max_row_bytes:,}; raise it "
                "if that is right"
            )
        if len(plain) > limits.max_columns:
            raise InputError(
                f"{shown}: a row has {len(plain):,} fields, more than max_columns={limits.max_columns:,}"
            )
        block.append(plain)
        size += row_bytes
        if size >= _BYTES_IN_FILE:
            break
    return block


def _plain_row(row: Mapping[str, Any], shown: str) -> dict[str, Any]:
    """Return a row that Parquet can hold.

    :raises InputError: a text has lone surrogates.
    """
    with suppress(UnicodeEncodeError):
        plain = {str(name): _plain(value) for name, value in row.items()}
        for value in (*plain, *plain.values()):
            if isinstance(value, str) and not value.isascii():
                value.encode()
        return plain
    raise InputError(
        f"{shown}: a row has half a character (a lone surrogate); decode its bytes with errors='replace', or drop it. "
        "No article is sent until then"
    )


class _Nested(str):
    """A list or an object as JSON."""


def _plain(value: object) -> object:
    """Return a value that Parquet can hold: objects and lists as JSON."""
    if isinstance(value, (dict, list, tuple, set)):
        return _Nested(msgspec.json.encode(value, enc_hook=str).decode())
    return value


def _as_table(rows: list[dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    fields, columns = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        nested = any(type(value) is _Nested for value in values)
        column = _column_of_json(values) if nested else _column(values)
        fields.append(pa.field(name, column.type, metadata=AS_JSON if nested else None))
        columns.append(column)
    return pa.table(columns, schema=pa.schema(fields))


def _column_of_json(values: list[Any]) -> pa.Array:
    """Return a column whose reader gets back lists, objects and the texts beside them."""
    texts = [
        value
        if value is None or type(value) is _Nested
        else msgspec.json.encode(value, enc_hook=str).decode()
        for value in values
    ]
    return pa.array(texts, pa.string())


def _column(values: list[Any]) -> pa.Array:
    """Return a column of the narrowest type that holds the values; text if they are of several kinds."""
    try:
        return pa.array(_texts(values) if _loses_time(values) else values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, pa.ArrowNotImplementedError):
        return pa.array(_texts(values), pa.string())


def _texts(values: list[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]


def _loses_time(values: list[Any]) -> bool:
    """Return whether Arrow would drop the time of some, or guess its zone: dates, or both kinds of times, mixed."""
    kinds = {
        (type(value) is date, getattr(value, "tzinfo", None) is None)
        for value in values
        if isinstance(value, date)
    }
    return len(kinds) > 1
