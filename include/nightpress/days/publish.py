"""Publish a day: the rows of all its shards as one Parquet, replaced in one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightpress.days.day_sources import KEY, describe_sources
from nightpress.days.interleave import interleave
from nightpress.days.merge_rounds import SecondRoundRows, merge
from nightpress.days.reuse import read_ordinals
from nightpress.errors import ResultsError
from nightpress.outputs.arrow_columns import arrow_fields
from nightpress.outputs.output_schema import OutputSchema
from nightpress.results.answers_schema import answers_schema, metadata_fields
from nightpress.results.typed_answers import kept_output
from nightpress.settings import is_offline
from nightpress.shards.metadata_columns import common_type
from nightpress.shards.shard import ShardFiles
from nightpress.storage import StoragePath, atomic_writer

OUTPUT = "output"
"""Name in the metadata of the digest of the schema of the answers."""

_ROW_GROUP = 20_000


@dataclass(frozen=True, slots=True)
class DaySummary:
    """The numbers of a published day; small enough to travel by XCom.

    :param failed: articles without an answer, by status (or the API's error type when errored).
    :param cost_usd: USD paid; None when a model's price is not known.
    :param wasted_usd: USD paid for answers that the second round replaced.
    """

    uri: str
    pipeline: str
    day: str
    articles: int
    succeeded: int
    failed: dict[str, int]
    rejected: int
    rejected_uri: str
    reused: int
    batches: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    list_cost_usd: float | None
    saved_usd: float | None
    wasted_usd: float | None
    offline: bool


def publish_day(
    results: Sequence[StoragePath],
    target: StoragePath,
    *,
    pipeline: str,
    day: str,
    rejected: StoragePath,
    second: Sequence[StoragePath] = (),
    reused: Sequence[StoragePath] = (),
    made_by: Mapping[str, str] | None = None,
) -> DaySummary:
    """Join the results of a day's shards, in order, into ``target``; readers see the old file or the new.

    A day without articles is published too, as a file of no rows with all columns.

    :param results: ``results-*.parquet`` of the shards, in article order.
    :param second: those of the second round; each row joins that of the same article.
    :param rejected: ``rejected.parquet`` of the run; the schema of its answers is beside it, if they have one.
    :param reused: ``reused-*.parquet`` of the run: rows that were not sent.
    :param made_by: further metadata of the file, such as the run and the digest of its prompt.
    """
    output = kept_output(rejected.parent)
    schema = _common_schema([*results, *reused], output)
    sources = describe_sources(results, second, rejected, reused)
    about = {"pipeline": pipeline, "day": day, "shards": str(len(results)), KEY: sources}
    about |= {OUTPUT: output.digest} if output is not None else {}
    schema = schema.with_metadata(about | dict(made_by or {}))
    numbers = _Numbers()
    sent = (_fit(rows, schema) for rows in _iter_rows(results, second, numbers))
    copies = ((read_ordinals(path), _fit(_read(path), schema)) for path in reused)
    with atomic_writer(target) as stream, pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for table in interleave(sent, copies):
            numbers.add(table)
            writer.write_table(table, row_group_size=_ROW_GROUP)
    return DaySummary(
        uri=str(target),
        pipeline=pipeline,
        day=day,
        articles=numbers.articles,
        succeeded=numbers.succeeded,
        failed=dict(numbers.failed.most_common()),
        rejected=count_rows(rejected),
        rejected_uri=str(rejected),
        reused=numbers.reused,
        batches=len(numbers.batches),
        input_tokens=numbers.input_tokens,
        output_tokens=numbers.output_tokens,
        cost_usd=numbers.cost,
        list_cost_usd=numbers.list_cost,
        saved_usd=None
        if numbers.cost is None or numbers.list_cost is None
        else numbers.list_cost - numbers.cost,
        wasted_usd=numbers.wasted,
        offline=any(map(is_offline, numbers.batches)),
    )


def _iter_rows(
    results: Sequence[StoragePath], second: Sequence[StoragePath], numbers: _Numbers
) -> Iterator[pa.Table]:
    """Yield the rows of the day, a row group at a time where there is nothing to merge."""
    again = SecondRoundRows(second)
    for path in results:
        with path.open("rb") as source:
            file = pq.ParquetFile(pa.PythonFile(source, mode="r"))
            rows = again.of(ShardFiles.of_results(path).name)
            if rows is not None:
                first = file.read()
                merged, wasted = merge(first, rows)
                numbers.waste(wasted)
                numbers.see_batches(first)
                numbers.see_batches(rows)
                yield merged
                continue
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)


def _read(path: StoragePath) -> pa.Table:
    with path.open("rb") as stream:
        return pq.read_table(pa.PythonFile(stream, mode="r"))


def count_rows(path: StoragePath) -> int:
    """Return the number of rows of a Parquet file."""
    with path.open("rb") as stream:
        return int(pq.read_metadata(pa.PythonFile(stream, mode="r")).num_rows)


def _common_schema(results: Sequence[StoragePath], output: OutputSchema | None) -> pa.Schema:
    """Return a schema that holds all shards: metadata columns may differ from shard to shard."""
    kinds: dict[str, list[pa.DataType]] = {}
    for path in results:
        try:
            with path.open("rb") as stream:
                schema = pq.read_schema(pa.PythonFile(stream, mode="r"))
        except FileNotFoundError:
            raise ResultsError(
                f"the results {path} are gone, so the day is not published; clear write_results of that shard"
            ) from None
        for column in metadata_fields(schema):
            kinds.setdefault(column.name, []).append(column.type)
    metadata = [pa.field(name, common_type(types)) for name, types in kinds.items()]
    return answers_schema(metadata, arrow_fields(output) if output is not None else ())


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for column in schema:
        if column.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, column.type))
        else:
            columns.append(_cast(table[column.name], column.type))
    return pa.table(columns, schema=schema)


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # No cast of Arrow's own, e.g. decimal to text in some versions: by way of Python's text.
        return pa.chunked_array(
            [[None if value is None else str(value) for value in values.to_pylist()]], kind
        )


class _Numbers:
    """Totals, added up group by group."""

    def __init__(self) -> None:
        self.articles = self.succeeded = self.reused = self.input_tokens = self.output_tokens = 0
        self.failed: Counter[str] = Counter()
        self.batches: set[str] = set()
        self.cost: float | None = 0.0
        self.list_cost: float | None = 0.0
        self.wasted: float | None = 0.0

    def see_batches(self, table: pa.Table) -> None:
        self.batches.update(pc.unique(table["batch_id"]).to_pylist())

    def waste(self, usd: float | None) -> None:
        self.wasted = None if usd is None or self.wasted is None else self.wasted + usd

    def add(self, table: pa.Table) -> None:
        self.articles += table.num_rows
        for row in _count_outcomes(table):
            if row["status"] == "succeeded":
                self.succeeded += row["count_all"]
            else:
                self.failed[row["error_type"] or row["status"]] += row["count_all"]
        self.reused += pc.sum(table["reused"]).as_py() or 0
        self.input_tokens += pc.sum(table["input_tokens"]).as_py() or 0
        self.output_tokens += pc.sum(table["output_tokens"]).as_py() or 0
        self.see_batches(table)
        self.cost = _add(self.cost, table["cost_usd"])
        self.list_cost = _add(self.list_cost, table["list_cost_usd"])


def _count_outcomes(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        table.select(["status", "error_type"])
        .group_by(["status", "error_type"])
        .aggregate([([], "count_all")])
        .to_pylist()
    )
    return rows


def _add(total: float | None, column: pa.ChunkedArray) -> float | None:
    if total is None or column.null_count:
        return None
    return total + (pc.sum(column).as_py() or 0.0)
