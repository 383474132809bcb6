"""A shard's decoded answers as a table: one row per article, in article order."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from nightpress.errors import ResultsError
from nightpress.parquet_files import open_parquet, parquet_writer
from nightpress.plain_text import for_log
from nightpress.results.answer_columns import ANSWERS, TEXT_COLUMNS, to_columns
from nightpress.results.answers_schema import DISTINCT, answers_schema, iter_writable, with_large_text
from nightpress.results.billing import cache_saved, costs, count_billable
from nightpress.results.decode import StreamReport, iter_blocks, make_custom_ids, read_blocks
from nightpress.results.raw_results import open_raw
from nightpress.results.row_buckets import Buckets
from nightpress.results.typed_answers import ShardTyping, TypedAnswers
from nightpress.second_thread import SecondThread
from nightpress.shards.column_names import AMOUNT_COLUMNS, TOKEN_COLUMNS
from nightpress.shards.request_keys import custom_id_prefix
from nightpress.shards.shard import Shard, ShardFiles, shard_key_of
from nightpress.statuses import MESSAGE_STATUSES, MISSING
from nightpress.storage import StoragePath

log = logging.getLogger(__name__)

BUCKET_ROWS = 8_192
"""Most rows that are sorted at once; also of a row group in a shard's Parquet."""

_MAX_GEOGRAPHIES = 20
_OF_THE_SOURCE = {"source_file", "source_position"}
_OF_EVERY_ARTICLE = {"article_id", "title", "request_key", *_OF_THE_SOURCE}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the rows of a shard come from.

    :param day: partition key, YYYY-MM-DD.
    :param reused: the batch was paid for by another day or pipeline, so it costs nothing here.
    """

    pipeline: str
    day: str
    batch_id: str
    reused: bool = False


@dataclass(frozen=True, slots=True)
class ShardResults:
    """The results of a shard in numbers.

    :param key: the shard key.
    :param uri: reference of the shard's Parquet, relative to the data root.
    :param by_status: articles by status; they add up to the shard's articles.
    :param cost_usd: USD paid here; None if the cost of any request is unknown.
    :param known_cost_usd: USD paid here for the requests whose cost is known.
    :param unknown_cost_requests: requests whose cost is unknown.
    :param billable_requests: requests that were, or may have been, billed to whichever run sent them.
    :param geographies: where inference ran, according to the answers.
    :param cache_saved_usd: USD that prompt caching saved at batch prices; negative when writing to the cache
        cost more than reading from it saved.
    :param submitted_at: ISO 8601, UTC; None if the ledger does not know it.
    """

    key: str
    uri: str
    batch_id: str
    round: int
    reused: bool
    articles: int
    by_status: dict[str, int]
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cost_usd: float | None
    list_cost_usd: float | None
    cache_saved_usd: float | None
    submitted_at: str | None = None
    ended_at: str | None = None
    thinking_tokens: int = 0
    known_cost_usd: float = 0.0
    unknown_cost_requests: int = 0
    billable_requests: int = 0
    web_searches: int = 0
    geographies: tuple[str, ...] = ()


class ShardRows:
    """The rows of a shard: decoded from its result stream, then written in article order.

    Only a few thousand rows are in memory at a time, whatever the size of the shard.

    :param files: the shard's files; the file of its articles must exist.
    :param model: the model class of typed answers, whose own validators also check them.
    :ivar report: what the lines of the last stream were.
    """

    def __init__(
        self, shard: Shard, files: ShardFiles, provenance: Provenance, model: type[BaseModel] | None = None
    ) -> None:
        self._shard, self._files, self._provenance = shard, files, provenance
        # Of equal size: while the rows of one bucket are encoded, those of the next are prepared.
        buckets = max(-(-shard.articles // BUCKET_ROWS), 1)
        self._bucket_rows = max(-(-shard.articles // buckets), 1)
        self._typing = ShardTyping(files, model)
        self._buckets: Buckets | None = None
        self.report = StreamReport()

    def __enter__(self) -> ShardRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._buckets is not None:
            self._buckets.close()

    def read(self, blocks: Iterator[bytes]) -> StreamReport:
        """Decode a result stream; its rows replace those of an earlier call."""
        self._close()
        self._buckets = buckets = Buckets(ANSWERS, self._shard.articles, self._bucket_rows)
        self.report = StreamReport()
        with _no_cyclic_gc(), SecondThread(2) as beside:
            for block in iter_blocks(blocks, self._shard.key, self._shard.articles, self.report):
                for ordinals, rows in to_columns(block.ordinals, block.outcomes):
                    beside.run(buckets.add, rows, ordinals)
        return self.report

    def write(self) -> ShardResults:
        """Write ``results-<name>.parquet``; call it at most once per :meth:`read`.

        :raises ResultsError: the stored articles are not those of the shard.
        """
        if self._buckets is None:
            raise ValueError("no stream was read")
        self._log_unused_lines()
        totals = _Totals()
        with _open_articles(self._files.articles, self._shard) as articles:
            schema = _results_schema(articles.schema_arrow, self._typing, self._shard, self._provenance)
            with (
                parquet_writer(self._files.results, schema, DISTINCT, search=False) as writer,
                SecondThread(1) as beside,
            ):
                slices = zip(
                    iter_slices(articles, self._bucket_rows), self._buckets.iter_tables(), strict=True
                )
                for number, (slice_, arrived) in enumerate(slices):
                    first = number * self._bucket_rows
                    typed = self._typing.read(_with_missing(arrived), first)
                    rows = _table(slice_, typed, schema, first, self._shard, self._provenance)
                    totals.add(rows, typed.answers)
                    for piece in iter_writable(rows):
                        beside.run(writer.write_table, piece)
        self._typing.keep_checks()
        return totals.to_results(self._shard, self._files.results, self._provenance)

    def _log_unused_lines(self) -> None:
        report = self.report
        if report.foreign or report.repeated or report.malformed:
            log.warning(
                "batch %s: %d foreign, %d repeated and %d malformed lines were left out (%s)",
                self._provenance.batch_id,
                report.foreign,
                report.repeated,
                report.malformed,
                for_log(", ".join(report.examples)),
            )


def collect_shard(
    shard: Shard, files: ShardFiles, provenance: Provenance, model: type[BaseModel] | None = None
) -> ShardResults:
    """Write ``results-<name>.parquet`` of a shard from its stored result stream; see :class:`ShardRows`."""
    with ShardRows(shard, files, provenance, model) as rows:
        with open_raw(files.raw) as stream:
            rows.read(read_blocks(stream))
        return rows.write()


@contextmanager
def _open_articles(path: StoragePath, shard: Shard) -> Iterator[pq.ParquetFile]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_parquet(path))
        except FileNotFoundError:
            raise ResultsError(
                f"{path}, the articles of shard {shard.key[:16]}, is gone, so its answers are not written. Read the "
                "articles of the run once more; results that are paid for are found by the ledger.",
                code="articles_gone",
            ) from None
        found = shard_key_of(file)
        if found != shard.key or file.metadata.num_rows != shard.articles:
            raise ResultsError(
                f"{path} holds {file.metadata.num_rows} articles of shard {found[:16] or 'unknown'}, but "
                f"{shard.articles} of shard {shard.key[:16]} were submitted: the articles were read again since. "
                "Read the articles of the run once more; results that are paid for are found by the ledger.",
                code="articles_changed",
            )
        yield file


def iter_slices(file: pq.ParquetFile, rows: int) -> Iterator[pa.Table]:
    """Yield a file's rows in blocks of ``rows`` rows; the last block may have fewer."""
    waiting: list[pa.RecordBatch] = []
    for read in file.iter_batches(batch_size=rows):
        waiting.append(read)
        if sum(batch.num_rows for batch in waiting) >= rows:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, rows)
            waiting = table.slice(rows).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting)


def _with_missing(arrived: pa.Table) -> pa.Table:
    status = pc.fill_null(arrived["status"], MISSING)
    return arrived.set_column(arrived.schema.get_field_index("status"), "status", status)


def _results_schema(
    articles: pa.Schema, typing: ShardTyping, shard: Shard, provenance: Provenance
) -> pa.Schema:
    metadata = [column for column in articles if column.name not in _OF_EVERY_ARTICLE]
    return answers_schema(metadata, typing.fields).with_metadata(
        {"pipeline": provenance.pipeline, "shard_key": shard.key}
    )


def _table(  # noqa: PLR0917 - private, called once
    articles: pa.Table,
    typed: TypedAnswers,
    schema: pa.Schema,
    first: int,
    shard: Shard,
    provenance: Provenance,
) -> pa.Table:
    count, answers = articles.num_rows, typed.answers
    paid, listed = costs(answers)
    if provenance.reused:
        paid = pa.array(np.zeros(count))
    answered = pc.is_in(answers["status"], pa.array(MESSAGE_STATUSES))

    def of_answers(values: Any) -> pa.Array:
        return pc.if_else(answered, values, None)

    columns: dict[str, Any] = {
        name: articles[name] for name in articles.schema.names if name not in _OF_THE_SOURCE
    }
    columns |= {name: answers[name] for name in TEXT_COLUMNS}
    columns |= {
        "custom_id": make_custom_ids(custom_id_prefix(shard.key), np.arange(first, first + count)),
        "input_tokens": of_answers(answers["input"]),
        "output_tokens": of_answers(answers["output"]),
        "thinking_tokens": of_answers(answers["thinking"]),
        "cache_creation_input_tokens": of_answers(
            pc.add(answers["cache_write_5m"], pc.fill_null(answers["cache_write_1h"], 0))
        ),
        "cache_read_input_tokens": of_answers(answers["cache_read"]),
        "cost_usd": paid,
        "list_cost_usd": listed,
        "batch_id": pa.repeat(provenance.batch_id, count),
        "round": pa.array(np.full(count, shard.round, dtype=np.int16)),
        "reused": pa.repeat(provenance.reused, count),
        "day": pa.repeat(provenance.day, count),
    }
    columns |= typed.columns
    return pa.table([columns[name] for name in schema.names], schema=with_large_text(schema))


class _Totals:
    """Adds up the rows of a shard."""

    def __init__(self) -> None:
        self._by_status: Counter[str] = Counter()
        self._sums: dict[str, float] = dict.fromkeys((*TOKEN_COLUMNS, *AMOUNT_COLUMNS), 0)
        self._unknown: set[str] = set()
        self._saved: float | None = 0.0
        self._unknown_requests = self._billable_requests = 0
        self._searches = 0
        self._geographies: set[str] = set()

    def add(self, rows: pa.Table, answers: pa.Table) -> None:
        """Add rows, and the counts that are only in their answers."""
        saved = cache_saved(answers)
        self._searches += pc.sum(answers["web_searches"]).as_py() or 0
        self._geographies |= set(pc.unique(answers["inference_geo"]).drop_null().to_pylist())
        self._unknown_requests += rows["cost_usd"].null_count
        self._billable_requests += count_billable(answers)
        for row in pc.value_counts(rows["status"]).to_pylist():
            self._by_status[row["values"]] += row["counts"]
        for name in self._sums:
            self._sums[name] += pc.sum(rows[name]).as_py() or 0
        self._unknown |= {name for name in AMOUNT_COLUMNS if rows[name].null_count}
        self._saved = None if saved is None or self._saved is None else self._saved + saved

    def to_results(self, shard: Shard, path: StoragePath, provenance: Provenance) -> ShardResults:
        """Return the results of the shard in numbers."""
        return ShardResults(
            key=shard.key,
            uri=str(path),
            batch_id=provenance.batch_id,
            round=shard.round,
            reused=provenance.reused,
            articles=self._by_status.total(),
            by_status=dict(self._by_status),
            input_tokens=int(self._sums["input_tokens"]),
            output_tokens=int(self._sums["output_tokens"]),
            cache_creation_input_tokens=int(self._sums["cache_creation_input_tokens"]),
            cache_read_input_tokens=int(self._sums["cache_read_input_tokens"]),
            cost_usd=self._usd("cost_usd"),
            list_cost_usd=self._usd("list_cost_usd"),
            cache_saved_usd=self._saved,
            thinking_tokens=int(self._sums["thinking_tokens"]),
            known_cost_usd=self._sums["cost_usd"],
            unknown_cost_requests=self._unknown_requests,
            billable_requests=self._billable_requests,
            web_searches=self._searches,
            geographies=tuple(sorted(self._geographies)[:_MAX_GEOGRAPHIES]),
        )

    def _usd(self, name: str) -> float | None:
        return None if name in self._unknown else self._sums[name]


@contextmanager
def _no_cyclic_gc() -> Iterator[None]:
    """Turn off cyclic garbage collection: decoding makes no cycles, and each pass would visit all rows."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
