"""Publish a day: the rows of all its shards as one Parquet file, which is replaced atomically."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nightpress.days.day_rows import SecondRoundRows, interleave, merge
from nightpress.days.day_schema import last_published_schema, plan_schema
from nightpress.days.day_sources import CHANGED_TYPES, KEY, describe_sources
from nightpress.days.publications import check_replacement, keep_publication
from nightpress.days.reuse import read_ordinals
from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot
from nightpress.parquet_files import open_parquet, parquet_writer, read_parquet
from nightpress.results.answers_schema import DISTINCT, iter_writable
from nightpress.results.typed_answers import kept_output
from nightpress.settings import DEFAULT_KEPT_PUBLICATIONS, DEFAULT_MIN_ANSWERED_SHARE, is_offline
from nightpress.shards.shard import ShardFiles
from nightpress.statuses import SUCCEEDED, most_frequent
from nightpress.storage import StoragePath

OUTPUT = "output"
"""Name in the file's metadata of the digest of the answers' schema."""

_ROW_GROUP = 20_000


@dataclass(frozen=True, slots=True)
class DaySummary:
    """The numbers of a published day; small enough to travel by XCom.

    :param failed: articles without an answer, by the API's error type, or by status if there is none.
    :param input_tokens: of new answers, as all other tokens and amounts; reused ones were counted when they were paid.
    :param cost_usd: USD paid; None if a model's price is unknown.
    :param wasted_usd: USD paid for answers that the second round replaced.
    :param changed_types: metadata columns whose type differs from the last published day's, such as
        ``{"score": "int64 → double"}``; readers of several days need an explicit type for them.
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
    changed_types: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayParts:
    """The files and metadata that a day is made from.

    :param results: ``results-*.parquet`` of the shards, in article order.
    :param rejected: ``rejected.parquet`` of the run; a schema of typed answers is stored beside it.
    :param second: results of the second round; each row is merged with the first row of the same article.
    :param reused: ``reused-*.parquet`` of the run: rows that were not sent.
    :param made_by: more metadata of the file, such as the run and the digest of its prompt.
    """

    results: Sequence[StoragePath]
    rejected: StoragePath
    second: Sequence[StoragePath] = ()
    reused: Sequence[StoragePath] = ()
    made_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replacing:
    """Rules for replacing a published day.

    :param min_answered_share: share of the new day's articles, 0 to 1, that must have an answer if the
        published day has any; with 0, one answer is enough.
    :param lose_answers: replace the day even if answers are lost.
    :param keep: number of earlier publications to keep.
    :raises ConfigurationError: a number is out of range.
    """

    min_answered_share: float = DEFAULT_MIN_ANSWERED_SHARE
    lose_answers: bool = False
    keep: int = DEFAULT_KEPT_PUBLICATIONS

    def __post_init__(self) -> None:
        if not 0 <= self.min_answered_share <= 1:
            raise ConfigurationError(f"min_answered_share is {self.min_answered_share}; it must be 0 to 1")
        if self.keep < 0:
            raise ConfigurationError(f"{self.keep} publications cannot be kept; the number must be 0 or more")


def publish_day(
    root: DataRoot,
    pipeline: str,
    day: str,
    parts: DayParts,
    replacing: Replacing | None = None,
    *,
    contested: bool = False,
) -> DaySummary:
    """Join the results of a day's shards, in order, into the published day, which is replaced atomically.

    A day without articles is also published, as a file with all columns and no rows. The published file is
    copied before it is replaced, and a day with answers is not replaced by a day without.

    :param root: the data root; references in the file are relative to it.
    :param contested: another run of the day may publish it at the same moment. The new file is stored as a publication
        before it is visible, since the other run may replace it without having seen it.
    :raises ResultsError: results are missing, or the published day would lose its answers.
    """
    target = root.answers(pipeline, day)
    rules = replacing or Replacing()

    def before_replacing(made: StoragePath, articles: int, answered: int) -> None:
        if not rules.lose_answers:
            check_replacement(target, articles, answered, rules.min_answered_share)
        keep_publication(root, pipeline, day, keep=rules.keep, following=made if contested else None)

    earlier = last_published_schema(root, pipeline, day)
    return write_day(root, target, pipeline, day, parts, earlier, before_replacing)


def write_day(  # noqa: PLR0917 - all are needed
    root: DataRoot,
    target: StoragePath,
    pipeline: str,
    day: str,
    parts: DayParts,
    earlier: pa.Schema | None = None,
    before_replacing: Callable[[StoragePath, int, int], None] = lambda made, articles, answered: None,  # noqa: ARG005
) -> DaySummary:
    """Write the file of a day; see :func:`publish_day`.

    :param target: the file to write; it need not be the place where the day is published.
    :param earlier: columns whose types are kept where possible.
    :param before_replacing: called with the file and its numbers of articles and answers when everything is written
        but not visible yet; if it raises, ``target`` stays unchanged.
    """
    output = kept_output(parts.rejected.parent)
    columns = plan_schema([*parts.results, *parts.reused], output, earlier)
    metadata = _describe_file(root, pipeline, day, parts, output.digest if output is not None else "")
    metadata |= {CHANGED_TYPES: json.dumps(columns.changed)} if columns.changed else {}
    # Sorted, because metadata that replay reads come in another order than they were written in.
    schema = columns.schema.with_metadata(dict(sorted((metadata | dict(parts.made_by)).items())))
    numbers = _Numbers()
    sent = (columns.fit(rows) for rows in _iter_rows(parts, numbers))
    copies = ((read_ordinals(path), columns.fit(read_parquet(path))) for path in parts.reused)

    def finish(made: StoragePath) -> None:
        before_replacing(made, numbers.articles, numbers.succeeded)

    with parquet_writer(target, schema, DISTINCT, before_replacing=finish) as writer:
        for table in interleave(sent, copies):
            numbers.add(table)
            for piece in iter_writable(table):
                writer.write_table(piece, row_group_size=_ROW_GROUP)
    return DaySummary(
        uri=str(target),
        pipeline=pipeline,
        day=day,
        articles=numbers.articles,
        succeeded=numbers.succeeded,
        failed=most_frequent(numbers.failed),
        rejected=count_rows(parts.rejected),
        rejected_uri=str(parts.rejected),
        reused=numbers.reused,
        batches=len(numbers.batches),
        input_tokens=numbers.input_tokens,
        output_tokens=numbers.output_tokens,
        cost_usd=numbers.cost,
        list_cost_usd=numbers.list_cost,
        saved_usd=numbers.saved,
        wasted_usd=numbers.wasted,
        offline=any(map(is_offline, numbers.batches)),
        changed_types=dict(columns.changed),
    )


def _describe_file(root: DataRoot, pipeline: str, day: str, parts: DayParts, output: str) -> dict[str, str]:
    sources = describe_sources(root, parts.results, parts.second, parts.rejected, parts.reused)
    about = {"pipeline": pipeline, "day": day, "shards": str(len(parts.results)), KEY: sources}
    return about | ({OUTPUT: output} if output else {})


def _iter_rows(parts: DayParts, numbers: _Numbers) -> Iterator[pa.Table]:
    """Yield the rows of the day; without a merge, a whole row group at a time."""
    again = SecondRoundRows(parts.second)
    for path in parts.results:
        with open_parquet(path) as file:
            rows = again.find(ShardFiles.of_results(path).name)
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


def count_rows(path: StoragePath) -> int:
    """Return the number of rows of a Parquet file."""
    with open_parquet(path) as file:
        return int(file.metadata.num_rows)


class _Numbers:
    """Totals of a day, added up table by table."""

    def __init__(self) -> None:
        self.articles = self.succeeded = self.reused = self.input_tokens = self.output_tokens = 0
        self.failed: Counter[str] = Counter()
        self.batches: set[str] = set()
        self.cost: float | None = 0.0
        self.list_cost: float | None = 0.0
        self.wasted: float | None = 0.0

    @property
    def saved(self) -> float | None:
        return None if self.cost is None or self.list_cost is None else self.list_cost - self.cost

    def see_batches(self, table: pa.Table) -> None:
        self.batches.update(pc.unique(table["batch_id"]).to_pylist())

    def waste(self, usd: float | None) -> None:
        self.wasted = None if usd is None or self.wasted is None else self.wasted + usd

    def add(self, table: pa.Table) -> None:
        self.articles += table.num_rows
        for row in _count_outcomes(table):
            if row["status"] == SUCCEEDED:
                self.succeeded += row["count_all"]
            else:
                self.failed[row["error_type"] or row["status"]] += row["count_all"]
        self.reused += pc.sum(table["reused"]).as_py() or 0
        self.see_batches(table)
        if pc.any(table["reused"]).as_py():
            # Their tokens and list price are those of an earlier payment.
            table = table.filter(pc.invert(table["reused"]))
        self.input_tokens += pc.sum(table["input_tokens"]).as_py() or 0
        self.output_tokens += pc.sum(table["output_tokens"]).as_py() or 0
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
