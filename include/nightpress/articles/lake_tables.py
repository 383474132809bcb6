"""Read rows of Delta and Iceberg tables: only the rows in the table's current log, never deleted rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nightpress.articles.arrow_rows import ArrowTable, iter_batches
from nightpress.articles.extras import import_extra
from nightpress.articles.raw_row import FileRows
from nightpress.articles.reading_options import Reading
from nightpress.articles.source_files import SourceFile
from nightpress.errors import InputError


def open_lake_table(file: SourceFile, reading: Reading) -> FileRows:
    """Open the newest version of a table.

    :raises InputError: it cannot be read, or the library lacks one of its features (deletion vectors).
    :raises ConfigurationError: the library is not installed.
    """
    shown = str(file.path)
    module = {"delta": "deltalake", "iceberg": "pyiceberg.table"}[file.format]
    library = import_extra(
        module, f"{shown}, which is {'a Delta' if file.format == 'delta' else 'an Iceberg'} table,"
    )
    opened: tuple[ArrowTable, str] | None = None
    problem = "damaged, or of a version that the library cannot read"
    try:
        opened = _OPENERS[file.format](library, file)
    except InputError:
        raise
    except Exception as error:  # the libraries raise many kinds
        problem = f"{problem} ({type(error).__name__})"
    if opened is None:
        raise InputError(f"{shown} is {problem}; write the rows as Parquet and name that folder")
    table, version = opened
    reading.report.detected(shown, f"{file.format.capitalize()} table, version {version}")
    return FileRows(shown, iter_batches(table, shown), table.schema.names, schema=table.schema)


def _open_delta(library: Any, file: SourceFile) -> tuple[ArrowTable, str]:
    import pyarrow as pa

    table = library.DeltaTable(_location(file))
    dataset = table.to_pyarrow_dataset()
    schema: pa.Schema = dataset.schema
    return ArrowTable(schema, _batches(dataset)), str(table.version())


def _batches(dataset: Any) -> Iterator[Any]:
    yield from dataset.to_batches(
        batch_size=1_024, batch_readahead=1, fragment_readahead=1, use_threads=False
    )


def _open_iceberg(library: Any, file: SourceFile) -> tuple[ArrowTable, str]:
    newest = max(
        (path for path in (file.path / "metadata").iterdir() if path.name.endswith(".metadata.json")),
        key=lambda path: _number(path.name),
    )
    table = library.StaticTable.from_metadata(_url(newest))
    reader = table.scan().to_arrow_batch_reader()
    return ArrowTable(reader.schema, iter(reader)), str(_number(newest.name))


def _number(name: str) -> int:
    """Return the version in ``00003-<uuid>.metadata.json`` or ``v3.metadata.json``."""
    digits = name.removeprefix("v").split("-")[0].split(".")[0]
    return int(digits) if digits.isdigit() else -1


def _location(file: SourceFile) -> str:
    return str(file.path.path) if str(file.path.protocol) in ("", "file", "local") else _url(file.path)


def _url(path: Any) -> str:
    return f"{path.protocol or 'file'}://{path.path}"


_OPENERS = {"delta": _open_delta, "iceberg": _open_iceberg}
