"""Turn a shard's kept result stream into its Parquet: one row for each article, in article order."""

from __future__ import annotations

import gc
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.batches.client import BatchApi
from include.batches.ledger import Entry, Ledger
from include.batches.model import Batch
from include.costs.prices import TokenColumns, cost_column, find_prices
from include.errors import ResultsError
from include.results.decode import Outcome, StreamReport, iter_outcomes
from include.results.raw import keep_raw, open_raw
from include.results.schema import answers_schema
from include.shards.requests import custom_id
from include.shards.shard import Shard, ShardFiles
from include.storage import StoragePath, atomic_writer

log = logging.getLogger(__name__)

READINGS = 3
"""How often results are read in which lines are damaged or of other shards, before those count as missing."""

_ROW_GROUP = 20_000
_TEXT_COLUMNS = ("status", "text", "stop_reason", "model", "error_type", "error_message", "message_id")
_TOKEN_COLUMNS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")


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
    """What became of a shard.

    :param key: the shard key.
    :param uri: the shard's Parquet.
    :param by_status: articles by status; they add up to the shard's articles.
    :param cost_usd: USD paid here, or None when a model's price is not known.
    :param cache_saved_usd: USD that prompt caching saved at batch prices; negative when writing to the cache
        cost more than reading from it saved.
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


@dataclass(slots=True)
class _Columns:
    """Outcomes in the order of the stream, column by column."""

    ordinals: list[int] = field(default_factory=list)
    text: dict[str, list[str | None]] = field(default_factory=lambda: {name: [] for name in _TEXT_COLUMNS})
    tokens: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _TOKEN_COLUMNS})

    def add(self, ordinal: int, outcome: Outcome) -> None:
        self.ordinals.append(ordinal)
        values, tokens = _read(outcome)
        for name, value in zip(_TEXT_COLUMNS, values, strict=True):
            self.text[name].append(value)
        for name, count in zip(_TOKEN_COLUMNS, tokens, strict=True):
            self.tokens[name].append(count)


def collect_batch(
    shard: Shard, requests: StoragePath, provenance: Provenance, api: BatchApi, ledger: Ledger
) -> ShardResults:
    """Keep the results of an ended batch, write the shard's Parquet, and record both in the ledger.

    :param requests: the shard's POST body; its other files are beside it.
    :raises ResultsError: the batch has not ended, or its results cannot be had; a retry pays nothing.
    """
    files = ShardFiles.beside(requests)
    entry = ledger.load(shard.key)
    if entry is not None and (entry.pipeline, entry.day) != (provenance.pipeline, provenance.day):
        provenance = replace(provenance, reused=True)
    if entry is not None and _take_kept(entry, shard, files, requests):
        results = collect_shard(shard, files, provenance)
    else:
        batch = _retrieve_ended(provenance.batch_id, api)
        entry = entry and msgspec.structs.replace(entry, ended_at=batch.ended_at)
        results = _download(batch, shard, files, provenance, api)
    if entry is not None:
        ledger.save(
            msgspec.structs.replace(
                entry,
                collected_at=datetime.now(UTC),
                answered=_may_be_billed(results),
                raw=entry.raw if provenance.reused and entry.raw else str(files.raw),
                results=entry.results if provenance.reused and entry.results else results.uri,
            )
        )
    return results


def _take_kept(entry: Entry, shard: Shard, files: ShardFiles, requests: StoragePath) -> bool:
    """Put the kept results of the shard's batch in place, if the ledger knows where they are.

    Only the ledger is believed: a file of the right name may be that of an earlier batch of the shard.
    """
    if entry.raw is None:
        return False
    kept = type(requests)(entry.raw)
    if not _is_kept(kept, shard):
        return False
    if str(kept) != str(files.raw):
        _copy(kept, files.raw)
    return True


def _download(
    batch: Batch, shard: Shard, files: ShardFiles, provenance: Provenance, api: BatchApi
) -> ShardResults:
    """Keep and collect the results; read them again while any is missing, for what is missing is paid again."""
    for _ in range(READINGS):
        lines = keep_raw(batch, files.raw, api)
        results = collect_shard(shard, files, provenance)
        if lines < batch.request_counts.total or not results.by_status.get("missing"):
            break
    return results


def _may_be_billed(results: ShardResults) -> int:
    """Return how many answers were or may have been billed: one that cannot be read was paid for all the same."""
    return sum(results.by_status.get(status, 0) for status in ("succeeded", "missing"))


def _retrieve_ended(batch_id: str, api: BatchApi) -> Batch:
    batch = api.retrieve(batch_id)
    if not batch.ended:
        raise ResultsError(
            f"batch {batch_id} is {batch.processing_status}; its results come when it has ended"
        )
    return batch


def _is_kept(raw: StoragePath, shard: Shard) -> bool:
    """Tell whether a kept result stream is there and is this shard's."""
    if not raw.exists():
        return False
    with open_raw(raw) as stream:
        return next(iter_outcomes(stream, shard.key, shard.articles, StreamReport()), None) is not None


def _copy(source: StoragePath, target: StoragePath) -> None:
    with source.open("rb") as stream, atomic_writer(target) as copy:
        shutil.copyfileobj(stream, copy)


def collect_shard(shard: Shard, files: ShardFiles, provenance: Provenance) -> ShardResults:
    """Write ``results-<name>.parquet`` of a shard from its kept result stream.

    :param files: where the shard's files are; the articles and the raw results must be there.
    :raises ResultsError: the articles are not those of the shard.
    """
    articles = _read_articles(files.articles, shard)
    report = StreamReport()
    columns = _Columns()
    with open_raw(files.raw) as stream, _no_cyclic_gc():
        for ordinal, outcome in iter_outcomes(stream, shard.key, shard.articles, report):
            columns.add(ordinal, outcome)
    if report.foreign or report.repeated or report.malformed:
        log.warning(
            "batch %s: %d foreign, %d repeated and %d malformed lines were left out (%s)",
            *(
                provenance.batch_id,
                report.foreign,
                report.repeated,
                report.malformed,
                ", ".join(report.examples),
            ),
        )
    answers = _in_article_order(columns, shard.articles)
    table = _table(articles, answers, shard, provenance)
    table = table.replace_schema_metadata({"pipeline": provenance.pipeline, "shard_key": shard.key})
    with atomic_writer(files.results) as target:
        pq.write_table(table, target, compression="zstd", row_group_size=_ROW_GROUP)
    return _summarize(table, shard, files.results, provenance, _cache_saved(answers))


def _read(outcome: Outcome) -> tuple[tuple[str | None, ...], tuple[int, ...]]:
    message, error = outcome.message, outcome.error
    if outcome.type == "succeeded" and message is not None:
        usage = message.usage
        written = usage.cache_creation_input_tokens or 0
        one_hour = usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else 0
        text = "".join([block.text for block in message.content if block.type == "text"])
        return (
            ("succeeded", text, message.stop_reason, message.model, None, None, message.id),
            (
                *(usage.input_tokens, usage.output_tokens),
                *(max(written - one_hour, 0), one_hour, usage.cache_read_input_tokens or 0),
            ),
        )
    status = outcome.type if outcome.type in {"errored", "canceled", "expired"} else "errored"
    kind = (
        error.error.type
        if error
        else (None if status == outcome.type else f"unknown result {outcome.type}"[:100])
    )
    return (status, None, None, None, kind, error.error.message if error else None, None), (0, 0, 0, 0, 0)


def _read_articles(path: StoragePath, shard: Shard) -> pa.Table:
    with path.open("rb") as stream:
        table = pq.read_table(pa.PythonFile(stream, mode="r"))
    found = (table.schema.metadata or {}).get(b"shard_key", b"").decode()
    if found != shard.key or table.num_rows != shard.articles:
        raise ResultsError(
            f"{path} holds {table.num_rows} articles of shard {found[:16] or 'unknown'}, but {shard.articles} of "
            f"shard {shard.key[:16]} were submitted: the articles were read again since. Clear the run from "
            "read_articles on; results that are paid for are found by the ledger."
        )
    return table


def _in_article_order(columns: _Columns, articles: int) -> pa.Table:
    arrived = {name: pa.array(values, pa.string()) for name, values in columns.text.items()}
    arrived |= {name: pa.array(values, pa.int64()) for name, values in columns.tokens.items()}
    positions = np.full(articles, -1, dtype=np.int64)
    positions[np.asarray(columns.ordinals, dtype=np.int64)] = np.arange(len(columns.ordinals))
    indices = pa.array(positions, mask=positions < 0)
    table = pa.table(arrived).take(indices)
    status = pc.fill_null(table["status"].combine_chunks(), "missing")
    return table.set_column(table.schema.get_field_index("status"), "status", status)


def _table(articles: pa.Table, answers: pa.Table, shard: Shard, provenance: Provenance) -> pa.Table:
    count = shard.articles
    paid, listed = _costs(answers)
    if provenance.reused:
        paid = pa.array(np.zeros(count))
    succeeded = pc.equal(answers["status"], "succeeded")

    def of_answers(values: Any) -> pa.Array:
        return pc.if_else(succeeded, values, None)

    columns: dict[str, Any] = {name: articles[name] for name in ("article_id", "title", "request_key")}
    columns |= {name: answers[name] for name in _TEXT_COLUMNS}
    columns |= {
        "custom_id": pa.array([custom_id(shard.key, ordinal) for ordinal in range(count)], pa.string()),
        "input_tokens": of_answers(answers["input"]),
        "output_tokens": of_answers(answers["output"]),
        "cache_creation_input_tokens": of_answers(
            pc.add(answers["cache_write_5m"], answers["cache_write_1h"])
        ),
        "cache_read_input_tokens": of_answers(answers["cache_read"]),
        "cost_usd": paid,
        "list_cost_usd": listed,
        "batch_id": pa.repeat(provenance.batch_id, count),
        "round": pa.array(np.full(count, shard.round, dtype=np.int16)),
        "reused": pa.repeat(provenance.reused, count),
        "day": pa.repeat(provenance.day, count),
    }
    known = {"article_id", "title", "request_key", "source_file", "source_position"}
    metadata = [column for column in articles.schema if column.name not in known]
    columns |= {column.name: articles[column.name] for column in metadata}
    schema = answers_schema(metadata)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _costs(answers: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Return USD paid and USD at list price; only succeeded requests are billed."""
    tokens = _tokens(answers)
    paid, listed = np.zeros(answers.num_rows), np.zeros(answers.num_rows)
    for model, rows in _iter_models(answers):
        prices = find_prices(model)
        if prices is None:
            log.warning("the price of model %s is not known; its cost is null", model)
            paid[rows] = listed[rows] = np.nan
        else:
            paid[rows] = cost_column(tokens, prices.batch)[rows]
            listed[rows] = cost_column(tokens, prices.list_price)[rows]
    return pa.array(paid, from_pandas=True), pa.array(listed, from_pandas=True)


def _cache_saved(answers: pa.Table) -> float | None:
    """Return what the same tokens would have cost more without the cache, at batch prices."""
    tokens = _tokens(answers)
    nothing = np.zeros_like(tokens.input)
    plain = TokenColumns(
        input=tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h,
        output=tokens.output,
        cache_read=nothing,
        cache_write_5m=nothing,
        cache_write_1h=nothing,
    )
    saved = 0.0
    for model, rows in _iter_models(answers):
        prices = find_prices(model)
        if prices is None:
            return None
        difference = cost_column(plain, prices.batch) - cost_column(tokens, prices.batch)
        saved += float(difference[rows].sum())
    return saved


def _tokens(answers: pa.Table) -> TokenColumns:
    return TokenColumns(
        **{name: pc.fill_null(answers[name], 0).to_numpy().astype(np.int64) for name in _TOKEN_COLUMNS}
    )


def _iter_models(answers: pa.Table) -> Iterator[tuple[str, Any]]:
    """Yield each model that answered, and which rows are its."""
    for model in pc.unique(answers["model"]).drop_null().to_pylist():
        yield model, pc.fill_null(pc.equal(answers["model"], model), False).to_numpy(zero_copy_only=False)


def _summarize(
    table: pa.Table, shard: Shard, path: StoragePath, provenance: Provenance, cache_saved: float | None
) -> ShardResults:
    def count(name: str) -> int:
        return pc.sum(table[name]).as_py() or 0

    def usd(name: str) -> float | None:
        return None if table[name].null_count else pc.sum(table[name]).as_py()

    return ShardResults(
        key=shard.key,
        uri=str(path),
        batch_id=provenance.batch_id,
        round=shard.round,
        reused=provenance.reused,
        articles=table.num_rows,
        by_status={row["values"]: row["counts"] for row in pc.value_counts(table["status"]).to_pylist()},
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_creation_input_tokens=count("cache_creation_input_tokens"),
        cache_read_input_tokens=count("cache_read_input_tokens"),
        cost_usd=usd("cost_usd"),
        list_cost_usd=usd("list_cost_usd"),
        cache_saved_usd=cache_saved,
    )


@contextmanager
def _no_cyclic_gc() -> Iterator[None]:
    """Decoding makes no cycles, and the collector would walk all rows again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
