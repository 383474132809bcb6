"""Typed answers from the request to the published day: what fits, what does not, and every way back."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field, model_validator
from upath import UPath

from nightpress.articles.article import Article, ReadStats, Rejected
from nightpress.articles.published_source import Published
from nightpress.articles.reading_options import FieldMap
from nightpress.batches.ledger import Entry, Ledger
from nightpress.costs.plan import Limits, Plan, second_round_upper
from nightpress.days.publish import DayParts, publish_day
from nightpress.days.published_articles import iter_published
from nightpress.days.replay import replay_day
from nightpress.days.second_round import judge, write_second_round
from nightpress.days.training import write_conversations
from nightpress.errors import ConfigurationError, InputError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot
from nightpress.outputs.output_schema import OutputSchema
from nightpress.results.collect import collect_batch, find_failures
from nightpress.results.shard_rows import Provenance, ShardResults
from nightpress.runs.preparation import Prepared, prepare_run
from nightpress.runs.run import Reuse, Run, Source
from nightpress.settings import ShardLimits
from nightpress.shards.column_names import RESERVED
from nightpress.shards.kept_bodies import read_body
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.request_keys import custom_id
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.statuses import MESSAGE_STATUSES
from tests.support.ended_batches import EndedBatchApi
from tests.support.result_lines import line, succeeded

pytestmark = pytest.mark.usefixtures("small_buckets")

DAY = "2026-11-22"


class Label(BaseModel):
    price: Decimal | None = Field(max_digits=9, decimal_places=2)
    kind: Literal["a", "b"]
    tags: list[Literal["x", "y"]]
    at: Literal[1, 2] | None = None

    @model_validator(mode="after")
    def _secret(self) -> Self:
        if self.tags == ["y", "y"]:
            raise ValueError("MARKER of the answer")
        return self


FITS = {"price": "12.50", "kind": "b", "tags": ["x", "y"], "at": 2}
ANSWERS: list[tuple[str, str]] = [
    (json.dumps(FITS), "end_turn"),
    (json.dumps(FITS | {"kind": "c"}), "end_turn"),
    (json.dumps(FITS)[:20], "max_tokens"),
    ("", "refusal"),
    ("", "end_turn"),
    (json.dumps(FITS | {"tags": ["y", "y"]}), "end_turn"),
    ("expired", ""),
    (json.dumps(FITS | {"price": None, "at": None}), "max_tokens"),
    *[(json.dumps(FITS), "end_turn")] * 4,
]
COLUMNS = ["price", "kind", "tags", "at"]


class House:
    """A data root, an API whose answers a test gives, and runs of one typed pipeline."""

    def __init__(self, folder: Path) -> None:
        self.root, self.folder = UPath(folder), folder
        self.ledger = Ledger(self.root / "ledger", "api")
        self.template = RequestTemplate(
            "claude-haiku-4-5",
            100,
            PromptTemplate("{brand} {content}"),
            output=OutputSchema.of(Label, RESERVED),
        )
        self.published = self.root / "labels" / f"day={DAY}" / "answers.parquet"

    def source(self, count: int) -> Source:
        path = self.folder / "source.jsonl"
        rows = [{"id": n, "content": f"text {n}", "brand": None, "price": n} for n in range(count)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return Source(str(path), [UPath(path)], FieldMap())

    def prepare(self, run: str, source: Source, template: RequestTemplate | None = None) -> Prepared:
        self.run = self.root / "runs" / "labels" / DAY / run
        root = DataRoot(self.root)
        prepared = prepare_run(
            Run("labels", DAY, run, root, self.ledger),
            source,
            template or self.template,
            shard_limits=ShardLimits(),
            max_rejected_share=0.2,
            reuse=Reuse(),
            limits=Limits(),
        )
        shards = [replace(shard, uri=str(root.open(shard.uri))) for shard in prepared.shards]
        return replace(prepared, shards=shards)

    def collect(self, shard: Shard, answers: list[tuple[str, str]]) -> ShardResults:
        entry = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes, pipeline="labels", day=DAY)
        self.ledger.intend(entry)
        lines = []
        for ordinal, (text, reason) in enumerate(answers):
            name = custom_id(shard.key, ordinal)
            lines.append(succeeded(name, text, stop_reason=reason) if reason else line(name, {"type": text}))
        provenance = Provenance("labels", DAY, f"msgbatch_{shard.name}")
        api = EndedBatchApi(b"".join(lines), total=shard.articles)
        return collect_batch(shard, DataRoot(self.root), provenance, api, self.ledger, model=Label)

    def publish(self, first: list[UPath], second: list[UPath], reused: int = 0) -> list[dict[str, Any]]:
        copies = [RunFolder(self.run).reused(number) for number in range(reused)]
        parts = DayParts(first, self.run / "rejected.parquet", second, copies)
        publish_day(DataRoot(self.root), "labels", DAY, parts)
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.published.path).to_pylist()
        return rows


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def results_of(shard: Shard) -> UPath:
    return ShardFiles.beside(UPath(shard.uri)).results


def params_of(shard: Shard) -> list[dict[str, Any]]:
    body = msgspec.json.decode(read_body(UPath(shard.uri)))
    return [request["params"] for request in body["requests"]]


def run_once(house: House) -> tuple[Shard, list[Shard]]:
    (shard,) = house.prepare("run_1", house.source(len(ANSWERS))).shards
    house.collect(shard, ANSWERS)
    chosen = judge([(shard, results_of(shard))])
    return shard, write_second_round(chosen, [shard], house.run, ShardLimits())


def test_an_answer_is_columns_or_says_what_it_lacks(house: House) -> None:
    (shard,) = house.prepare("run_1", house.source(len(ANSWERS))).shards
    assert params_of(shard)[0]["output_config"] == house.template.output.output_config  # type: ignore[union-attr]
    results = house.collect(shard, ANSWERS)
    by_status = {"succeeded": 6, "invalid_output": 2, "truncated": 1, "refused": 1, "empty": 1, "expired": 1}
    assert results.by_status == by_status
    table = pq.read_table(results_of(shard).path)
    assert table.schema.field("price").type == pa.decimal128(9, 2)
    assert table.schema.names[2:8] == ["brand", "source_price", *COLUMNS]
    rows = table.to_pylist()
    assert {name: rows[0][name] for name in COLUMNS} == FITS | {"price": Decimal("12.50")}
    assert (rows[7]["status"], rows[7]["price"], rows[7]["at"]) == ("succeeded", None, None)
    found = {row["error_type"] or row["status"]: row for row in rows if row["status"] in MESSAGE_STATUSES}
    assert list(found) == ["succeeded", "unknown_value", "truncated", "refused", "empty", "model_check"]
    del found["succeeded"]
    assert found["unknown_value"]["error_message"].startswith("kind: one of these is needed")
    assert found["unknown_value"]["text"] == ANSWERS[1][0]
    for row in found.values():
        assert [row[name] for name in COLUMNS] == [None] * 4
        assert row["output_tokens"] == 20
        assert row["cost_usd"] > 0
    assert [row["source_price"] for row in rows] == list(range(len(ANSWERS)))
    failures, examples = find_failures(results_of(shard))
    assert failures["model_check"] == 1
    assert "MARKER" not in repr(examples)


def test_what_does_not_fit_is_told_once(house: House) -> None:
    shard, (again,) = run_once(house)
    asked = {len(params["messages"]): params for params in params_of(again)}
    assert sorted(len(params["messages"]) for params in params_of(again)) == [1, 1, 3, 3]
    assert "kind: one of these is needed" in params_of(again)[0]["messages"][-1]["content"]
    assert asked[3]["output_config"] == params_of(shard)[0]["output_config"]
    assert [params["max_tokens"] for params in params_of(again)] == [100, 200, 100, 100]
    house.collect(again, [(json.dumps(FITS), "end_turn")] * 3 + [("{}", "end_turn")])
    rows = house.publish([results_of(shard)], [results_of(again)])
    assert [row["round"] for row in rows] == [1, 2, 2, 1, 1, 2, 2, *[1] * 5]
    left = {n: row["status"] for n, row in enumerate(rows) if row["status"] != "succeeded"}
    assert left == {3: "refused", 4: "empty", 6: "invalid_output"}  # the last answers what had expired
    assert [row["kind"] for row in rows][:3] == ["b"] * 3


def test_a_replay_needs_no_class_and_changes_nothing(house: House) -> None:
    shard, (again,) = run_once(house)
    house.collect(again, [(json.dumps(FITS | {"tags": ["y", "y"]}), "end_turn")] * 4)
    before = house.publish([results_of(shard)], [results_of(again)])
    assert "model_check" in {row["error_type"] for row in before}
    report = replay_day(DataRoot(house.root), "labels", DAY, tell=lambda _: None)
    assert report.equal
    assert house.rows() == before


def test_answers_that_fit_are_reused_with_their_columns(house: House) -> None:
    shard, _ = run_once(house)
    before = house.publish([results_of(shard)], [])
    prepared = house.prepare("run_2", house.source(len(ANSWERS)))
    # Only what expired is sent: the others were paid for, and the same request would bring the same.
    assert (prepared.plan.reused, prepared.plan.to_send) == (11, 1)
    (left,) = prepared.shards
    house.collect(left, [(json.dumps(FITS), "end_turn")])
    rows = house.publish([results_of(left)], [], prepared.plan.reused_files)
    assert [row["article_id"] for row in rows] == [row["article_id"] for row in before]
    kept = ("status", "kind", "text", "error_type", "error_message", "stop_reason", "output_tokens")
    for row, earlier in zip(rows, before, strict=True):
        if earlier["status"] != "expired":
            assert [row[name] for name in kept] == [earlier[name] for name in kept]
            assert (row["reused"], row["cost_usd"]) == (True, 0.0)
    other = RequestTemplate("claude-haiku-4-5", 100, PromptTemplate("{content}"))
    changed = house.prepare("run_3", house.source(3), other)
    assert (changed.plan.reused, changed.plan.template == prepared.plan.template) == (0, False)


def test_a_day_without_articles_has_the_columns_and_the_schemas_digest(house: House) -> None:
    house.prepare("run_1", house.source(0))
    assert house.publish([], []) == []
    schema = pq.read_schema(house.published.path)
    assert schema.names[2:6] == COLUMNS
    assert house.template.output is not None
    assert schema.metadata[b"output"].decode() == house.template.output.digest


def test_a_field_that_no_row_has_is_named_with_those_that_exist(house: House) -> None:
    template = RequestTemplate("claude-haiku-4-5", 100, PromptTemplate("{colour} {content}"))
    with pytest.raises(InputError, match=r"\{colour\}.* id, title, content, brand, price"):
        house.prepare("run_1", house.source(3), template)


def test_a_field_that_a_row_lacks_rejects_that_row(house: House) -> None:
    source = house.source(9)
    with Path(source.shown).open("a") as file:
        file.write('{"id": "poor", "content": "no brand"}\n')
    assert house.prepare("run_1", source).plan.rejected == {"missing_field": 1}


def test_a_published_day_is_a_source(house: House) -> None:
    shard, _ = run_once(house)
    house.publish([results_of(shard)], [])
    published = Published.of_source("published:labels?content=tags")
    assert published == Published("labels", "tags")
    rows = list(iter_published(house.published, published, DAY, ReadStats()))
    articles = [row for row in rows if isinstance(row, Article)]
    assert len(articles) == 6
    assert articles[0].content == '["x","y"]'
    assert (articles[0].metadata["kind"], articles[0].metadata["day"]) == ("b", DAY)
    assert {row.reason for row in rows if isinstance(row, Rejected)} == {"missing_content"}
    (whole,) = iter_published(house.published, Published("labels", whole=True), DAY, ReadStats())
    assert isinstance(whole, Article)
    assert whole.content.count('"kind": "b"') == whole.metadata["articles"] == 6
    for wrong, said in ((Published("labels", "colour"), "colour"), (Published("labels"), "not published")):
        place = house.published if wrong.content == "colour" else house.published.parent / "nothing"
        with pytest.raises(InputError, match=said):
            list(iter_published(place, wrong, DAY, ReadStats()))


@pytest.mark.parametrize("source", ["published:", "published:a/b", "published:a?as=x", "published:a?b=c"])
def test_a_chain_that_cannot_be_understood_is_refused(source: str) -> None:
    with pytest.raises(ConfigurationError, match=r"published:<pipeline>"):
        Published.of_source(source)


def test_sources_of_other_kinds_are_left_alone() -> None:
    assert Published.of_source("s3://bucket/x") is Published.of_source(None) is None
    chain = Published("a", "b c&d", whole=True)
    assert Published.of_source(chain.to_source()) == chain


def test_training_data_has_each_question_once_and_no_short_answers(tmp_path: Path) -> None:
    def pair(question: str, answer: str) -> dict[str, str]:
        return {"question": question, "answer": answer}

    pairs = [
        [pair("Why  so?", "Because it is long enough.")],
        None,
        [pair("why so?", "Another long answer, too.")],
    ]
    pairs.append([pair("And now?", "No."), pair("Where?", "In the house by the river.")])
    path = UPath(tmp_path / "answers.parquet")
    pq.write_table(pa.table({"pairs": pairs}), path.path)
    target = UPath(tmp_path / "training.jsonl")
    assert write_conversations(path, target) == {"kept": 2, "repeated": 1, "too_short": 1}
    lines = [json.loads(text) for text in target.read_text().splitlines()]
    assert lines[1]["messages"][1] == {"role": "assistant", "content": "In the house by the river."}


@pytest.mark.parametrize(("system", "said"), [("word " * 10, "no effect"), ("word " * 20_000, "saves about")])
def test_the_plan_tells_what_caching_does_and_bears_its_writes(house: House, system: str, said: str) -> None:
    def plan(run: str, cache: bool) -> Plan:
        template = RequestTemplate("claude-haiku-4-5", 100, PromptTemplate("{content}"), system, cache=cache)
        return house.prepare(run, house.source(50), template).plan

    plain, cached = plan("run_1", False), plan("run_2", True)
    (body,) = house.run.glob("requests-*.json")
    (part,) = params_of(Shard(str(body), 50, 0, ""))[0]["system"]
    assert part == {"type": "text", "text": system, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert said in " ".join(cached.notes)
    assert "cach" not in " ".join(plain.notes)
    assert plain.template != cached.template
    assert plain.cost_upper_usd is not None
    assert cached.cost_upper_usd is not None
    input_usd = plain.input_tokens_upper * 0.5 / 1e6
    added = cached.cost_upper_usd - plain.cost_upper_usd
    # The careful upper bound takes even a part that is too short as written once more.
    assert (added < 0.002) if said == "no effect" else (0.9 * input_usd < added < 1.1 * input_usd)
    assert second_round_upper(cached, 10, 1_000) >= second_round_upper(plain, 10, 1_000)
