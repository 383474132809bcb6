"""A shard's decoded answers as a table: one row for each article, in article order."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from include.errors import ResultsError
from include.outputs.typed_rows import INVALID
from include.results.billing import TOKEN_COLUMNS, cache_saved, costs
from include.results.decode import Outcome, StreamReport, iter_outcomes
from include.results.raw import open_raw
from include.results.schema import answers_schema
from include.results.typed import TypedAnswers, type_shard
from include.shards.requests import custom_id
from include.shards.shard import Shard, ShardFiles
from include.storage import StoragePath, atomic_writer

log = logging.getLogger(__name__)

_ROW_GROUP = 20_000
_BLOCK_ROWS = 10_000
_TEXT_COLUMNS = ("status", "text", "stop_reason", "model", "error_type", "error_message", "message_id")
_ANSWERS = pa.schema(
    [
        ("ordinal", pa.int64()),
        *((name, pa.string()) for name in _TEXT_COLUMNS),
        *((name, pa.int64()) for name in TOKEN_COLUMNS),
    ]
)


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
    :param submitted_at: ISO 8601, UTC; None when the ledger does not know.
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


class _Columns:
    """Outcomes in the order of the stream, turned into Arrow a block at a time."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._blocks: list[pa.Table] = []

    def add(self, ordinal: int, outcome: Outcome) -> None:
        self._rows.append((ordinal, *_read(outcome)))
        if len(self._rows) == _BLOCK_ROWS:
            self._turn()

    def to_table(self) -> pa.Table:
        """Return the columns of all outcomes, and their ordinals."""
        if self._rows or not self._blocks:
            self._turn()
        return pa.concat_tables(self._blocks)

    def _turn(self) -> None:
        # One pass in C for each column, instead of an append for each cell.
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(_ANSWERS)
        arrays = [pa.array(values, column.type) for values, column in zip(columns, _ANSWERS, strict=True)]
        self._blocks.append(pa.table(arrays, schema=_ANSWERS))
        self._rows.clear()


def collect_shard(
    shard: Shard, files: ShardFiles, provenance: Provenance, model: type[BaseModel] | None = None
) -> ShardResults:
    """Write ``results-<name>.parquet`` of a shard from its kept result stream.

    :param files: where the shard's files are; the articles and the raw results must be there.
    :param model: of a run with typed answers: its own validators check them, too.
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
    typed = type_shard(_in_article_order(columns, shard.articles), files, model)
    answers = typed.answers
    table = _table(articles, typed, shard, provenance)
    table = table.replace_schema_metadata({"pipeline": provenance.pipeline, "shard_key": shard.key})
    with atomic_writer(files.results) as target:
        pq.write_table(table, target, compression="zstd", row_group_size=_ROW_GROUP)
    return _summarize(table, shard, files.results, provenance, cache_saved(answers))


def _read(outcome: Outcome) -> tuple[str | int | None, ...]:
    """Return the cells of an outcome, in the order of the columns after the ordinal."""
    message, error = outcome.message, outcome.error
    if outcome.type == "succeeded" and message is not None:
        usage, content = message.usage, message.content
        written = usage.cache_creation_input_tokens or 0
        one_hour = usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else 0
        if len(content) == 1 and content[0].type == "text":
            text = content[0].text
        else:
            text = "".join([block.text for block in content if block.type == "text"])
        return (
            *("succeeded", text, message.stop_reason, message.model, None, None, message.id),
            *(usage.input_tokens, usage.output_tokens),
            *(max(written - one_hour, 0), one_hour, usage.cache_read_input_tokens or 0),
        )
    status = outcome.type if outcome.type in {"errored", "canceled", "expired"} else "errored"
    kind = (
        error.error.type
        if error
        else (None if status == outcome.type else f"unknown result {outcome.type}"[:100])
    )
    return (status, None, None, None, kind, error.error.message if error else None, None, 0, 0, 0, 0, 0)


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
    arrived = columns.to_table()
    ordinals = arrived["ordinal"].to_numpy()
    positions = np.full(articles, -1, dtype=np.int64)
    positions[ordinals] = np.arange(len(ordinals))
    indices = pa.array(positions, mask=positions < 0)
    table = arrived.drop_columns(["ordinal"]).combine_chunks().take(indices)
    status = pc.fill_null(table["status"].combine_chunks(), "missing")
    return table.set_column(table.schema.get_field_index("status"), "status", status)


def _table(articles: pa.Table, typed: TypedAnswers, shard: Shard, provenance: Provenance) -> pa.Table:
    count, answers = shard.articles, typed.answers
    paid, listed = costs(answers)
    if provenance.reused:
        paid = pa.array(np.zeros(count))
    answered = pc.is_in(answers["status"], pa.array(["succeeded", INVALID]))

    def of_answers(values: Any) -> pa.Array:
        return pc.if_else(answered, values, None)

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
    columns |= {column.name: articles[column.name] for column in metadata} | dict(typed.columns)
    schema = answers_schema(metadata, typed.fields)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _summarize(
    table: pa.Table, shard: Shard, path: StoragePath, provenance: Provenance, saved: float | None
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
        cache_saved_usd=saved,
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
