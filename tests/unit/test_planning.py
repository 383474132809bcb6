"""From a source to a plan, and from the plan to the bill."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import pyarrow.parquet as pq
import pytest
from upath import UPath

from launch.run_request import SAMPLE_MAX_TOKENS
from nightpress.articles.reader import find_files
from nightpress.articles.reading_options import FieldMap
from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Attempt, Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.costs.plan import Limits
from nightpress.costs.prices import find_prices
from nightpress.days.publish import DayParts, publish_day
from nightpress.errors import BudgetError, ConfigurationError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.runs.preparation import Prepared, prepare_run
from nightpress.runs.run import Reuse, Run, Source
from nightpress.settings import DEFAULT_MODEL, ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import ShardFiles
from tests.support.offline_api_server import LocalApiServer
from tests.support.prompts import SUMMARY_PROMPT

PROJECT = Path(__file__).resolve().parents[2]
DAY = "2026-11-22"


class Runs:
    """One pipeline's runs against an offline API."""

    def __init__(self, server: LocalApiServer, root: Path) -> None:
        client = anthropic.Anthropic(api_key="k", base_url=server.base_url, max_retries=0)
        self.server, self.root = server, UPath(root)
        self.api = MessageBatches(client)
        self.ledger = Ledger(self.root / "ledger", self.api.scope)

    def run(self, run_id: str, day: str = DAY) -> Run:
        return Run("p", day, run_id, DataRoot(self.root), self.ledger)

    def prepare(
        self, run: Run, source: Path, template: RequestTemplate | None = None, **options: Any
    ) -> Prepared:
        asked = template or RequestTemplate(DEFAULT_MODEL, SAMPLE_MAX_TOKENS, PromptTemplate(SUMMARY_PROMPT))
        limit = options.pop("limit", None)
        values: dict[str, Any] = {"reuse": Reuse(), "limits": Limits()} | options
        files = find_files(UPath(source))
        return prepare_run(
            run,
            Source(str(source), files, FieldMap(), limit=limit),
            asked,
            max_rejected_share=0.5,
            **{"shard_limits": ShardLimits()} | values,
        )

    def send(self, run: Run, prepared: Prepared, offline: str = "yes") -> None:
        """Submit, collect and publish what was prepared."""
        results = []
        for shard in prepared.shards:
            intent = Entry(
                key=shard.key,
                requests=shard.articles,
                bytes=shard.bytes,
                pipeline="p",
                day=run.day,
                uri=shard.uri,
            )
            submitted = submit_shard(
                intent, Body(run.root.open(shard.uri), shard.bytes), self.api, self.ledger, time.time
            )
            batch_id = submitted.batch_id  # type: ignore[union-attr]
            while not self.api.retrieve(batch_id).ended:
                time.sleep(0.05)
            provenance = Provenance("p", run.day, batch_id)
            collect_batch(shard, run.root, provenance, self.api, self.ledger)
            results.append(ShardFiles.beside(run.root.open(shard.uri)).results)
        parts = DayParts(
            results,
            run.folder / "rejected.parquet",
            reused=[RunFolder(run.folder).reused(n) for n in range(prepared.plan.reused_files)],
            made_by={"template": prepared.plan.template, "offline": offline},
        )
        publish_day(run.root, "p", run.day, parts)


@pytest.fixture
def runs(tmp_path: Path) -> Any:
    with LocalApiServer(tmp_path / "api") as server:
        yield Runs(server, tmp_path / "data")


def write(path: Path, texts: list[str]) -> Path:
    path.write_text(json.dumps([{"id": n, "content": text} for n, text in enumerate(texts)]))
    return path


def test_the_samples_plan_is_never_below_its_bill_and_at_most_twice(runs: Runs) -> None:
    run = runs.run("one")
    prepared = runs.prepare(run, PROJECT / "include" / "sample")
    runs.send(run, prepared)
    meter, prices = runs.server.billing(), find_prices(DEFAULT_MODEL)
    assert prices is not None
    billed = (
        meter["input_tokens"] * prices.batch[0].input + meter["output_tokens"] * prices.batch[0].output
    ) / 1e6
    upper, expected = prepared.plan.cost_upper_usd, prepared.plan.cost_expected_usd
    assert upper is not None
    assert expected is not None
    assert billed <= upper <= 2 * billed
    assert expected == pytest.approx(billed, rel=0.25)


def test_what_was_answered_is_not_sent_again_and_what_changed_is(runs: Runs, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", ["One.", "Two.", "Three."])
    run = runs.run("one")
    runs.send(run, runs.prepare(run, source))
    write(source, ["One.", "Two, changed.", "Three.", "Four."])
    again = runs.run("two")
    prepared = runs.prepare(again, source)
    assert (prepared.plan.to_send, prepared.plan.reused, prepared.plan.articles) == (2, 2, 4)
    runs.send(again, prepared)
    rows = pq.read_table(str(again.published(DAY))).to_pylist()
    assert [(row["article_id"], row["reused"]) for row in rows] == [
        ("0", True), ("1", False), ("2", True), ("3", False),
    ]  # fmt: skip
    assert all(row["status"] == "succeeded" for row in rows)
    assert runs.server.billing()["requests_billed"] == 5
    fresh = runs.prepare(runs.run("three"), source, reuse=Reuse(fresh=True))
    assert (fresh.plan.to_send, fresh.plan.reused) == (4, 0)
    assert "Fresh answers" in fresh.plan.notes[0]


def test_answers_of_earlier_days_stand_in_when_asked_to(runs: Runs, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", ["One.", "Two."])
    run = runs.run("one", "2026-11-20")
    runs.send(run, runs.prepare(run, source))
    later = runs.run("two", "2026-11-22")
    assert runs.prepare(later, source, reuse=Reuse(days=1)).plan.reused == 0
    assert runs.prepare(later, source, reuse=Reuse(days=2)).plan.reused == 2
    with pytest.raises(ConfigurationError, match="reuse_days is -1"):
        Reuse(days=-1)


def test_a_shard_that_has_a_batch_is_not_to_send(runs: Runs, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", ["One.", "Two."])
    prepared = runs.prepare(runs.run("one"), source)
    (shard,) = prepared.shards
    entry = Entry(key=shard.key, requests=2, bytes=shard.bytes, pipeline="p", day=DAY, batch_id="msgbatch_1")
    runs.ledger.save(entry)
    plan = runs.prepare(runs.run("two"), source).plan
    assert (plan.to_send, plan.attached) == (0, 2)
    # It runs, so its bill is still to come.
    assert plan.cost_upper_usd == prepared.plan.cost_upper_usd
    of_another_day = runs.prepare(runs.run("three", "2026-11-23"), source).plan
    assert (of_another_day.attached, of_another_day.cost_upper_usd) == (2, 0)
    assert of_another_day.verdict == "goes on"


@pytest.mark.parametrize(("answered", "share"), [(4, 0), (1, 0.75), (0, 1)])
def test_what_a_collected_batch_left_without_an_answer_is_still_to_be_paid(
    runs: Runs, tmp_path: Path, answered: int, share: float
) -> None:
    source = write(tmp_path / "a.json", ["One.", "Two.", "Six.", "Ten."])
    whole = runs.prepare(runs.run("one"), source)
    (shard,) = whole.shards
    entry = Entry(
        key=shard.key, requests=4, bytes=shard.bytes, pipeline="p", day=DAY, batch_id="msgbatch_1",
        collected_at=datetime.now(UTC), answered=answered,
    )  # fmt: skip
    runs.ledger.save(entry)
    for day in (DAY, "2026-11-23"):
        plan = runs.prepare(runs.run("two", day), source, limits=Limits(max_cost_usd=1)).plan
        assert plan.attached == 4
        assert plan.cost_upper_usd == pytest.approx(share * (whole.plan.cost_upper_usd or 0), rel=0.02)
        assert plan.verdict == "goes on"


@pytest.mark.parametrize(
    ("paid", "day", "counted"),
    [
        ({"cost_usd": 0.4}, DAY, 0.4),
        ({"cost_usd": 0.4}, "2026-11-21", 0.0),  # another day's expense
        # What is not known counts at its bound, not as nothing.
        ({"cost_usd": None, "known_cost_usd": 0.0}, DAY, None),
    ],
)
def test_what_was_paid_for_collected_shards_is_part_of_the_budget(
    runs: Runs, tmp_path: Path, paid: dict[str, Any], day: str, counted: float | None
) -> None:
    source = write(tmp_path / "a.json", ["One.", "Two."])
    limits = ShardLimits(1)
    whole = runs.prepare(runs.run("one"), source, shard_limits=limits)
    upper = whole.plan.cost_upper_usd
    assert upper is not None
    first = whole.shards[0]
    runs.ledger.save(
        Entry(
            key=first.key,
            requests=1,
            bytes=first.bytes,
            pipeline="p",
            day=day,
            batch_id="msgbatch_1",
            collected_at=datetime.now(UTC),
            answered=1,
            **paid,
        )
    )

    def prepare(budget: float) -> Prepared:
        return runs.prepare(runs.run("two"), source, shard_limits=limits, limits=Limits(max_cost_usd=budget))

    settled = upper / 2 if counted is None else counted
    plan = prepare(upper / 2 + settled + 1e-6).plan
    assert plan.settled_usd == pytest.approx(settled, rel=0.02)
    assert (plan.attached, plan.to_send, plan.over_budget) == (1, 1, False)
    assert plan.request_upper_usd is not None
    if not settled:
        return
    lower = prepare((plan.cost_upper_usd or 0) + settled - 1e-6).plan
    with pytest.raises(BudgetError, match=r"Nothing was sent.*was paid for them"):
        lower.check_budget()


def test_another_prompt_and_a_limit_are_told_before_they_cost(runs: Runs, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", ["One.", "Two.", "Three."])
    run = runs.run("one")
    runs.send(run, runs.prepare(run, source))
    other = RequestTemplate(DEFAULT_MODEL, 50, PromptTemplate("In a word: {content}"))
    note = runs.prepare(runs.run("two"), source, other).plan.notes[0]
    assert "changed since 2026-11-22 was published" in note
    assert "3 articles" in note
    note = runs.prepare(runs.run("three"), source, limit=1).plan.notes[0]
    assert "published with 3 articles; with this limit it will hold 1 only" in note


def test_over_the_budget_the_plan_is_kept_and_nothing_else_happens(runs: Runs, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", ["One."])
    run = runs.run("one")
    with pytest.raises(BudgetError, match="Nothing was sent"):
        runs.prepare(run, source, limits=Limits(max_cost_usd=1e-9)).plan.check_budget()
    assert json.loads((run.folder / "plan.json").read_bytes())["verdict"].startswith("over the budget")
    planned = runs.prepare(run, source, limits=Limits(max_cost_usd=1e-9), plan_only=True).plan
    planned.check_budget()
    assert planned.plan_only


def test_a_shard_that_may_have_a_batch_is_not_held_back_by_a_lower_budget(runs: Runs, tmp_path: Path) -> None:
    source, run = write(tmp_path / "a.json", ["One."]), runs.run("one")
    assert run.ledger is not None
    (shard,) = runs.prepare(run, source).shards
    entry = Entry(key=shard.key, requests=1, bytes=shard.bytes)
    low = Limits(max_cost_usd=1e-9)
    for outcome, stopped in (("refused", True), ("lost", True), ("open", False)):
        post = Attempt(number=1, at=0, deadline=0, outcome=outcome)
        run.ledger.save(msgspec.structs.replace(entry, attempts=(post,)))
        prepared = runs.prepare(run, source, limits=low)
        planned = prepared.plan
        assert (planned.to_send, planned.attached, planned.over_budget) == (stopped, not stopped, stopped)
        assert planned.cost_upper_usd, "the batch may yet have to be made"
        assert [shard.look_only for shard in prepared.shards] == [not stopped], "none is sent over the budget"
    assert not any(
        shard.look_only for shard in runs.prepare(run, source, limits=Limits(max_cost_usd=1.0)).shards
    )


def test_the_offline_api_does_not_replace_what_a_model_answered(runs: Runs, tmp_path: Path) -> None:
    source, run = write(tmp_path / "a.json", ["One."]), runs.run("one")
    runs.send(run, runs.prepare(run, source), offline="no")
    with pytest.raises(ConfigurationError, match="published with answers of a model"):
        runs.prepare(runs.run("two"), source)
    assert runs.prepare(runs.run("three"), source, plan_only=True).plan.articles == 1
    assert runs.prepare(runs.run("four", "2026-11-23"), source).plan.articles == 1


def test_a_preview_stores_nothing(runs: Runs, tmp_path: Path) -> None:
    plan = runs.prepare(runs.run("one"), write(tmp_path / "a.json", ["One.", ""]), write=False).plan
    assert (plan.to_send, plan.rejected, plan.shards) == (1, {"missing_content": 1}, 1)
    assert not runs.root.exists()


def test_the_plan_says_how_many_articles_are_cut(runs: Runs, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", ["short", "x" * 150, "y" * 300])
    template = RequestTemplate(DEFAULT_MODEL, 50, PromptTemplate("{content}", 100))
    plan = runs.prepare(runs.run("one"), source, template).plan
    assert plan.cut == 2
    assert any("max_content_chars=100" in note for note in plan.notes)
    template = RequestTemplate(DEFAULT_MODEL, 50, PromptTemplate("{content}"))
    assert runs.prepare(runs.run("two"), source, template).plan.cut == 0
