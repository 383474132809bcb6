"""The columns of a published day: the same type in all shards and, as far as possible, on all days.

Readers of a folder of days expect the columns of one file in all files. So a day has every metadata column of
the last published day, with its type if the day's values fit; otherwise the column gets the wider type, and
the change is reported. Column names are compared case-insensitively, as in SQL. There is no column ``day``:
readers make one from the folder ``day=…``, and pandas fails on a second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.outputs.arrow_columns import arrow_fields
from nightpress.outputs.output_schema import OutputSchema
from nightpress.parquet_files import open_parquet
from nightpress.results.answers_schema import HEAD, TAIL, metadata_fields, published_schema, with_large_text
from nightpress.shards.metadata_columns import MAX_DIGITS, common_type, digits_of, text_column
from nightpress.storage import StoragePath

_EXACT = 2**53
"""Whole numbers up to here are exact as floating-point numbers."""


@dataclass(frozen=True, slots=True)
class DaySchema:
    """The columns of a day.

    :param schema: schema of the published file.
    :param names: published names of the metadata columns.
    :param changed: columns whose type differs from that of the last published day, with both types.
    """

    schema: pa.Schema
    names: PublishedColumnNames
    changed: Mapping[str, str] = field(default_factory=dict)

    def fit(self, table: pa.Table) -> pa.Table:
        """Return rows of a shard with the day's columns and large text; columns it lacks are null."""
        metadata = [column.name for column in metadata_fields(table.schema)]
        named = dict(zip(table.column_names, table.column_names, strict=True)) | self.names.of_file(metadata)
        own = {named[name]: table[name] for name in table.column_names}
        schema = with_large_text(self.schema)
        columns = [
            _cast(own[column.name], column.type)
            if column.name in own
            else pa.nulls(table.num_rows, column.type)
            for column in schema
        ]
        return pa.table(columns, schema=schema)


def plan_schema(
    results: Sequence[StoragePath], output: OutputSchema | None, earlier: pa.Schema | None
) -> DaySchema:
    """Return the columns of a day.

    :param results: files of rows, in order.
    :param earlier: schema of the last published day; None if there is none.
    :raises ResultsError: a file is missing.
    """
    typed = arrow_fields(output) if output is not None else []
    names = PublishedColumnNames(column.name for column in (*HEAD, *TAIL, *typed))
    found: dict[str, pa.DataType] = {}
    if earlier is not None:
        columns = metadata_fields(earlier)
        named = names.of_file(column.name for column in columns)
        found = {named[column.name]: column.type for column in columns}
    before = dict(found)
    kinds: dict[str, list[pa.DataType]] = {}
    inexact: set[str] = set()
    for path in results:
        with _open(path) as file:
            columns = metadata_fields(file.schema_arrow)
            named = names.of_file(column.name for column in columns)
            for column in columns:
                name = named[column.name]
                kinds.setdefault(name, []).append(column.type)
                if pa.types.is_integer(column.type) and _holds_large(file, column.name):
                    inexact.add(name)
    changed = {}
    for name, types in kinds.items():
        kind = _published_type(types, before.get(name))
        if pa.types.is_floating(kind) and name in inexact:
            kind = pa.string()
        if name in before and kind != before[name]:
            changed[name] = f"{before[name]} → {kind}"
        found[name] = kind
    metadata = [pa.field(name, kind) for name, kind in found.items()]
    return DaySchema(published_schema(metadata, typed), names, changed)


def _published_type(types: Sequence[pa.DataType], before: pa.DataType | None) -> pa.DataType:
    """Return the type of a column.

    The digits of a decimal column are those of the day's longest value, so they differ from day to day. A column with
    room for all that a value can have keeps its type.

    >>> _published_type([pa.decimal128(4, 2)], None), _published_type([pa.decimal128(4, 2)], pa.decimal128(5, 2))
    (Decimal128Type(decimal128(38, 2)), Decimal128Type(decimal128(5, 2)))

    :param types: of the day's files.
    :param before: of the last published day; None if it has no such column.
    """
    if before is not None and all(map(pa.types.is_null, types)):
        return before
    today = common_type(types)
    known = [today] if before is None else [today, before]
    exact = all(pa.types.is_decimal128(kind) or pa.types.is_integer(kind) for kind in known)
    if not exact or not any(map(pa.types.is_decimal128, known)):
        return common_type(known)
    whole, scale = digits_of(today)
    if before is not None and pa.types.is_decimal128(before):
        room, places = digits_of(before)
        if whole <= room and scale <= places:
            return before
        scale = max(scale, places)
    return pa.decimal128(MAX_DIGITS, scale) if whole + scale <= MAX_DIGITS else pa.string()


def last_published_schema(root: DataRoot, pipeline: str, day: str) -> pa.Schema | None:
    """Return the columns of the last published day before this one; without one, of the next day after it."""
    days = [other for other in root.published_days(pipeline) if other != day]
    before = [other for other in reversed(days) if other < day]
    for other in (*before, *(other for other in days if other > day)):
        try:
            with open_parquet(root.answers(pipeline, other)) as file:
                return file.schema_arrow
        except (FileNotFoundError, pa.ArrowInvalid):
            continue
    return None


class PublishedColumnNames:
    """Gives each metadata column a name that is unique, also when case is ignored.

    Columns whose names differ only by case are the same across files, but two columns within one file.

    >>> names = PublishedColumnNames(["status"])
    >>> names.of_file(["Status", "Topic"])
    {'Status': 'source_Status', 'Topic': 'Topic'}
    >>> names.of_file(["topic", "TOPIC"])
    {'topic': 'Topic', 'TOPIC': 'source_TOPIC'}

    :param ours: reserved names, which no metadata column gets.
    """

    def __init__(self, ours: Iterable[str]) -> None:
        self._ours = {name.casefold() for name in ours}
        self._spelled: dict[str, str] = {}

    def of_file(self, columns: Iterable[str]) -> dict[str, str]:
        """Return the published name of each metadata column of a file, in order."""
        used: dict[str, str] = {}
        for column in columns:
            name = column
            while name.casefold() in self._ours or name.casefold() in used:
                name = f"source_{name}"
            used[name.casefold()] = column
        return {
            column: self._spelled.setdefault(folded, _spelling(folded, column))
            for folded, column in used.items()
        }


def _spelling(folded: str, column: str) -> str:
    """Return a published name in the column's own spelling, with the prefixes of the case-folded name."""
    return f"{folded[: len(folded) - len(column.casefold())]}{column}"


@contextmanager
def _open(path: StoragePath) -> Iterator[pq.ParquetFile]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_parquet(path))
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            why = "are gone" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            if path.name.startswith("reused-"):
                raise ResultsError(
                    f"the reused answers {path} {why}, so the day is not published; read the articles of the run "
                    "once more, which pays nothing for them",
                    code="reused_gone",
                ) from None
            raise ResultsError(
                f"the results {path} {why}, so the day is not published; collect that shard once more",
                code="results_gone",
            ) from None
        yield file


def _holds_large(file: pq.ParquetFile, column: str) -> bool:
    """Return whether a column may hold whole numbers that are not exact as floating-point numbers."""
    index = file.schema_arrow.get_field_index(column)
    for number in range(file.num_row_groups):
        values = file.metadata.row_group(number).column(index)
        found = values.statistics if values.path_in_schema == column else None
        if found is None or not found.has_min_max:
            if found is None or found.null_count != values.num_values:
                return True
        elif max(abs(found.min), abs(found.max)) > _EXACT:
            return True
    return False


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return text_column(values) if pa.types.is_string(kind) else values.cast(kind)
