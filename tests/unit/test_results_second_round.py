from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.advice import advise
from nightpress.articles.article import Article
from nightpress.batches.account_problems import ACCOUNT_CODES
from nightpress.days.publish import DayParts, publish_day
from nightpress.days.second_round import MAX_TOKENS_CAP, SecondRound, WrongAnswer, judge, write_second_round
from nightpress.errors import ResultsError
from nightpress.outputs.problems import Problem
from nightpress.runs.failed_articles import collect_failures
from nightpress.settings import ShardLimits
from nightpress.shards.kept_bodies import packed_path, read_body
from nightpress.shards.request_keys import custom_id
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.shards.writer import write_shards
from tests.support.ended_batches import DAY, TEMPLATE, EndedBatchApi, EndedShard
from tests.support.result_lines import errored, line, succeeded

LIMITS = ShardLimits(max_requests=3)
pytestmark = pytest.mark.usefixtures("small_buckets")


def outcome(kind: str, name: str) -> bytes:
    if kind == "succeeded":
        return succeeded(name, "whole")
    if kind == "cut off":
        return succeeded(name, "cut", stop_reason="max_tokens")
    if kind == "refusal":
        return succeeded(name, "", stop_reason="refusal")
    if kind in {"expired", "canceled"}:
        return line(name, {"type": kind})
    return b'{"custom_id": "cut\n' if kind == "missing" else errored(name, kind)


def collected(folder: Path, *kinds: str) -> EndedShard:
    ended = EndedShard(folder, len(kinds), topic="t")
    stream = ended.lines(lambda n, name: outcome(kinds[n], name))
    ended.collect(EndedBatchApi(stream, total=stream.count(b"\n")))
    return ended


def results(shard: Shard) -> UPath:
    return ShardFiles.beside(UPath(shard.uri)).results


def again(ended: EndedShard) -> list[Shard]:
    chosen = judge([(ended.shard, results(ended.shard))])
    return write_second_round(chosen, [ended.shard], UPath(ended.folder), LIMITS)


@pytest.mark.parametrize(
    "kind",
    ["expired", "canceled", "missing", "api_error", "overloaded_error", "rate_limit_error", "timeout_error"],
)
def test_what_may_pass_is_sent_again_as_it_was(tmp_path: Path, kind: str) -> None:
    ended = collected(tmp_path, "succeeded", kind)
    (shard,) = again(ended)
    first = json.loads(read_body(UPath(ended.shard.uri)))["requests"]
    second = json.loads(read_body(UPath(shard.uri)))["requests"]
    assert [request["params"] for request in second] == [first[1]["params"]]
    assert shard.key != ended.shard.key
    assert (shard.name, shard.round) == ("r2-00000-00000", 2)


@pytest.mark.parametrize("kind", ["invalid_request_error", "not_found_error", "refusal", "succeeded"])
def test_what_would_come_back_the_same_is_not(tmp_path: Path, kind: str) -> None:
    assert again(collected(tmp_path, "succeeded", kind)) == []


@pytest.mark.parametrize("kind", ["gateway_error", "unknown_error", "conflict_error", None])
def test_an_error_of_a_new_type_is_sent_again_as_its_advice_says(tmp_path: Path, kind: str | None) -> None:
    """An errored request is not billed, whatever its type."""
    ended = EndedShard(tmp_path, 2, topic="t")
    error = {"type": "error", "error": {"type": kind, "message": "No."}}
    ended.collect(
        EndedBatchApi(ended.lines(lambda _, n: line(n, {"type": "errored", "error": error})), total=2)
    )
    assert judge([(ended.shard, results(ended.shard))]).articles == 2
    (shown,) = {row["error_type"] for row in ended.rows()}
    assert advise(str(shown)).again == "Sent once more by the run itself."


def test_a_result_of_a_new_type_may_have_been_billed_and_is_not_sent_again(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path, 2, topic="t")
    ended.collect(EndedBatchApi(ended.lines(lambda _, name: line(name, {"type": "brand_new"})), total=2))
    assert judge([(ended.shard, results(ended.shard))], {ended.shard.name}).articles == 0
    (shown,) = {row["error_type"] for row in ended.rows()}
    assert (advise(str(shown)).billed, advise(str(shown)).again) == (
        "not known whether billed",
        "Not sent again.",
    )


@pytest.mark.parametrize("kind", ["invalid_request_error", "not_found_error", "request_too_large"])
def test_a_refused_request_is_sent_again_by_another_run_only(tmp_path: Path, kind: str) -> None:
    """It was not billed, and what was wrong may be set right, such as the account's access to the model."""
    ended = collected(tmp_path, kind, kind)
    assert judge([(ended.shard, results(ended.shard))]).articles == 0
    chosen = judge([(ended.shard, results(ended.shard))], {ended.shard.name})
    assert chosen.reasons == {kind: 2}
    assert not chosen.account


@pytest.mark.parametrize(("sender", "articles"), [("earlier", 2), ("this", 0), ("", 0)])
def test_a_dead_batch_of_an_earlier_run_does_not_stop_a_later_one_for_ever(
    tmp_path: Path, sender: str, articles: int
) -> None:
    ended = collected(tmp_path, "not_found_error", "not_found_error")
    entry = ended.ledger.load(ended.shard.key)
    assert entry is not None
    run = tmp_path.name if sender == "this" else sender
    ended.ledger.save(msgspec.structs.replace(entry, run=run))
    found = [{"uri": ended.root.reference(results(ended.shard)), "cost_usd": 0.0}]
    resend = collect_failures([ended.shard], found, None, ended.ledger, ended.root, LIMITS)
    assert sum(shard.articles for shard in resend.shards) == articles


@pytest.mark.parametrize("kind", ["billing_error", "permission_error", "authentication_error"])
def test_account_trouble_is_told_apart(tmp_path: Path, kind: str) -> None:
    ended = collected(tmp_path, "succeeded", kind, kind)
    (account,) = judge([(ended.shard, results(ended.shard))]).account.values()
    assert [(said.partition(":")[0], count) for said, count in account.items()] == [(kind, 2)]


@pytest.mark.parametrize(
    "words",
    [
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01",
        "You have reached your specified workspace API usage limits.",
    ],
)
def test_account_trouble_that_comes_as_an_invalid_request_is_sent_again(tmp_path: Path, words: str) -> None:
    ended = EndedShard(tmp_path, 2, topic="t")
    stream = ended.lines(lambda n, name: errored(name, "invalid_request_error", words))
    ended.collect(EndedBatchApi(stream, total=2))
    chosen = judge([(ended.shard, results(ended.shard))])
    assert chosen.articles == 2
    assert chosen.account == {ended.shard.name: {f"invalid_request_error: {words}": 2}}


@pytest.mark.parametrize("code", ACCOUNT_CODES)
@pytest.mark.parametrize("details", [{}, {"more": [1]}])
def test_account_trouble_that_only_the_code_of_an_item_tells_is_sent_again(
    tmp_path: Path, code: str, details: dict[str, object]
) -> None:
    ended = EndedShard(tmp_path, 2, topic="t")
    inner = {
        "type": "invalid_request_error",
        "message": "No. Nothing more is known.",
        "details": {"error_code": code} | details,
    }
    failed = {"type": "errored", "error": {"type": "error", "error": inner}}
    ended.collect(EndedBatchApi(ended.lines(lambda n, name: line(name, failed)), total=2))
    chosen = judge([(ended.shard, results(ended.shard))])
    assert chosen.articles == 2
    assert chosen.account == {ended.shard.name: {f"{code}: No. Nothing more is known.": 2}}
    assert {row["error_type"] for row in ended.rows()} == {code}


@pytest.mark.parametrize(
    "details", [7, [], "x", {"error_code": None}, {"error_code": 7}, {"error_code": "tool_name_conflict"}]
)
def test_other_details_of_an_error_change_nothing(tmp_path: Path, details: object) -> None:
    ended = EndedShard(tmp_path, 1, topic="t")
    inner = {"type": "invalid_request_error", "message": "said", "details": details}
    failed = {"type": "errored", "error": {"type": "error", "error": inner}}
    ended.collect(EndedBatchApi(ended.lines(lambda n, name: line(name, failed)), total=1))
    assert [(row["error_type"], row["error_message"]) for row in ended.rows()] == [
        ("invalid_request_error", "said")
    ]
    assert judge([(ended.shard, results(ended.shard))]).articles == 0


def test_the_advice_for_account_trouble_is_no_advice_about_the_article() -> None:
    credit = "Your credit balance is too low to access the API"
    for kind, messages in (
        ("invalid_request_error", [credit]),
        ("organization_on_hold", []),
        ("budget_exceeded", ["x"]),
    ):
        advice = advise(kind, "errored", messages)
        assert "account problem" in advice.meaning
        assert advice.billed == "not billed"
    mixed = advise("invalid_request_error", "errored", [credit, "max_tokens: too large"])
    assert "Correct the article" in mixed.remedy
    assert "Add credit" in advise("billing_error").remedy


def test_an_article_about_credit_is_no_account_trouble(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path, 1, topic="t")
    said = "messages.0: 'Your credit balance is too low' is not text"
    ended.collect(
        EndedBatchApi(ended.lines(lambda n, name: errored(name, "invalid_request_error", said)), total=1)
    )
    chosen = judge([(ended.shard, results(ended.shard))])
    assert (chosen.articles, chosen.account) == (0, {})


def test_an_answer_cut_off_gets_more_tokens(tmp_path: Path) -> None:
    ended = collected(tmp_path, "cut off", *["succeeded"] * 4)
    (shard,) = again(ended)
    (request,) = json.loads(read_body(UPath(shard.uri)))["requests"]
    assert request["params"]["max_tokens"] == 400


def test_answers_cut_off_in_masses_are_not_paid_for_twice(tmp_path: Path) -> None:
    ended = collected(tmp_path, "cut off", "cut off", "expired", "succeeded", "succeeded")
    chosen = judge([(ended.shard, results(ended.shard))])
    assert chosen.cut_off == 2
    assert chosen.picked == {"00000": [2]}
    assert chosen.reasons == {"expired": 1}


def test_more_tokens_have_a_cap(tmp_path: Path) -> None:
    ended = collected(tmp_path, "cut off", *["succeeded"] * 4)
    body = UPath(ended.shard.uri)
    body.write_bytes(read_body(body).replace(b'"max_tokens":200', b'"max_tokens":%d' % MAX_TOKENS_CAP))
    assert again(ended) == []


def test_a_second_shard_depends_on_its_first_alone(tmp_path: Path) -> None:
    ended = collected(tmp_path / "alone", *["expired"] * 7)
    shards = again(ended)
    assert [(shard.name, shard.articles) for shard in shards] == [
        ("r2-00000-00000", 3),
        ("r2-00000-00001", 3),
        ("r2-00000-00002", 1),
    ]
    files = [ShardFiles.beside(UPath(shard.uri)) for shard in shards]
    rows = [row for file in files for row in pq.read_table(file.articles.path).to_pylist()]
    assert [(row["article_id"], row["origin_shard"], row["origin_ordinal"]) for row in rows] == [
        (f"id-{n}", "00000", n) for n in range(7)
    ]
    elsewhere = collected(tmp_path / "elsewhere", *["expired"] * 7)
    assert [shard.key for shard in again(elsewhere)] == [shard.key for shard in shards]


def test_a_body_that_is_gone_is_named(tmp_path: Path) -> None:
    ended = collected(tmp_path, "expired")
    chosen = judge([(ended.shard, results(ended.shard))])
    packed_path(UPath(ended.shard.uri)).unlink()
    with pytest.raises(ResultsError, match=r"requests-00000\.json is not the body that was sent"):
        write_second_round(chosen, [ended.shard], UPath(ended.folder), LIMITS)


def test_the_better_outcome_wins_and_costs_add_up(tmp_path: Path) -> None:
    ended = collected(
        tmp_path, "succeeded", "expired", "missing", "cut off", "overloaded_error", *["succeeded"] * 5
    )
    second = again(ended)
    answers = iter(["answered at last", None, "whole now", "fine"])

    def answer(shard: Shard) -> bytes:
        lines = []
        for n in range(shard.articles):
            text = next(answers)
            name = custom_id(shard.key, n)
            lines.append(succeeded(name, text) if text else line(name, {"type": "expired"}))
        return b"".join(reversed(lines))

    for shard in second:
        ended.collect(EndedBatchApi(answer(shard), total=shard.articles), shard)
    target = ended.root.answers("summaries", DAY)
    summary = publish_day(
        ended.root,
        "summaries",
        DAY,
        DayParts(
            [results(ended.shard)], UPath(tmp_path / "rejected.parquet"), [results(shard) for shard in second]
        ),
    )
    rows = pq.read_table(target.path).to_pylist()
    assert [row["article_id"] for row in rows] == [f"id-{n}" for n in range(10)]
    assert [(row["status"], row["text"], row["round"]) for row in rows[:5]] == [
        ("succeeded", "whole", 1),
        ("succeeded", "answered at last", 2),
        ("expired", None, 2),
        ("succeeded", "whole now", 2),
        ("succeeded", "fine", 2),
    ]
    one = rows[0]["cost_usd"]
    # What a missing line cost is not known, and no later answer tells.
    assert rows[2]["cost_usd"] is None
    assert [row["cost_usd"] for row in (*rows[:2], *rows[3:5])] == pytest.approx([one, one, 2 * one, one])
    assert rows[3]["output_tokens"] == 40
    assert {row["topic"] for row in rows} == {"t"}
    assert "origin_shard" not in rows[0]
    first_keys = pq.read_table(ShardFiles.beside(UPath(ended.shard.uri)).articles.path)[
        "request_key"
    ].to_pylist()
    assert [row["request_key"] for row in rows] == first_keys
    assert (summary.succeeded, summary.failed, summary.batches) == (9, {"expired": 1}, 1)
    assert (summary.wasted_usd, summary.cost_usd) == (None, None), "a missing line may have been billed"


def test_a_worse_second_answer_changes_nothing_but_the_bill(tmp_path: Path) -> None:
    ended = collected(tmp_path, "cut off", *["succeeded"] * 5)
    (shard,) = again(ended)
    ended.collect(EndedBatchApi(errored(custom_id(shard.key, 0)), total=1), shard)
    target = ended.root.answers("summaries", DAY)
    publish_day(
        ended.root,
        "summaries",
        DAY,
        DayParts([results(ended.shard)], UPath(tmp_path / "rejected.parquet"), [results(shard)]),
    )
    row = pq.read_table(target.path).to_pylist()[0]
    assert (row["status"], row["text"], row["round"]) == ("truncated", "cut", 1)


def test_an_answer_to_repair_that_does_not_fit_a_shard_stops_no_run(tmp_path: Path) -> None:
    """Its request, the answer and the reason are more than the shard's limit: what is paid for is published anyway."""
    limits = ShardLimits(10, 2_000)
    rows = [Article(name, "", "x" * 1_500, {}, "f", 1) for name in "ab"]
    first, _ = write_shards(rows, UPath(tmp_path), TEMPLATE, limits=limits).shards
    problem = Problem("json_invalid", "it is no JSON")
    chosen = SecondRound(picked={first.name: [0]}, wrong={first.name: {0: WrongAnswer("y" * 1_500, problem)}})
    (again,) = write_second_round(chosen, [first], UPath(tmp_path), limits)
    body = read_body(ShardFiles(UPath(tmp_path), again.name).requests)
    assert len(body) == again.bytes > limits.max_bytes
