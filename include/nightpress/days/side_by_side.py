"""Several published days side by side: one row per article, one struct column per variant.

Every article of any day is a row, in the order of the first day; articles that only later days have follow. A
variant's column is null if its day lacks the article; without an answer, the struct still has the status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.days.day_sources import OFFLINE
from nightpress.errors import ResultsError
from nightpress.parquet_files import open_parquet, parquet_writer
from nightpress.results.answers_schema import HEAD, TAIL, metadata_fields, output_fields
from nightpress.shards.column_names import AMOUNT_COLUMNS, TOKEN_COLUMNS
from nightpress.shards.metadata_columns import common_type, text_column
from nightpress.storage import StoragePath

VARIANTS = "variants"
"""Name in the file's metadata of the pipelines by variant, as JSON."""

BEFORE_TYPED = ("status", "text")
AFTER_TYPED = (
    "stop_reason",
    "model",
    *TOKEN_COLUMNS,
    *AMOUNT_COLUMNS,
    "error_type",
    "reused",
)
"""Fields of a variant's struct before and after those of its typed answers."""

ROWS = 2_000
"""Rows written at once."""

CHOICES = b"choices"
"""Metadata key of a typed field with few values, such as an enum."""

_FIELDS = {field.name: field for field in TAIL}


def write_comparison(
    days: Mapping[str, StoragePath],
    target: StoragePath,
    *,
    name: str,
    day: str,
    pipelines: Mapping[str, str],
) -> int:
    """Join published days by article id into ``target``, replaced atomically; return the number of articles.

    The ids of all articles, and a few thousand rows of each day, are in memory at a time.

    :param days: ``answers.parquet`` by the name of the variant.
    :param pipelines: the pipeline of each variant, for the file's metadata.
    :raises ResultsError: a day is not published or cannot be read.
    """
    with ExitStack() as stack:
        opened = {variant: _Day(stack, path) for variant, path in days.items()}
        order, places = _align([opened_day.read_ids() for opened_day in opened.values()])
        metadata = _metadata(list(opened.values()), opened)
        about = {"comparison": name, "day": day, VARIANTS: msgspec.json.encode(dict(pipelines)).decode()}
        about[OFFLINE] = "yes" if any(opened_day.offline for opened_day in opened.values()) else "no"
        schema = _schema(metadata, opened).with_metadata(about)
        with parquet_writer(target, schema) as writer:
            for start in range(0, len(order), ROWS):
                chunk = [own[start : start + ROWS] for own in places]
                rows = [opened_day.take(own) for opened_day, own in zip(opened.values(), chunk, strict=True)]
                writer.write_table(_join(rows, chunk, opened, metadata, schema), row_group_size=ROWS)
    return len(order)


class _Day:
    """A published day whose rows can be read in any order, with few of them in memory at a time."""

    def __init__(self, stack: ExitStack, path: StoragePath) -> None:
        try:
            self.file = stack.enter_context(open_parquet(path))
        except FileNotFoundError:
            raise ResultsError(
                f"there is no {path}: a variant's day is not published. Publish it, then compare again.",
                code="not_published",
            ) from None
        except pa.ArrowInvalid as error:
            raise ResultsError(
                f"{path} cannot be read ({error}). Publish the day of the run that made it once more, which pays "
                "nothing; then compare again.",
                code="damaged_day",
            ) from None
        self.schema = self.file.schema_arrow
        self.typed = output_fields(self.schema)
        self.metadata = metadata_fields(self.schema)
        self.metadata_names = {field.name for field in self.metadata}
        self.offline = (self.schema.metadata or {}).get(OFFLINE.encode()) == b"yes"
        groups = range(self.file.num_row_groups)
        self._groups = np.cumsum([0, *(self.file.metadata.row_group(number).num_rows for number in groups)])
        wanted = ["article_id", "title", *BEFORE_TYPED, *AFTER_TYPED]
        wanted += [field.name for field in (*self.metadata, *self.typed)]
        # An earlier version did not write all of them.
        self._wanted = [name for name in wanted if name in self.schema.names]
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._window: pa.RecordBatch | None = None
        self._start = 0

    def read_ids(self) -> pa.Array:
        """Return the articles' ids in order."""
        ids = self.file.read(["article_id"])["article_id"].cast(pa.large_string())
        return ids.combine_chunks() if ids.num_chunks else pa.array([], pa.large_string())

    def fields(self) -> list[pa.Field]:
        """Return the fields of the struct that a row becomes."""
        before, after = (
            [_FIELDS[name] for name in names if name in self.schema.names]
            for names in (BEFORE_TYPED, AFTER_TYPED)
        )
        return [field.with_nullable(True) for field in (*before, *map(_inside_struct, self.typed), *after)]

    def take(self, places: np.ndarray) -> pa.Table:
        """Return the rows at ``places``; a negative place gives a row of nulls."""
        wanted = np.unique(places[places >= 0])
        found = self._read(wanted).unify_dictionaries().combine_chunks()
        return found.take(pa.array(np.searchsorted(wanted, places), mask=places < 0))

    def _read(self, wanted: np.ndarray) -> pa.Table:
        """Return rows in file order: read forward if possible, else go back to the start of a row group.

        :param wanted: row numbers, ascending.
        """
        parts: list[pa.RecordBatch] = []
        done = 0
        while done < len(wanted):
            if self._window is None or wanted[done] < self._start:
                self._go_back(int(wanted[done]))
            assert self._window is not None
            end = self._start + self._window.num_rows
            inside = int(np.searchsorted(wanted, end))
            if inside > done:
                parts.append(self._window.take(pa.array(wanted[done:inside] - self._start)))
                done = inside
            if done < len(wanted):
                self._start, self._window = end, next(self._batches)
        return pa.Table.from_batches(parts, pa.schema([self.schema.field(name) for name in self._wanted]))

    def _go_back(self, row: int) -> None:
        group = int(np.searchsorted(self._groups, row, side="right")) - 1
        numbers = range(group, self.file.num_row_groups)
        self._batches = self.file.iter_batches(ROWS, row_groups=numbers, columns=self._wanted)
        self._start, self._window = int(self._groups[group]), next(self._batches)


def _inside_struct(field: pa.Field) -> pa.Field:
    """Return a typed column as a struct field; pyarrow cannot read a dictionary there over several groups."""
    if not pa.types.is_dictionary(field.type):
        return field
    return field.with_type(field.type.value_type).with_metadata({**(field.metadata or {}), CHOICES: b"yes"})


def _align(ids: Sequence[pa.Array]) -> tuple[pa.Array, list[np.ndarray]]:
    """Return all ids, and for each day the row of each id, -1 if the day does not have it."""
    order = ids[0]
    for own in ids[1:]:
        if not own.equals(order):
            order = pa.concat_arrays([order, own.filter(pc.invert(pc.is_in(own, value_set=order)))])
    places = []
    for own in ids:
        if own.equals(order):
            places.append(np.arange(len(order), dtype=np.int64))
        else:
            found = pc.fill_null(pc.index_in(order, value_set=own), -1)
            places.append(found.to_numpy().astype(np.int64))
    return order, places


def _metadata(days: Sequence[_Day], variants: Mapping[str, object]) -> dict[str, pa.Field]:
    """Return the articles' columns by their name in the days; one with the name of a variant is renamed."""
    kinds: dict[str, list[pa.DataType]] = {}
    for opened_day in days:
        for field in opened_day.metadata:
            kinds.setdefault(field.name, []).append(field.type)
    taken = {variant.casefold() for variant in variants} | {field.name for field in HEAD} | {"day"}
    found = {}
    for name, types in kinds.items():
        column = name
        while column.casefold() in taken:
            column = f"source_{column}"
        taken.add(column.casefold())
        found[name] = pa.field(column, common_type(types))
    return found


def _schema(metadata: Mapping[str, pa.Field], days: Mapping[str, _Day]) -> pa.Schema:
    variants = [
        pa.field(
            variant,
            pa.struct(opened_day.fields()),
            metadata={"about": "the variant's answer; null when its day has no such article"},
        )
        for variant, opened_day in days.items()
    ]
    return pa.schema([*HEAD, *metadata.values(), *variants])


def _join(
    rows: Sequence[pa.Table],
    places: Sequence[np.ndarray],
    days: Mapping[str, _Day],
    metadata: Mapping[str, pa.Field],
    schema: pa.Schema,
) -> pa.Table:
    columns = [_first_of(rows, places, field.name, field.type) for field in HEAD]
    for name, field in metadata.items():
        # Another variant's typed answer may have the same name.
        having = [number for number, each in enumerate(days.values()) if name in each.metadata_names]
        own_rows, own_places = [rows[number] for number in having], [places[number] for number in having]
        columns.append(_first_of(own_rows, own_places, name, field.type))
    for opened_day, own, table in zip(days.values(), places, rows, strict=True):
        fields = opened_day.fields()
        children = [_whole(table[field.name], field.type) for field in fields]
        columns.append(pa.StructArray.from_arrays(children, fields=fields, mask=pa.array(own < 0)))
    return pa.table(columns, schema=schema)


def _first_of(
    rows: Sequence[pa.Table], places: Sequence[np.ndarray], name: str, kind: pa.DataType
) -> pa.Array:
    """Return a column of the articles, each from the first of these days that has the article."""
    found = pa.nulls(len(places[0]), kind)
    missing = np.ones(len(places[0]), bool)
    for table, own in zip(rows, places, strict=True):
        here = missing & (own >= 0)
        if here.any():
            found = pc.if_else(pa.array(here), _whole(table[name], kind), found)
        missing &= ~here
    return found


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    chunks = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if chunks.type == kind:
        return chunks
    return text_column(chunks) if pa.types.is_string(kind) else chunks.cast(kind)
