"""Parquet files under the data root: read in parts, and written so that no partial file is ever visible."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from nightpress.storage import StoragePath, atomic_writer, open_reader

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def as_arrow_file(stream: IO[bytes] | io.RawIOBase) -> pa.PythonFile:
    """Wrap an open stream in a file object that Arrow's readers accept."""
    import pyarrow as pa

    return pa.PythonFile(stream, mode="r")


@contextmanager
def open_parquet(path: StoragePath, *, read_dictionary: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file for reading.

    :param read_dictionary: text columns with few distinct values, to save memory; absent ones are ignored.
    :raises FileNotFoundError: the file does not exist.
    :raises pyarrow.ArrowInvalid: the file is damaged or not Parquet.
    """
    import pyarrow.parquet as pq

    with open_reader(path) as stream:
        file = as_arrow_file(stream)
        metadata = pq.read_metadata(file)
        known = [name for name in read_dictionary if name in metadata.schema.names]
        yield pq.ParquetFile(file, metadata=metadata, read_dictionary=known or None)


def read_parquet(path: StoragePath, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some columns of it, into memory."""
    with open_parquet(path) as file:
        return file.read(columns=None if columns is None else list(columns))


@contextmanager
def parquet_writer(
    path: StoragePath,
    schema: pa.Schema,
    distinct: Collection[str] = (),
    *,
    search: bool = True,
    before_replacing: Callable[[StoragePath], object] | None = None,
) -> Iterator[pq.ParquetWriter]:
    """Open a Parquet file for writing; it appears under ``path``, complete, when the block ends without an error.

    :param distinct: columns whose values rarely repeat; a dictionary of them would take time and save no space.
    :param search: keep statistics of the ``distinct`` columns, so that readers can skip rows they do not need.
    :param before_replacing: see :func:`nightpress.storage.atomic_writer`.
    """
    import pyarrow.parquet as pq

    repeating = [name for field in schema if field.name not in distinct for name in _leaves(field)]
    with (
        atomic_writer(path, before_replacing) as stream,
        pq.ParquetWriter(
            stream, schema, compression="zstd", use_dictionary=repeating, write_statistics=search or repeating
        ) as writer,
    ):
        yield writer


def _leaves(field: pa.Field, prefix: str = "") -> Iterator[str]:
    """Yield the names that Parquet gives to a column, or to the parts of a nested one."""
    import pyarrow as pa

    name = prefix + field.name
    if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
        yield from _leaves(field.type.value_field.with_name("element"), f"{name}.list.")
    elif pa.types.is_struct(field.type):
        for part in field.type:
            yield from _leaves(part, f"{name}.")
    else:
        yield name


def write_parquet(table: pa.Table, path: StoragePath) -> None:
    """Store a table as one Parquet file, completely or not at all."""
    with parquet_writer(path, table.schema) as writer:
        writer.write_table(table)
