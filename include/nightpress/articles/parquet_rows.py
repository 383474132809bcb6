"""Rows of Parquet, a few at a time, without threads or read-ahead, so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.articles.article import FieldMap
from nightpress.articles.raw_row import Row, check_columns
from nightpress.errors import InputError
from nightpress.storage import StoragePath

_BATCH_BYTES = 1024 * 1024
_MAX_BATCH_ROWS = 1_024
_MICROSECONDS = {pa.duration("ns"): pa.duration("us"), pa.time64("ns"): pa.time64("us")}
_READ_BUFFER = 64 * 1024


def iter_parquet(stream: BinaryIO, path: StoragePath, fields: FieldMap) -> Iterator[Row]:
    """Yield each row as a dict.

    :raises InputError: it is cut off or damaged, or lacks a column, or has one of a type that cannot serve.
    """
    file = None
    try:
        file = pq.ParquetFile(pa.PythonFile(stream, mode="r"), pre_buffer=False, buffer_size=_READ_BUFFER)
    except (pa.ArrowException, OSError) as error:
        _pass_on_trouble_of_the_store(error)
    if file is None:
        raise InputError(f"{path} is cut off, or not a Parquet file; write it again")
    schema = file.schema_arrow
    check_columns(path, schema.names, fields)
    _check_types(path, schema, fields)
    position, damaged = 0, False
    batches = file.iter_batches(batch_size=_batch_rows(file.metadata), use_threads=False)
    while True:
        try:
            batch = next(batches, None)
            columns = [] if batch is None else [_values(column) for column in batch.columns]
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            _pass_on_trouble_of_the_store(error)
            damaged = True
        if damaged:
            raise InputError(f"{path} cannot be read after row {position:,}: it is damaged; write it again")
        if batch is None:
            return
        for values in zip(*columns, strict=True):
            position += 1
            yield position, dict(zip(schema.names, values, strict=True))


def _pass_on_trouble_of_the_store(error: Exception) -> None:
    """Raise again what Arrow did not raise itself; a retry may help."""
    if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
        raise error


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Return how many rows to hold at once, so that big articles do not add up."""
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=1)
    return max(1, min(_MAX_BATCH_ROWS, int(_BATCH_BYTES / max(widest, 1))))


def _check_types(path: StoragePath, schema: pa.Schema, fields: FieldMap) -> None:
    content, article_id = (_plain_type(schema.field(name).type) for name in (fields.content, fields.id))
    types = pa.types
    if not _is_text(content):
        raise InputError(
            f"{path}: the column {fields.content!r} is of type {content}, and text is needed; cast it to string, or "
            "map content to another column"
        )
    number = types.is_integer(article_id) or types.is_floating(article_id) or types.is_decimal(article_id)
    if not number and not _is_text(article_id):
        raise InputError(
            f"{path}: the column {fields.id!r} is of type {article_id}, and text or a number is needed; cast it to "
            "string, or map id to another column"
        )


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(
        test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    )


def _values(column: pa.Array) -> list[Any]:
    """Return Python values; what Python cannot hold (nanoseconds, the year 10,000) in the nearest form."""
    kind = column.type
    if (
        getattr(kind, "unit", "") == "ns"
    ):  # Python has microseconds; with nanoseconds pandas would be imported
        micro = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else _MICROSECONDS[kind]
        column = column.cast(micro, safe=False)
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):
        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
