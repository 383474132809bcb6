from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.articles.article import Article
from nightpress.batches.batch import Batch, RequestCounts
from nightpress.batches.ledger import Entry, Ledger
from nightpress.days.publish import DaySummary, publish_day
from nightpress.errors import ResultsError
from nightpress.results.collect import Provenance, ShardResults, collect_batch
from nightpress.results.raw_results import DOWNLOADS
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate, custom_id
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.shards.writer import write_shards
from tests.support.model_api import Clock, ModelApi
from tests.support.result_lines import errored, line, succeeded

pytestmark = pytest.mark.usefixtures("small_buckets")

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{content}"))
DAY = "2026-11-22"


class Api(ModelApi):
    """An API whose one batch has ended with these lines."""

    def __init__(self, *streams: bytes | Exception, total: int) -> None:
        super().__init__(Clock())
        self.streams = list(streams)
        self.total = total
        self.downloads = 0

    def retrieve(self, batch_id: str) -> Batch:
        batch = self.put(["x"]).state()
        return Batch(
            batch_id, "ended", batch.created_at, RequestCounts(succeeded=self.total), results_url="x"
        )

    def stream_results(self, batch: Batch) -> Iterator[bytes]:
        stream = self.streams[min(self.downloads, len(self.streams) - 1)]
        self.downloads += 1
        if isinstance(stream, Exception):
            yield b'{"custom_id'
            raise stream
        for at in range(0, len(stream), 97):
            yield stream[at : at + 97]


class Desk:
    def __init__(self, folder: Path, count: int = 5, **metadata: object) -> None:
        self.folder = folder
        rows = [Article(f"id-{n}", f"title {n}", f"text {n}", metadata, "f", n + 1) for n in range(count)]
        report = write_shards(rows, UPath(folder), TEMPLATE, limits=ShardLimits())
        (self.shard,) = report.shards
        self.ledger = Ledger(UPath(folder) / "ledger", "api")
        self.ledger.intend(
            Entry(key=self.shard.key, requests=count, bytes=self.shard.bytes, pipeline="summaries", day=DAY)
        )

    def lines(self, make: Callable[[int, str], bytes] | None = None) -> bytes:
        make = make or (lambda n, name: succeeded(name, f"answer {n}"))
        lines = [make(n, custom_id(self.shard.key, n)) for n in range(self.shard.articles)]
        random.Random(7).shuffle(lines)
        return b"".join(lines)

    def collect(self, api: Api, shard: Shard | None = None) -> ShardResults:
        shard = shard or self.shard
        provenance = Provenance("summaries", DAY, "msgbatch_1")
        return collect_batch(shard, UPath(shard.uri), provenance, api, self.ledger)

    def rows(self) -> list[dict[str, object]]:
        return pq.read_table(ShardFiles.beside(UPath(self.shard.uri)).results.path).to_pylist()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("nightpress.results.raw_results.keep_raw.__defaults__", (lambda _: None,))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_one_row_an_article_in_article_order_whatever_the_order_of_the_stream(desk: Desk) -> None:
    results = desk.collect(Api(desk.lines(), total=5))
    rows = desk.rows()
    assert [(row["article_id"], row["text"], row["status"]) for row in rows] == [
        (f"id-{n}", f"answer {n}", "succeeded") for n in range(5)
    ]
    assert results.by_status == {"succeeded": 5}
    assert (results.input_tokens, results.output_tokens) == (500, 100)


def test_costs_are_half_the_list_price_with_the_cache_at_its_own(desk: Desk) -> None:
    results = desk.collect(Api(desk.lines(), total=5))
    row = desk.rows()[0]
    # 100 in at $1, 20 out at $5, 10 written for 5 minutes at $1.25, 20 for an hour at $2, 40 read at $0.10.
    listed = (100 * 1 + 20 * 5 + 10 * 1.25 + 20 * 2 + 40 * 0.1) / 1e6
    assert row["list_cost_usd"] == pytest.approx(listed)
    assert row["cost_usd"] == pytest.approx(listed / 2)
    assert results.cost_usd == pytest.approx(5 * listed / 2)
    assert (row["cache_creation_input_tokens"], row["cache_read_input_tokens"]) == (30, 40)


def test_what_did_not_succeed_costs_nothing_and_says_why(desk: Desk) -> None:
    kinds = [
        lambda name: errored(name, "overloaded_error"),
        lambda name: line(name, {"type": "expired"}),
        lambda name: line(name, {"type": "canceled"}),
        lambda name: b"",
        lambda name: line(name, {"type": "brand_new"}),
    ]
    results = desk.collect(Api(desk.lines(lambda n, name: kinds[n](name)), total=4))
    rows = desk.rows()
    assert [row["status"] for row in rows] == ["errored", "expired", "canceled", "missing", "errored"]
    assert [row["error_type"] for row in rows] == [
        "overloaded_error",
        None,
        None,
        None,
        "unknown result brand_new",
    ]
    # Whether a missing line was billed is not known.
    assert [row["cost_usd"] for row in rows] == [0.0, 0.0, 0.0, None, 0.0]
    assert (results.cost_usd, results.known_cost_usd, results.unknown_cost_requests) == (None, 0.0, 1)
    assert {row["text"] for row in rows} == {row["input_tokens"] for row in rows} == {None}
    assert results.by_status == {"errored": 2, "expired": 1, "canceled": 1, "missing": 1}


def test_an_unknown_price_is_null_never_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    api = Api(
        desk.lines(lambda n, name: succeeded(name, model="claude-nope-9" if n else "claude-haiku-4-5")),
        total=5,
    )
    results = desk.collect(api)
    assert [row["cost_usd"] is None for row in desk.rows()] == [False, True, True, True, True]
    assert results.cost_usd is None
    assert "claude-nope-9 is not known" in caplog.text


def test_a_stream_cut_short_is_read_again(desk: Desk) -> None:
    whole = desk.lines()
    at_a_line = whole[: whole.index(b"\n") + 1]
    api = Api(at_a_line, whole[:-20], httpx2.RemoteProtocolError("cut"), whole, total=5)
    assert desk.collect(api).by_status == {"succeeded": 5}
    assert api.downloads == 4


def test_a_stream_that_is_short_in_the_same_way_every_time_is_what_there_is(desk: Desk) -> None:
    whole = desk.lines()
    api = Api(whole[: whole.index(b"\n") + 1], total=5)
    assert desk.collect(api).by_status == {"succeeded": 1, "missing": 4}
    assert api.downloads == DOWNLOADS


def test_a_stream_that_is_cut_at_the_same_line_again_and_again_is_not_believed_at_once(desk: Desk) -> None:
    whole = desk.lines()
    cut = whole[: whole.index(b"\n") + 1]
    assert desk.collect(Api(cut, cut, cut, whole, total=5)).by_status == {"succeeded": 5}


def test_an_answer_that_cannot_be_read_was_billed_all_the_same(desk: Desk) -> None:
    """Else another run would take the batch for one that bought nothing, and pay again."""
    desk.collect(Api(desk.lines(lambda n, name: b'{"custom_id": "cut\n'), total=5))
    entry = desk.ledger.load(desk.shard.key)
    assert entry is not None
    assert entry.answered == 5


def test_a_stream_that_never_ends_well_keeps_nothing_and_says_it_is_paid_for(desk: Desk) -> None:
    api = Api(desk.lines()[:-20], total=5)
    with pytest.raises(ResultsError, match="paid for and kept by the API for 29 days"):
        desk.collect(api)
    assert not ShardFiles.beside(UPath(desk.shard.uri)).raw.exists()
    assert desk.collect(Api(desk.lines(), total=5)).by_status == {"succeeded": 5}


def test_what_was_kept_is_not_asked_for_again(desk: Desk) -> None:
    api = Api(desk.lines(), total=5)
    first = desk.collect(api)
    before = UPath(first.uri).read_bytes()
    ShardFiles.beside(UPath(desk.shard.uri)).results.unlink()
    assert desk.collect(api) == first
    assert api.downloads == 1
    assert UPath(first.uri).read_bytes() == before


def test_another_run_of_the_same_shard_uses_what_the_first_one_kept(desk: Desk, tmp_path: Path) -> None:
    api = Api(desk.lines(), total=5)
    desk.collect(api)
    again = Desk(tmp_path / "again")
    again.ledger = desk.ledger
    assert again.shard.key == desk.shard.key
    assert again.collect(api).by_status == {"succeeded": 5}
    assert api.downloads == 1
    entry = desk.ledger.load(desk.shard.key)
    assert entry is not None
    assert entry.state == "collected"


def test_kept_results_of_other_articles_are_not_taken_for_these(desk: Desk) -> None:
    files = ShardFiles.beside(UPath(desk.shard.uri))
    with pa.CompressedOutputStream(files.raw.path, "zstd") as stream:
        stream.write(succeeded(custom_id("f" * 64, 0)))
    assert desk.collect(Api(desk.lines(), total=5)).by_status == {"succeeded": 5}


def test_foreign_and_repeated_lines_are_left_out_aloud(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    stream = (
        desk.lines()
        + succeeded(custom_id("f" * 64, 0), "not yours")
        + succeeded(custom_id(desk.shard.key, 0), "no")
    )
    desk.collect(Api(stream, total=5))
    assert [row["text"] for row in desk.rows()] == [f"answer {n}" for n in range(5)]
    assert "1 foreign, 1 repeated and 0 malformed" in caplog.text


def test_articles_read_again_since_are_not_mixed_with_old_answers(desk: Desk) -> None:
    shard = Shard(desk.shard.uri, 5, 10, "f" * 64)
    with pytest.raises(ResultsError, match="read again since"):
        desk.collect(Api(succeeded(custom_id("f" * 64, 0)), total=1), shard)


def publish(folder: Path, *desks: Desk) -> tuple[DaySummary, pa.Table]:
    uris = [ShardFiles.beside(UPath(desk.shard.uri)).results for desk in desks]
    rejected = UPath(desks[0].folder if desks else folder) / "rejected.parquet"
    target = UPath(folder) / "day" / "answers.parquet"
    summary = publish_day(uris, target, pipeline="summaries", day=DAY, rejected=rejected)
    return summary, pq.read_table(target.path)


def test_a_day_is_the_rows_of_its_shards_in_order(tmp_path: Path) -> None:
    one, two = Desk(tmp_path / "1"), Desk(tmp_path / "2", 3)
    one.collect(Api(one.lines(), total=5))
    two.collect(Api(two.lines(lambda n, name: errored(name) if n else succeeded(name)), total=3))
    summary, table = publish(tmp_path, one, two)
    assert table["article_id"].to_pylist() == [*(f"id-{n}" for n in range(5)), *(f"id-{n}" for n in range(3))]
    assert (summary.articles, summary.succeeded, summary.failed) == (8, 6, {"invalid_request_error": 2})
    assert summary.cost_usd is not None
    assert summary.saved_usd == pytest.approx(summary.cost_usd)
    assert set(table["day"].to_pylist()) == {DAY}


def test_metadata_that_differs_from_shard_to_shard_gets_one_type(tmp_path: Path) -> None:
    desks = [
        Desk(tmp_path / "1", 2, n=1),
        Desk(tmp_path / "2", 2, n=1.5),
        Desk(tmp_path / "3", 2, n=None, extra="x"),
    ]
    for desk in desks:
        desk.collect(Api(desk.lines(), total=2))
    _, table = publish(tmp_path, *desks)
    assert table["n"].to_pylist() == [1.0, 1.0, 1.5, 1.5, None, None]
    assert table["extra"].to_pylist() == [None, None, None, None, "x", "x"]
    mixed = Desk(tmp_path / "4", 1, n="text")
    mixed.collect(Api(mixed.lines(), total=1))
    _, table = publish(tmp_path, *desks, mixed)
    assert table["n"].to_pylist()[-1] == "text"


def test_an_empty_day_has_all_columns_and_no_rows(tmp_path: Path) -> None:
    write_shards([], UPath(tmp_path), TEMPLATE, limits=ShardLimits())
    summary, table = publish(tmp_path)
    assert (summary.articles, table.num_rows) == (0, 0)
    assert {"article_id", "text", "cost_usd", "day"} <= set(table.column_names)


def test_a_failed_write_leaves_the_old_day_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    desk = Desk(tmp_path)
    desk.collect(Api(desk.lines(), total=5))
    publish(tmp_path, desk)
    before = (tmp_path / "day" / "answers.parquet").read_bytes()
    results = ShardFiles.beside(UPath(desk.shard.uri)).results
    results.write_bytes(results.read_bytes()[:600] + b"\0" * 200 + results.read_bytes()[800:])
    with pytest.raises((OSError, pa.ArrowException)):
        publish(tmp_path, desk)
    assert (tmp_path / "day" / "answers.parquet").read_bytes() == before
    assert [path.name for path in (tmp_path / "day").iterdir()] == ["answers.parquet"]
