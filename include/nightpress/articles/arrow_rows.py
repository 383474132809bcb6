"""Read rows of Parquet, Arrow (Feather) and ORC, a few at a time and without read-ahead, to save memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.articles.field_mapping import FieldPaths
from nightpress.articles.raw_row import Row
from nightpress.errors import InputError
from nightpress.parquet_files import as_arrow_file

_BATCH_BYTES = 1024 * 1024
_MAX_BATCH_ROWS = 1_024
_MICROSECONDS = {pa.duration("ns"): pa.duration("us"), pa.time64("ns"): pa.time64("us")}
_READ_BUFFER = 64 * 1024
AS_JSON = {b"nightpress": b"json"}
"""Metadata of a column of stored rows whose values are JSON."""


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """A table in a format that Arrow reads.

    :param batches: its record batches, read lazily.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def open_arrow(stream: BinaryIO, file: str, kind: str) -> ArrowTable:
    """Open a table.

    :param stream: a seekable stream.
    :param kind: parquet, arrow or orc.
    :raises InputError: the file is cut off or damaged.
    """
    table = None
    try:
        table = _OPENERS[kind](stream)
    except (pa.ArrowException, OSError, NotImplementedError, MemoryError) as error:
        _pass_on_trouble_of_the_store(error)
    if table is None:
        name = {"parquet": "a Parquet", "arrow": "an Arrow (Feather)", "orc": "an ORC"}[kind]
        raise InputError(f"{file} is cut off, or not {name} file that can be read; write it again")
    return table


def _open_parquet(stream: BinaryIO) -> ArrowTable:
    file = pq.ParquetFile(as_arrow_file(stream), pre_buffer=False, buffer_size=_READ_BUFFER)
    batches = file.iter_batches(batch_size=_batch_rows(file.metadata), use_threads=False)
    return ArrowTable(file.schema_arrow, batches)


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Return how many rows to hold in memory at once; fewer if the articles are large."""
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=1)
    return max(1, min(_MAX_BATCH_ROWS, int(_BATCH_BYTES / max(widest, 1))))


def _open_ipc(stream: BinaryIO) -> ArrowTable:
    source = as_arrow_file(stream)
    head = stream.read(6)
    stream.seek(0)
    if head == b"ARROW1":
        file = pa.ipc.open_file(source)
        return ArrowTable(file.schema, _checked(file.get_batch(n) for n in range(file.num_record_batches)))
    reader = pa.ipc.open_stream(source)
    return ArrowTable(reader.schema, _checked(iter(reader)))


def _checked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Validate batches that are memory-mapped from the file: an invalid offset would crash the process."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _open_orc(stream: BinaryIO) -> ArrowTable:
    from pyarrow import orc

    file = orc.ORCFile(as_arrow_file(stream))
    return ArrowTable(file.schema, _checked(file.read_stripe(n) for n in range(file.nstripes)))


_OPENERS = {"parquet": _open_parquet, "arrow": _open_ipc, "orc": _open_orc}


def iter_batches(table: ArrowTable, file: str) -> Iterator[Row]:
    """Yield each row as a dict.

    :raises InputError: a part is damaged; the message names the last row that could be read.
    """
    names, position, damaged = table.schema.names, 0, False
    read = [_json_values if field.metadata == AS_JSON else _values for field in table.schema]
    batches = iter(table.batches)
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            for start in range(0, batch.num_rows, _MAX_BATCH_ROWS):
                part = batch.slice(start, _MAX_BATCH_ROWS)
                columns = [get(column) for get, column in zip(read, part.columns, strict=True)]
                for values in zip(
                    *columns, strict=True
                ):  # no list of them: it would cost a tuple for each row
                    position += 1
                    yield position, dict(zip(names, values, strict=True))
        except (
            pa.ArrowException,
            OSError,
            UnicodeDecodeError,
            MemoryError,
        ) as error:  # a damaged length asks for too much
            _pass_on_trouble_of_the_store(error)
            damaged = True
        if damaged:
            raise InputError(f"{file} cannot be read after row {position:,}: it is damaged; write it again")


def _pass_on_trouble_of_the_store(error: Exception) -> None:
    """Raise an error again if it is not Arrow's but the store's; a retry may help."""
    if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
        raise error


def check_types(file: str, schema: pa.Schema, mapping: FieldPaths) -> None:
    """Raise InputError if the column of the content or the id has an unsuitable type."""
    types = pa.types
    content = _type_at(schema, mapping.content)
    if content is not None and not _is_text(content) and not _may_hold_text(content):
        raise InputError(
            f"{file}: the column {'.'.join(mapping.content)!r} is of type {content}, and text is needed; cast it to "
            "string, or map content to another column"
        )
    article_id = None if mapping.id is None else _type_at(schema, mapping.id)
    if article_id is None or _is_text(article_id) or isinstance(article_id, pa.UuidType):
        return
    if not (types.is_integer(article_id) or types.is_floating(article_id) or types.is_decimal(article_id)):
        raise InputError(
            f"{file}: the column {'.'.join(mapping.id or ())!r} is of type {article_id}, and text or a number is "
            "needed; cast it to string, or map id to another column"
        )


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType | None:
    """Return the type of a column, or of a field inside structs."""
    if path[0] not in schema.names:
        return None
    kind = schema.field(path[0]).type
    for key in path[1:]:
        if not pa.types.is_struct(kind) or kind.get_field_index(key) < 0:
            return None
        kind = kind.field(key).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind


def _is_text(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.JsonType):
        return True
    types = pa.types
    return any(
        test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    )


def _may_hold_text(kind: pa.DataType) -> bool:
    """Return whether values can be a list of paragraphs, or the objects of rich text."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    if any(test(kind) for test in lists):
        return _is_text(kind.value_type) or _may_hold_text(kind.value_type)
    return bool(pa.types.is_struct(kind))


def _json_values(column: pa.Array) -> list[Any]:
    return [None if text is None else msgspec.json.decode(text) for text in column.to_pylist()]


def _values(column: pa.Array) -> list[Any]:
    """Return Python values; what Python cannot hold (nanoseconds, the year 10,000) gets the nearest form."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        column, kind = column.storage, kind.storage_type
    if getattr(kind, "unit", "") == "ns":
        # Python has microseconds; for nanoseconds, Arrow would import pandas
        micro = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else _MICROSECONDS[kind]
        column = column.cast(micro, safe=False)
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):
        readable = _times_as_text(kind)
        return column.cast(pa.string() if readable == kind else readable).to_pylist()  # type: ignore[no-any-return]


def _times_as_text(kind: pa.DataType) -> pa.DataType:
    """Return a type with text in place of times, also inside lists and objects."""
    types = pa.types
    if types.is_struct(kind):
        return pa.struct([field.with_type(_times_as_text(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(_times_as_text(kind.key_type), _times_as_text(kind.item_type))
    if types.is_large_list(kind):
        return pa.large_list(_times_as_text(kind.value_type))
    if types.is_list(kind):
        return pa.list_(_times_as_text(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_times_as_text(kind.value_type), kind.list_size)
    if types.is_dictionary(kind):
        return _times_as_text(kind.value_type)
    return pa.string() if types.is_temporal(kind) else kind
