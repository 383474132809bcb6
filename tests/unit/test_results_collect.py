from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.batches.accepted_results import accept_short
from nightpress.batches.batch import RequestCounts
from nightpress.batches.ledger_records import AcceptedResults
from nightpress.batches.manual_ledger import LedgerLine
from nightpress.days.publish import DayParts, DaySummary, publish_day
from nightpress.errors import InvalidReferenceError, ResultsError
from nightpress.layout import DataRoot
from nightpress.results.raw_results import DOWNLOADS
from nightpress.settings import ShardLimits
from nightpress.shards.kept_bodies import read_body
from nightpress.shards.request_keys import custom_id
from nightpress.shards.shard import SECOND_ROUND_PREFIX, Shard, ShardFiles
from nightpress.shards.writer import write_shards
from nightpress.statuses import MAX_KINDS
from tests.support.ended_batches import DAY, TEMPLATE, EndedBatchApi, EndedShard
from tests.support.result_lines import errored, line, succeeded

pytestmark = pytest.mark.usefixtures("small_buckets")


@pytest.fixture
def ended(tmp_path: Path) -> EndedShard:
    return EndedShard(tmp_path)


def test_one_row_an_article_in_article_order_whatever_the_order_of_the_stream(ended: EndedShard) -> None:
    results = ended.collect(EndedBatchApi(ended.lines(), total=5))
    rows = ended.rows()
    assert [(row["article_id"], row["text"], row["status"]) for row in rows] == [
        (f"id-{n}", f"answer {n}", "succeeded") for n in range(5)
    ]
    assert results.by_status == {"succeeded": 5}
    assert (results.input_tokens, results.output_tokens) == (500, 100)


def test_costs_are_half_the_list_price_with_the_cache_at_its_own(ended: EndedShard) -> None:
    results = ended.collect(EndedBatchApi(ended.lines(), total=5))
    row = ended.rows()[0]
    # 100 in at $1, 20 out at $5, 10 written for 5 minutes at $1.25, 20 for an hour at $2, 40 read at $0.10.
    listed = (100 * 1 + 20 * 5 + 10 * 1.25 + 20 * 2 + 40 * 0.1) / 1e6
    assert row["list_cost_usd"] == pytest.approx(listed)
    assert row["cost_usd"] == pytest.approx(listed / 2)
    assert results.cost_usd == pytest.approx(5 * listed / 2)
    assert (row["cache_creation_input_tokens"], row["cache_read_input_tokens"]) == (30, 40)


def test_what_did_not_succeed_costs_nothing_and_says_why(ended: EndedShard) -> None:
    kinds = [
        lambda name: errored(name, "overloaded_error"),
        lambda name: line(name, {"type": "expired"}),
        lambda name: line(name, {"type": "canceled"}),
        lambda name: b'{"custom_id": "cut\n',
        lambda name: line(name, {"type": "brand_new"}),
    ]
    results = ended.collect(EndedBatchApi(ended.lines(lambda n, name: kinds[n](name)), total=5))
    rows = ended.rows()
    assert [row["status"] for row in rows] == ["errored", "expired", "canceled", "missing", "errored"]
    assert [row["error_type"] for row in rows] == [
        "overloaded_error",
        None,
        None,
        None,
        "unknown result brand_new",
    ]
    # Whether a damaged line was billed is not known, nor what a new type of result costs.
    assert [row["cost_usd"] for row in rows] == [0.0, 0.0, 0.0, None, None]
    assert (results.cost_usd, results.known_cost_usd, results.unknown_cost_requests) == (None, 0.0, 2)
    assert {row["text"] for row in rows} == {row["input_tokens"] for row in rows} == {None}
    assert results.by_status == {"errored": 2, "expired": 1, "canceled": 1, "missing": 1}


def test_a_batch_of_new_types_of_results_may_have_been_billed(ended: EndedShard) -> None:
    """Else another run would take the batch for one without answers, and pay again."""
    api = EndedBatchApi(ended.lines(lambda _, name: line(name, {"type": "brand_new"})), total=5)
    results = ended.collect(api)
    assert (results.cost_usd, results.unknown_cost_requests) == (None, 5)
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    assert entry.answered == 5


def test_what_may_have_been_billed_is_so_for_every_run_that_reads_it(ended: EndedShard) -> None:
    """A batch that counts as one that bought nothing is sent again."""
    api = EndedBatchApi(ended.lines(lambda _, name: line(name, {"type": "brand_new"})), total=5)
    ended.collect(api)
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    ended.ledger.save(msgspec.structs.replace(entry, pipeline="of another"))
    results = ended.collect(api)
    assert (results.reused, results.cost_usd) == (True, 0.0)
    again = ended.ledger.load(ended.shard.key)
    assert again is not None
    assert again.answered == 5


def test_an_unknown_price_is_null_never_nothing(ended: EndedShard, caplog: pytest.LogCaptureFixture) -> None:
    api = EndedBatchApi(
        ended.lines(lambda n, name: succeeded(name, model="claude-nope-9" if n else "claude-haiku-4-5")),
        total=5,
    )
    results = ended.collect(api)
    assert [row["cost_usd"] is None for row in ended.rows()] == [False, True, True, True, True]
    assert results.cost_usd is None
    assert "claude-nope-9 is not known" in caplog.text


def test_a_stream_cut_short_is_read_again(ended: EndedShard) -> None:
    whole = ended.lines()
    at_a_line = whole[: whole.index(b"\n") + 1]
    api = EndedBatchApi(at_a_line, whole[:-20], httpx2.RemoteProtocolError("cut"), whole, total=5)
    assert ended.collect(api).by_status == {"succeeded": 5}
    assert api.downloads == 4


SUCCEEDED_AND_FREE = [
    (RequestCounts(succeeded=1, errored=4), True),
    (RequestCounts(succeeded=1, expired=1, canceled=3), True),
    (RequestCounts(succeeded=5), False),
    (RequestCounts(succeeded=2, expired=3), False),
    # The counts of another moment, of another batch, or none tell nothing.
    (RequestCounts(succeeded=1), False),
    (RequestCounts(succeeded=1, errored=4, processing=1), False),
    (RequestCounts(processing=5), False),
    (RequestCounts(), False),
]


def short(ended: EndedShard, lines: int, counts: RequestCounts) -> EndedBatchApi:
    """Return an API that ends the results after so many lines, each time."""
    api = EndedBatchApi(b"".join(ended.lines().splitlines(keepends=True)[:lines]), total=5)
    api.counts = counts
    return api


@pytest.mark.parametrize(("counts", "all_there_is"), SUCCEEDED_AND_FREE)
def test_a_stream_that_is_short_each_time_is_all_there_is_only_if_no_answer_lacks(
    ended: EndedShard, counts: RequestCounts, all_there_is: bool
) -> None:
    """What has no line is sent and paid again, so no answer that is paid for may be among it."""
    api = short(ended, 1, counts)
    if all_there_is:
        assert ended.collect(api).by_status == {"succeeded": 1, "missing": 4}
    else:
        with pytest.raises(
            ResultsError, match=r"after 1 of 5 lines, the same each time.* accept-short"
        ) as raised:
            ended.collect(api)
        assert raised.value.code == "results_short"
        assert not ended.files.raw.exists()
        entry = ended.ledger.load(ended.shard.key)
        assert entry is not None
        assert entry.collected_at is None
        assert ended.collect(EndedBatchApi(ended.lines(), total=5)).by_status == {"succeeded": 5}
    assert api.downloads == DOWNLOADS


@pytest.mark.parametrize("read", range(5))
def test_a_person_may_give_up_what_lacks(ended: EndedShard, read: int) -> None:
    """As many lines as the person saw, and of that batch; no fewer."""
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    entry = ended.ledger.save(msgspec.structs.replace(entry, batch_id="msgbatch_1"))
    accept_short(LedgerLine("api", entry, "submitted"), 3, ended.ledger, 1.8e9)
    api = short(ended, read, RequestCounts(succeeded=5))
    if read >= 3:
        assert ended.collect(api).by_status == {"succeeded": read, "missing": 5 - read}
    else:
        with pytest.raises(ResultsError) as raised:
            ended.collect(api)
        assert raised.value.code == ("results_short" if read else "results_not_ours")


def test_what_was_accepted_of_another_batch_says_nothing(ended: EndedShard) -> None:
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    accepted = AcceptedResults("msgbatch_0", 3, datetime(2026, 11, 22, tzinfo=UTC))
    ended.ledger.save(msgspec.structs.replace(entry, accepted=accepted))
    with pytest.raises(ResultsError, match="accept-short"):
        ended.collect(short(ended, 3, RequestCounts(succeeded=5)))


def test_a_stream_that_is_cut_at_the_same_line_again_and_again_is_not_believed_at_once(
    ended: EndedShard,
) -> None:
    whole = ended.lines()
    cut = whole[: whole.index(b"\n") + 1]
    assert ended.collect(EndedBatchApi(cut, cut, cut, whole, total=5)).by_status == {"succeeded": 5}


@pytest.mark.parametrize(
    "form",
    [
        lambda data: data[:-1],
        lambda data: data.replace(b"\n", b"\r\n")[:-2],
        lambda data: b"\n" + data.replace(b"\n", b"\n\n"),
        lambda data: data.replace(b"\n", b" \r\n \t\r\n"),
        lambda data: data + b"<html>the gateway's farewell",
    ],
)
def test_a_stream_with_a_line_for_each_request_is_whole(
    ended: EndedShard, form: Callable[[bytes], bytes]
) -> None:
    api = EndedBatchApi(form(ended.lines()), total=5)
    assert ended.collect(api).by_status == {"succeeded": 5}
    assert api.downloads == 1


@pytest.mark.parametrize("form", [lambda lines: lines, lambda lines: [*lines[:3], *[b"\n"] * 9, b" \r\n"]])
def test_blank_lines_do_not_hide_a_cut(ended: EndedShard, form: Callable[[list[bytes]], list[bytes]]) -> None:
    whole = ended.lines()
    lines = whole.splitlines(keepends=True)
    api = EndedBatchApi(b"".join(form(lines[:3])), whole, total=5)
    assert ended.collect(api).by_status == {"succeeded": 5}
    assert api.downloads == 2


def test_counts_that_a_gateway_leaves_out_hide_no_cut(ended: EndedShard) -> None:
    whole = ended.lines()
    api = EndedBatchApi(b"".join(whole.splitlines(keepends=True)[:3]), whole, total=0)
    assert ended.collect(api).by_status == {"succeeded": 5}


@pytest.mark.parametrize(
    "raw", ["/etc/passwd", "../../other/raw.jsonl.zst", "runs/gone/raw-00000.jsonl.zst", ""]
)
def test_results_that_the_ledger_says_are_elsewhere_are_read_from_the_api(
    ended: EndedShard, raw: str
) -> None:
    ended.collect(EndedBatchApi(ended.lines(), total=5))
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    assert entry.raw == "raw-00000.jsonl.zst"
    ended.ledger.save(msgspec.structs.replace(entry, raw=raw))
    api = EndedBatchApi(ended.lines(), total=5)
    assert ended.collect(api).by_status == {"succeeded": 5}
    assert api.downloads == 1


@pytest.mark.parametrize(
    "uri", ["../requests-00000.json", "/etc/requests-00000.json", "a/../../requests-00000.json"]
)
def test_a_shard_of_another_place_is_refused(ended: EndedShard, uri: str) -> None:
    shard = replace(ended.shard, uri=uri)
    with pytest.raises(InvalidReferenceError):
        ended.collect(EndedBatchApi(ended.lines(), total=5), shard)


def test_an_answer_that_cannot_be_read_was_billed_all_the_same(ended: EndedShard) -> None:
    """Else another run would take the batch for one without answers, and pay again."""
    stream = ended.lines(lambda n, name: b'{"custom_id": "cut\n' if n else succeeded(name))
    assert ended.collect(EndedBatchApi(stream, total=5)).by_status == {"succeeded": 1, "missing": 4}
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    assert entry.answered == 5


def test_a_stream_that_never_ends_well_keeps_nothing_and_says_it_is_paid_for(ended: EndedShard) -> None:
    api = EndedBatchApi(ended.lines()[:-20], total=5)
    with pytest.raises(ResultsError, match="paid for and kept by the API for 29 days"):
        ended.collect(api)
    assert not ShardFiles.beside(UPath(ended.shard.uri)).raw.exists()
    assert ended.collect(EndedBatchApi(ended.lines(), total=5)).by_status == {"succeeded": 5}


@pytest.mark.parametrize("step", ["add", "_in_order"])
def test_a_disk_that_is_full_beside_the_decoder_fails_the_task_and_a_retry_finds_all(
    ended: EndedShard, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"nightpress.results.row_buckets.Buckets.{step}", full)
        with pytest.raises(OSError, match="No space left"):
            ended.collect(EndedBatchApi(ended.lines(), total=5))
    # Rows that were not all put aside say nothing: not even the stream counts as kept then.
    assert ended.files.raw.exists() == (step == "_in_order")
    assert not ended.files.results.exists()
    assert ended.collect(EndedBatchApi(ended.lines(), total=5)).by_status == {"succeeded": 5}


def test_what_was_kept_is_not_asked_for_again(ended: EndedShard) -> None:
    api = EndedBatchApi(ended.lines(), total=5)
    first = ended.collect(api)
    before = read_body(ended.root.open(first.uri))
    ended.files.results.unlink()
    assert ended.collect(api) == first
    assert api.downloads == 1
    assert read_body(ended.root.open(first.uri)) == before


def test_another_run_of_the_same_shard_uses_what_the_first_one_kept(
    ended: EndedShard, tmp_path: Path
) -> None:
    api = EndedBatchApi(ended.lines(), total=5)
    ended.collect(api)
    again = EndedShard(tmp_path / "again")
    again.ledger, again.root = ended.ledger, ended.root
    assert again.shard.key == ended.shard.key
    assert again.collect(api).by_status == {"succeeded": 5}
    assert api.downloads == 1
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    assert entry.state == "collected"


def test_kept_results_of_other_articles_are_not_taken_for_these(ended: EndedShard) -> None:
    files = ShardFiles.beside(UPath(ended.shard.uri))
    with pa.CompressedOutputStream(files.raw.path, "zstd") as stream:
        stream.write(succeeded(custom_id("f" * 64, 0)))
    assert ended.collect(EndedBatchApi(ended.lines(), total=5)).by_status == {"succeeded": 5}


def test_foreign_and_repeated_lines_are_left_out_aloud(
    ended: EndedShard, caplog: pytest.LogCaptureFixture
) -> None:
    stream = (
        ended.lines()
        + succeeded(custom_id("f" * 64, 0), "not yours")
        + succeeded(custom_id(ended.shard.key, 0), "no")
    )
    ended.collect(EndedBatchApi(stream, total=5))
    assert [row["text"] for row in ended.rows()] == [f"answer {n}" for n in range(5)]
    assert "1 foreign, 1 repeated and 0 malformed" in caplog.text


@pytest.mark.parametrize("apart", [False, True], ids=["in one block", "in two blocks"])
@pytest.mark.parametrize("first", ["failure", "answer"])
def test_of_two_results_of_a_request_the_answer_counts(
    ended: EndedShard, monkeypatch: pytest.MonkeyPatch, first: str, apart: bool
) -> None:
    """Else an answer that was paid for is dropped, and its article sent and paid again."""
    failures = ended.lines(lambda _, name: errored(name, "api_error"))
    both = [failures, ended.lines()]
    stream = b"".join(both if first == "failure" else reversed(both))
    if apart:
        monkeypatch.setattr("nightpress.results.raw_results.BLOCK_BYTES", 97)
    results = ended.collect(EndedBatchApi(stream, total=5))
    assert results.by_status == {"succeeded": 5}
    assert [row["text"] for row in ended.rows()] == [f"answer {n}" for n in range(5)]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda line: line.replace(b'"custom_id": "', b'"custom_id": "tenant-7-'), id="renamed"),
        pytest.param(lambda line: line.replace(b'"custom_id"', b'"id"'), id="without the id"),
        pytest.param(lambda line: line[: len(line) // 2] + b"\n", id="cut"),
        pytest.param(lambda _: b"<html>Your session has ended</html>\n", id="a page of HTML"),
    ],
)
def test_when_no_line_is_a_result_of_the_shard_nothing_is_paid_again(
    ended: EndedShard, spoil: Callable[[bytes], bytes]
) -> None:
    spoiled = b"".join(map(spoil, ended.lines().splitlines(keepends=True)))
    assert spoiled != ended.lines()
    with pytest.raises(ResultsError, match=r"none of the 5 lines .* nothing is sent again") as raised:
        ended.collect(EndedBatchApi(spoiled, total=5))
    assert raised.value.code == "results_not_ours"
    assert not ended.files.results.exists()
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    assert entry.state != "collected"
    assert ended.collect(EndedBatchApi(ended.lines(), total=5)).by_status == {"succeeded": 5}


@pytest.mark.parametrize(
    ("articles", "content"),
    [(1, b""), (5, b""), (5, b"\n"), (5, b'{"error": "not supported"}\n'), (5, b"<html>Log in</html>\n")],
)
def test_a_reply_without_any_result_is_not_a_batch_without_answers(
    tmp_path: Path, articles: int, content: bytes
) -> None:
    """A gateway that does not pass results on; else all articles would be sent and paid again."""
    ended = EndedShard(tmp_path / "few", articles)
    with pytest.raises(ResultsError, match="nothing is sent again") as raised:
        ended.collect(EndedBatchApi(content, total=articles))
    assert raised.value.code == "results_not_ours"
    assert ended.collect(EndedBatchApi(ended.lines(), total=articles)).by_status == {"succeeded": articles}


@pytest.mark.parametrize("content", [b"", b'{"error": "no results"}\n', b"<html>\nnone\n</html>\n"])
@pytest.mark.parametrize(
    ("counts", "paid"),
    [
        (RequestCounts(expired=5), False),
        (RequestCounts(errored=2, expired=1, canceled=2), False),
        (RequestCounts(errored=4, succeeded=1), True),
        # The counts of a moment at which the batch had not ended, as a gateway may keep them, tell nothing.
        (RequestCounts(processing=5), True),
        (RequestCounts(processing=3, errored=2), True),
        (RequestCounts(errored=2), True),
        (RequestCounts(), True),
    ],
)
def test_only_a_batch_that_surely_answered_nothing_may_have_no_results(
    ended: EndedShard, monkeypatch: pytest.MonkeyPatch, counts: RequestCounts, paid: bool, content: bytes
) -> None:
    api = EndedBatchApi(content, total=0)
    found = msgspec.structs.replace(api.retrieve("msgbatch_1"), request_counts=counts)
    monkeypatch.setattr(api, "retrieve", lambda _: found)
    if paid:
        with pytest.raises(ResultsError, match="nothing is sent again"):
            ended.collect(api)
    else:
        assert ended.collect(api).by_status == {"missing": 5}


@pytest.mark.parametrize(("articles", "prefix"), [(1, ""), (5, SECOND_ROUND_PREFIX)])
def test_one_damaged_line_or_a_second_round_does_not_stop_the_day(
    tmp_path: Path, articles: int, prefix: str
) -> None:
    ended = EndedShard(tmp_path / "few", articles)
    name = f"{prefix}{ended.shard.name}"
    for file in list((tmp_path / "few").iterdir()):
        if file.is_file():
            file.rename(file.with_name(file.name.replace(ended.shard.name, name)))
    shard = replace(ended.shard, uri=ended.shard.uri.replace(ended.shard.name, name))
    api = EndedBatchApi(b'{"custom_id": "cut\n' * articles, total=articles)
    assert ended.collect(api, shard).by_status == {"missing": articles}


def test_articles_read_again_since_are_not_mixed_with_old_answers(ended: EndedShard) -> None:
    shard = Shard(ended.shard.uri, 5, 10, "f" * 64)
    with pytest.raises(ResultsError, match="read again since"):
        lines = b"".join(succeeded(custom_id("f" * 64, n)) for n in range(5))
        ended.collect(EndedBatchApi(lines, total=5), shard)


def publish(folder: Path, *shards: EndedShard) -> tuple[DaySummary, pa.Table]:
    uris = [ShardFiles.beside(UPath(ended.shard.uri)).results for ended in shards]
    rejected = UPath(shards[0].folder if shards else folder) / "rejected.parquet"
    root = DataRoot(UPath(folder))
    summary = publish_day(root, "summaries", DAY, DayParts(uris, rejected))
    return summary, pq.read_table(root.answers("summaries", DAY).path)


def test_a_day_is_the_rows_of_its_shards_in_order(tmp_path: Path) -> None:
    one, two = EndedShard(tmp_path / "1"), EndedShard(tmp_path / "2", 3)
    one.collect(EndedBatchApi(one.lines(), total=5))
    two.collect(EndedBatchApi(two.lines(lambda n, name: errored(name) if n else succeeded(name)), total=3))
    summary, table = publish(tmp_path, one, two)
    assert table["article_id"].to_pylist() == [*(f"id-{n}" for n in range(5)), *(f"id-{n}" for n in range(3))]
    assert (summary.articles, summary.succeeded, summary.failed) == (8, 6, {"invalid_request_error": 2})
    assert summary.cost_usd is not None
    assert summary.saved_usd == pytest.approx(summary.cost_usd)
    # The folder says the day; a second column of the name is an error to readers of a folder of days.
    assert "day" not in table.column_names


def test_metadata_that_differs_from_shard_to_shard_gets_one_type(tmp_path: Path) -> None:
    shards = [
        EndedShard(tmp_path / "1", 2, n=1),
        EndedShard(tmp_path / "2", 2, n=1.5),
        EndedShard(tmp_path / "3", 2, n=None, extra="x"),
    ]
    for ended in shards:
        ended.collect(EndedBatchApi(ended.lines(), total=2))
    _, table = publish(tmp_path, *shards)
    assert table["n"].to_pylist() == [1.0, 1.0, 1.5, 1.5, None, None]
    assert table["extra"].to_pylist() == [None, None, None, None, "x", "x"]
    mixed = EndedShard(tmp_path / "4", 1, n="text")
    mixed.collect(EndedBatchApi(mixed.lines(), total=1))
    _, table = publish(tmp_path, *shards, mixed)
    assert table["n"].to_pylist()[-1] == "text"


def test_an_empty_day_has_all_columns_and_no_rows(tmp_path: Path) -> None:
    write_shards([], UPath(tmp_path), TEMPLATE, limits=ShardLimits())
    summary, table = publish(tmp_path)
    assert (summary.articles, table.num_rows) == (0, 0)
    assert {"article_id", "text", "cost_usd"} <= set(table.column_names)


def test_a_failed_write_leaves_the_old_day_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    ended = EndedShard(tmp_path)
    ended.collect(EndedBatchApi(ended.lines(), total=5))
    publish(tmp_path, ended)
    before = (tmp_path / "summaries" / f"day={DAY}" / "answers.parquet").read_bytes()
    results = ShardFiles.beside(UPath(ended.shard.uri)).results
    results.write_bytes(results.read_bytes()[:600] + b"\0" * 200 + results.read_bytes()[800:])
    with pytest.raises((OSError, pa.ArrowException)):
        publish(tmp_path, ended)
    assert (tmp_path / "summaries" / f"day={DAY}" / "answers.parquet").read_bytes() == before
    assert [path.name for path in (tmp_path / "summaries" / f"day={DAY}").iterdir()] == ["answers.parquet"]


def test_each_request_with_an_error_of_its_own_is_collected(ended: EndedShard) -> None:
    """The ledger bounds what it keeps of a shard; a batch that is paid for must still be recorded."""
    shard = EndedShard(ended.folder / "many", 1_100)
    lines = shard.lines(
        lambda n, name: errored(name, f"error_{n}" if n > 99 else "overloaded_error", "x" * n)
    )
    results = shard.collect(EndedBatchApi(lines, total=1_100))
    entry = shard.ledger.load(shard.shard.key)
    assert entry is not None
    assert results.by_status == entry.by_status == {"errored": 1_100}
    assert next(iter(entry.errors.items())) == ("overloaded_error", 100)
    assert len(entry.errors) == MAX_KINDS + 1
    assert sum(entry.errors.values()) == 1_100
    assert {example.kind for example in entry.examples} <= entry.errors.keys()


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 10**12, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 10**12},
        {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 10**12},
        {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 10**12}},
    ],
)
def test_an_amount_that_cannot_be_is_unknown_and_the_batch_is_collected(
    ended: EndedShard, usage: dict[str, object]
) -> None:
    shard = EndedShard(ended.folder / "dear", 150)
    lines = shard.lines(lambda n, name: succeeded(name, model="claude-fable-5-1", usage=usage))
    results = shard.collect(EndedBatchApi(lines, total=150))
    assert (results.cost_usd, results.known_cost_usd, results.unknown_cost_requests) == (None, 0.0, 150)
    assert abs(results.cache_saved_usd or 0) < 1e6
    entry = shard.ledger.load(shard.shard.key)
    assert entry is not None
    assert (entry.answered, entry.cost_usd) == (150, None)
