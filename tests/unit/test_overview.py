from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import fsspec
import msgspec
import pytest
from upath import UPath

from nightpress.batches.ledger import Attempt, Entry, Example
from nightpress.costs.plan import plan_values
from nightpress.costs.receipt import RECEIPT_VERSION, BatchReceipt, make_receipt
from nightpress.costs.receipt_files import receipt_values
from nightpress.layout import DataRoot
from nightpress.overview import Overview, Query, RunsPage
from nightpress.overview.batch_rows import read_row
from nightpress.overview.run_views import group_runs, order_rows, state_at
from tests.support.ledgers import NOW, entry, put
from tests.support.plans import make_plan


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UPath]:
    if request.param == "local":
        yield UPath(tmp_path)
        return
    folder = f"/overview-{uuid4().hex}"
    yield UPath(f"memory:/{folder}")
    store = fsspec.filesystem("memory")
    if store.exists(folder):
        store.rm(folder, recursive=True)


class Looker:
    """An overview that looks again each time, at a time that can be set."""

    def __init__(self, root: UPath, **options: int) -> None:
        self.now = NOW
        self.overview = Overview(DataRoot(root), lambda: self.now, fresh_seconds=0, **options)

    def ask(self, query: Query | None = None, *, dags: set[str] | None = None) -> RunsPage:
        return self.overview.answer(
            query or Query(), lambda dag_id, pipeline: dags is None or (dag_id or pipeline) in dags
        )


def test_nothing_was_ever_submitted(root: UPath) -> None:
    answer = Looker(root).ask()
    assert (answer.empty, answer.count, answer.pages, answer.runs) == (True, 0, 1, [])


def test_a_run_with_a_batch_in_every_state(root: UPath) -> None:
    states = ("intended", "posting", "lost", "submitted", "ended", "collected")
    put(root, *(entry(number, state) for number, state in enumerate(states)))
    (run,) = Looker(root).ask().runs
    assert [(row.name, state_at(row, NOW)) for row in order_rows(run, NOW)] == [
        ("00002", "question"),
        ("00001", "submitting"),
        ("00003", "submitted"),
        ("00004", "ended"),
        ("00000", "intended"),
        ("00005", "collected"),
    ]
    assert (run.status, run.done, run.requests, run.cost_usd) == ("question", 2, 600, 0.5)


def test_a_post_under_way_becomes_a_question_at_its_deadline(root: UPath) -> None:
    put(root, entry(1, "posting"))
    looker = Looker(root)
    assert (looker.ask().runs[0].status, looker.ask().question_count) == ("running", 0)
    looker.now = NOW + 301
    answer = looker.ask()
    assert (answer.runs[0].status, answer.question_count) == ("question", 1)
    assert "has no known outcome" in answer.questions[0][1].seen
    assert looker.overview.reads == 1


def test_only_what_changed_is_read_again(root: UPath) -> None:
    put(root, *(entry(number, "submitted") for number in range(10)))
    looker = Looker(root)
    assert looker.ask().states == {"submitted": 10}
    assert looker.overview.reads == 10
    assert looker.ask().states == {"submitted": 10}
    assert looker.overview.reads == 10
    put(root, entry(3, "collected"), entry(10, "submitted"))
    assert looker.ask().states == {"submitted": 10, "collected": 1}
    assert looker.overview.reads == 12
    (root / "ledger" / "offline" / entry(5).key).with_suffix(".json").unlink()
    assert looker.ask().states == {"submitted": 9, "collected": 1}
    assert looker.overview.reads == 12


def test_ten_thousand_entries_are_read_once_and_answered_a_page_at_a_time(tmp_path: Path) -> None:
    root = UPath(tmp_path)
    folder = tmp_path / "ledger" / "offline"
    folder.mkdir(parents=True)
    for number in range(10_000):
        one = entry(number, run=f"run {number // 100:03d}", day=f"2026-11-{number // 1000 + 1:02d}")
        (folder / f"{one.key}.json").write_bytes(msgspec.json.encode(one))
    looker = Looker(root)
    answer = looker.ask(Query(page=2))
    assert (answer.count, answer.pages, len(answer.runs)) == (100, 5, 20)
    assert (answer.states, answer.requests, answer.cost_usd) == ({"collected": 10_000}, 1_000_000, 5_000)
    put(root, entry(7, "submitted", run="run 000", day="2026-11-01"))
    answer = looker.ask()
    assert answer.states == {"collected": 9_999, "submitted": 1}
    assert answer.runs[0].run == "run 000"
    assert looker.overview.reads == 10_001
    assert looker.ask(Query(page=999)).page == 5


def test_the_newest_entries_are_kept_when_there_are_too_many(tmp_path: Path) -> None:
    put(UPath(tmp_path), *(entry(number) for number in range(5)))
    answer = Looker(UPath(tmp_path), max_entries=3).ask()
    assert (sum(answer.states.values()), answer.left_out) == (3, 2)


def test_filters_and_what_may_be_seen(root: UPath) -> None:
    put(
        root,
        entry(1, pipeline="a", day="2026-11-20", dag_id="dag_a", run="r1"),
        entry(2, pipeline="b", day="2026-11-21", dag_id="dag_b", run="r2"),
        entry(3, pipeline="old", day="2026-11-21", dag_id="", run="r3"),
    )
    looker = Looker(root)

    def pipelines(query: Query, dags: set[str] | None = None) -> list[str]:
        return sorted(run.pipeline for run in looker.ask(query, dags=dags).runs)

    assert pipelines(Query(pipeline="a")) == ["a"]
    assert pipelines(Query(day="2026-11-21")) == ["b", "old"]
    assert pipelines(Query(dag_id="dag_b", run="r2")) == ["b"]
    assert pipelines(Query(pipeline="<script>")) == []
    assert pipelines(Query(), {"dag_a", "old"}) == ["a", "old"]
    seen = looker.ask(Query(), dags={"dag_a"})
    assert (seen.pipelines, seen.days, seen.cost_usd) == (["a"], ["2026-11-20"], 0.5)
    assert looker.ask(Query(), dags=set()).empty


def test_an_entry_that_cannot_be_read_is_a_question(root: UPath) -> None:
    put(root, entry(1))
    name = f"{2:064x}.json"
    (root / "ledger" / "offline" / name).write_bytes(b'{"key": ')
    answer = Looker(root).ask()
    assert answer.states == {"collected": 1, "question": 1}
    ((row, question),) = answer.questions
    assert (row.key, question.options.split(":")[0]) == (
        name[:-5],
        "restore the file from a backup, or set it aside",
    )
    assert "cannot be read" in question.seen


def test_an_attempt_that_the_entry_does_not_know_is_found(root: UPath) -> None:
    put(root, entry(1, "intended"))
    looker = Looker(root)
    assert looker.ask().states == {"intended": 1}
    attempt = Attempt(number=1, at=NOW - 700, deadline=NOW - 100)
    folder = root / "ledger" / "offline" / "attempts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{1:064x}.1.json").write_bytes(msgspec.json.encode(attempt))
    assert looker.ask().states == {"question": 1}
    put(root, entry(1, "submitted"))
    assert looker.ask().states == {"submitted": 1}


def test_failures_by_kind_and_what_the_second_round_answered(root: UPath) -> None:
    failed: dict[str, Any] = {
        "by_status": {"succeeded": 90, "errored": 6, "expired": 4},
        "errors": {"api_error": 6, "expired": 4},
    }
    examples = tuple(Example("api_error", f"id-{n}", "Internal server error") for n in range(3))
    put(
        root,
        entry(1, **failed, examples=examples),
        entry(2, **failed, examples=examples),
        entry(
            3,
            round=2,
            requests=20,
            uri="x/requests-r2-00000.json",
            by_status={"succeeded": 18, "expired": 2},
            errors={"expired": 2},
        ),
    )
    (run,) = Looker(root).ask().runs
    assert [(kind.kind, kind.requests, kind.batches) for kind in run.failures] == [
        ("api_error", 12, 2),
        ("expired", 10, 3),
    ]
    assert [example.custom_id for example in run.failures[0].examples] == ["id-0", "id-1", "id-2"]
    assert (run.requests, run.failed, run.answered_again, run.unanswered) == (200, 20, 18, 2)


def test_the_expected_end_comes_from_the_batches_most_alike(root: UPath) -> None:
    put(
        root,
        *(entry(n, age=9000, took=seconds) for n, seconds in enumerate((100, 200, 300, 400, 1000))),
        *(entry(10 + n, age=9000, took=5000, requests=50_000) for n in range(3)),
        *(entry(20 + n, age=9000, took=7000, pipeline="other") for n in range(9)),
        entry(30, age=9000, took=8000, pipeline="elsewhere", requests=3),
    )
    history = Looker(root).ask().history
    near = history.estimate("offline", "summaries", 90)
    assert near is not None
    assert (near.usual, near.late, near.batches, near.alike) == (300, 1000, 5, "pipeline and size")
    big = history.estimate("offline", "summaries", 60_000)
    assert big is not None and (big.usual, big.alike) == (5000, "pipeline and size")
    unknown_size = history.estimate("offline", "summaries", 1)
    assert unknown_size is not None and (unknown_size.batches, unknown_size.alike) == (8, "pipeline")
    new = history.estimate("offline", "new", 100)
    assert new is not None and (new.batches, new.alike) == (14, "size")
    assert history.estimate("api.anthropic.com", "summaries", 100) is None


def test_receipts_tell_what_is_published_and_what_older_batches_cost(root: UPath) -> None:
    put(root, entry(1, cost_usd=None), entry(2, cost_usd=None), entry(3, cost_usd=0.25))
    looker = Looker(root)
    run = looker.ask().runs[0]
    assert (run.status, run.cost_usd, run.cost_unknown) == ("collected", 0.25, 2)
    batches = [
        BatchReceipt(batch_id="msgbatch_1", shard_key="a", paid_usd=0.5),
        BatchReceipt(batch_id="msgbatch_2", shard_key="b", paid_usd=9.0, reused=True),
    ]
    receipt = make_receipt(
        batches,
        pipeline="summaries",
        day="2026-11-22",
        run="night",
        offline=True,
        wasted_usd=None,
        published_at=datetime(2026, 11, 23, 2, tzinfo=UTC),
        numbers={"failed": {"expired": 7}},
    )
    stored = receipt_values(receipt) | {"a_field_of_a_later_version": 1}
    data = DataRoot(root)
    data.receipts("summaries").mkdir(parents=True, exist_ok=True)
    data.receipt("summaries", "2026-11-22").write_bytes(msgspec.json.encode(stored))
    data.receipt("summaries", "2026-11-21").write_text("{")
    run = looker.ask().runs[0]
    assert (run.status, run.cost_usd, run.cost_unknown, run.unanswered) == ("published", 0.75, 1, 7)
    newer = stored | {"schema_version": RECEIPT_VERSION + 1}
    data.receipt("summaries", "2026-11-22").write_bytes(msgspec.json.encode(newer))
    looker.now += 2
    assert looker.ask().runs[0].receipt is None


def test_the_plan_tells_how_many_shards_are_to_come_and_what_they_may_cost(root: UPath) -> None:
    folder = root / "runs" / "summaries" / "2026-11-22" / "night"
    uri = {"uri": f"{folder}/requests-00000.json"}
    put(
        root,
        entry(1, "submitted", **uri),
        entry(2, "submitted", run="old", uri="file:///gone/requests-1.json"),
    )
    looker = Looker(root)
    assert [run.to_come for run in looker.ask().runs] == [0, 0]
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_values(make_plan(shards=7, cost_expected_usd=1.5, cost_upper_usd=3.0))
    (folder / "plan.json").write_text(json.dumps(plan))
    looker.now += 31
    run = next(run for run in looker.ask(Query(run="night")).runs)
    assert run.plan is not None
    assert (run.to_come, run.plan.cost_expected_usd, run.plan.cost_upper_usd) == (6, 1.5, 3)
    (folder / "plan.json").write_text(json.dumps({**plan, "attached": 500}))
    looker.now += 31
    assert looker.ask(Query(run="night")).runs[0].to_come == 0
    (folder / "plan.json").write_text(json.dumps({"shards": "many"}))
    looker.now += 31
    assert looker.ask(Query(run="night")).runs[0].plan is None


def test_an_entry_of_before_is_shown_without_what_it_does_not_know(root: UPath) -> None:
    known = {"dag_id", "task_id", "map_index", "by_status", "errors", "examples", "cost_usd"}
    old = {name: value for name, value in msgspec.to_builtins(entry(1)).items() if name not in known}
    put(root, msgspec.convert(old, Entry, strict=False))
    (run,) = Looker(root).ask().runs
    assert (run.dag_id, run.states, run.cost_unknown, run.failures) == ("", {"collected": 1}, 1, [])


def test_a_store_that_hangs_does_not_hold_up_who_looks_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightpress.overview.overview._PATIENCE_SECONDS", 0.05)
    put(UPath(tmp_path), entry(1, "submitted"))
    overview = Overview(DataRoot(UPath(tmp_path)), lambda: NOW, fresh_seconds=0)
    with overview._lock, pytest.raises(TimeoutError):
        overview.look()
    seen = overview.look()
    with overview._lock:
        assert overview.look() is seen


def test_many_people_looking_is_one_look_a_second(tmp_path: Path) -> None:
    put(UPath(tmp_path), entry(1, "submitted"))
    now = [NOW]
    overview = Overview(DataRoot(UPath(tmp_path)), lambda: now[0])
    assert overview.answer(Query(), lambda *_: True).states == {"submitted": 1}
    put(UPath(tmp_path), entry(1, "collected"))
    now[0] += 0.9
    assert overview.answer(Query(), lambda *_: True).states == {"submitted": 1}
    now[0] += 0.2
    assert overview.answer(Query(), lambda *_: True).states == {"collected": 1}


def test_the_known_part_of_an_unknown_cost_is_shown(tmp_path: Path) -> None:
    root = UPath(tmp_path)
    put(
        root,
        entry(1),
        entry(2, cost_usd=None, known_cost_usd=0.25),
        entry(3, cost_usd=None),
        entry(4, "submitted"),
    )
    answer = Overview(DataRoot(root), lambda: NOW).answer(Query(), lambda dag, pipeline: True)
    (run,) = answer.runs
    assert (run.cost_usd, run.cost_unknown) == (0.75, 2)
    assert (answer.cost_usd, answer.cost_unknown) == (0.75, 2)
    known = {row.map_index: (row.cost_usd, row.known_cost_usd) for row in run.rows}
    assert known == {1: (0.5, None), 2: (None, 0.25), 3: (None, None), 4: (None, None)}


@pytest.mark.parametrize(
    ("recorded", "shown"), [({}, 0.25), ({"known_cost_usd": 0.3}, 0.3), ({"cost_usd": 0.4}, 0.4)]
)
def test_the_known_part_comes_from_the_receipt_where_the_ledger_has_none(
    recorded: dict[str, Any], shown: float
) -> None:
    fields: dict[str, Any] = {"cost_usd": None, **recorded}
    row = read_row("offline", entry(1, **fields), None)
    batch = BatchReceipt(batch_id=row.batch_id, shard_key=row.key, known_paid_usd=0.25, unknown_requests=1)
    receipt = make_receipt(
        [batch], pipeline="summaries", day="2026-11-22", run="night", offline=True, wasted_usd=None
    )
    receipts: Any = SimpleNamespace(find=lambda *day: receipt)
    (run,) = group_runs([row], receipts, NOW)
    assert (run.cost_usd, run.cost_unknown) == (shown, "cost_usd" not in recorded)
