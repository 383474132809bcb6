"""What Airflow's tasks say of a run: each way that it can stand, from its first task to its last."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from message_batches.page import overview_json
from message_batches.page.airflow_database import FoundRun, Task
from message_batches.page.airflow_runs import AirflowRuns, describe_run
from nightpress.costs.plan import plan_values
from nightpress.layout import DataRoot
from nightpress.overview import Overview, Query
from nightpress.overview.started_runs import StartedRun
from tests.support.ledgers import NOW, at, entry, put
from tests.support.plans import make_plan
from tests.support.published_days import write_receipt

DAY = "2026-11-22"
PLAN = plan_values(
    make_plan(pipeline="summaries", day=DAY, shards=2, cost_expected_usd=0.5, cost_upper_usd=1.0)
)


def task(name: str, state: str, minute: int = 0, map_index: int = -1) -> Task:
    ended = datetime(2026, 11, 23, 2, minute, tzinfo=UTC) if state in {"failed", "success"} else None
    return Task(name, map_index, state, ended)


def found(*tasks: Task, state: str = "running", told: dict[Any, Any] | None = None, **given: Any) -> FoundRun:
    run = FoundRun("press_dag", "run_1", state, at(60), None, DAY, list(tasks), dict(told or {}))
    for name, value in given.items():
        setattr(run, name, value)
    return run


def planned(**changed: Any) -> dict[Any, Any]:
    return {("read_articles", "plan"): PLAN | changed}


def failure(task_id: str, kind: str, message: str, code: str = "") -> dict[Any, Any]:
    return {(task_id, "failure"): {"kind": kind, "code": code, "message": message}}


READ = task("read_articles", "success")
APPROVED = task("approve_plan", "success")
SKIPPED = [task(name, "skipped") for name in ("shard.submit_batch", "collect_failures", "publish")]


@pytest.mark.parametrize(
    ("run", "state", "step", "why", "task_id"),
    [
        (found(task("read_articles", "scheduled")), "running", "reading articles", "", ""),
        (found(task("read_articles", "up_for_retry")), "running", "reading articles, trying again", "", ""),
        (found(task("read_articles", ""), state="queued"), "running", "starting", "", ""),
        (
            found(READ, task("approve_plan", "awaiting_input"), told=planned(), asked={"approve_plan"}),
            "approval",
            "waiting for approval",
            "",
            "approve_plan",
        ),
        (
            found(
                task("read_articles", "failed"),
                *(task(name, "upstream_failed") for name in ("approve_plan", "publish")),
                state="failed",
                told=planned(max_cost_usd=1.0, cost_upper_usd=1.5),
            ),
            "over_budget",
            "failed at read_articles",
            "over the budget of $1.00: nothing is sent",
            "read_articles",
        ),
        (
            found(
                task("read_articles", "failed"),
                task("publish", "upstream_failed"),
                state="failed",
                told=failure("read_articles", "InputError", "a.csv\x1b[31m: no column id"),
            ),
            "unreadable",
            "failed at read_articles",
            "a.csv\\x1b[31m: no column id",
            "read_articles",
        ),
        (
            found(
                READ,
                APPROVED,
                task("shard.submit_batch", "skipped", map_index=0),
                task("collect_failures", "failed"),
                task("publish", "upstream_failed"),
                state="failed",
                told=planned() | failure("collect_failures", "AccountTroubleError", "401: invalid x-api-key"),
            ),
            "account",
            "failed at collect_failures",
            "401: invalid x-api-key",
            "collect_failures",
        ),
        (
            # The one real failure, not what failed because of it, and the first of two.
            found(
                READ,
                APPROVED,
                task("shard.wait_for_batch", "failed", 5, 1),
                task("shard.write_results", "failed", 3, 0),
                *(
                    task(name, "upstream_failed")
                    for name in ("shard.write_results", "collect_failures", "publish")
                ),
                state="failed",
                told=planned() | failure("shard.write_results", "ResultsError", "the results are gone"),
            ),
            "failed",
            "failed at shard.write_results",
            "the results are gone",
            "shard.write_results",
        ),
        (
            # A shard has failed while others still run: a person may look at once.
            found(
                READ,
                APPROVED,
                task("shard.submit_batch", "failed", 1, 0),
                task("shard.wait_for_batch", "deferred"),
            ),
            "failed",
            "failed at shard.submit_batch",
            "",
            "shard.submit_batch",
        ),
        (found(READ, APPROVED, task("shard.submit_batch", "running")), "running", "submitting", "", ""),
        (
            found(
                READ,
                APPROVED,
                task("shard.submit_batch", "success"),
                task("shard.wait_for_batch", "deferred"),
            ),
            "running",
            "waiting for batches",
            "",
            "",
        ),
        (found(READ, APPROVED, task("publish", "running")), "running", "publishing", "", ""),
        (
            found(READ, APPROVED, *SKIPPED, state="success", told=planned(plan_only=True)),
            "planned",
            "planned, nothing was sent",
            "",
            "",
        ),
        (
            found(READ, APPROVED, *SKIPPED, state="success", told=planned()),
            "rejected",
            "a person rejected the plan, nothing was sent",
            "",
            "",
        ),
        (
            found(READ, APPROVED, task("publish", "success"), state="success", told=planned()),
            "done",
            "",
            "",
            "",
        ),
        (
            found(task("read_articles", ""), state="failed"),
            "failed",
            "failed",
            "The run was marked as failed, or timed out.",
            "",
        ),
    ],
)
def test_each_way_that_a_run_can_stand(run: FoundRun, state: str, step: str, why: str, task_id: str) -> None:
    (started,) = describe_run(run)
    assert (started.state, started.step, started.why, started.task_id) == (state, step, why, task_id)


def test_a_comparison_has_a_run_for_each_variant() -> None:
    told = {("a.read_articles", "plan"): PLAN | {"pipeline": "c_a"}}
    run = found(
        task("a.read_articles", "success"),
        task("a.publish", "success"),
        task("b.read_articles", "running"),
        told=told,
    )
    assert [(each.pipeline, each.state, each.step) for each in describe_run(run)] == [
        ("c_a", "done", ""),
        ("press_dag_b", "running", "reading articles"),
    ]


def test_a_dag_of_single_operators_is_there_under_whatever_names_its_tasks_have() -> None:
    tasks = [task("read", "success"), task("submit", "running", map_index=0)]
    tasks[0].operator = "ReadArticlesOperator"
    (started,) = describe_run(found(*tasks, told={("read", "plan"): PLAN | {"pipeline": "alone"}}))
    assert (started.pipeline, started.state) == ("alone", "running")
    tasks[1] = task("submit", "failed", map_index=0)
    (started,) = describe_run(found(*tasks))
    assert (started.state, started.task_id, started.map_index) == ("failed", "submit", 0)


@pytest.mark.parametrize(
    "plan",
    ["text", 7, None, [], {"pipeline": "../../x", "day": "x"}, {"shards": "many"}, {"shards": -(10**30)}],
)
def test_an_odd_plan_takes_nothing_down(plan: Any) -> None:
    (started,) = describe_run(found(READ, told={("read_articles", "plan"): plan}))
    assert (started.pipeline, started.day) == ("press_dag", DAY)


def test_before_there_is_a_plan_the_task_says_whose_run_it_is() -> None:
    told = {("read_articles", "about"): {"pipeline": "summaries", "day": "2026-11-20"}}
    (started,) = describe_run(found(task("read_articles", "running"), told=told))
    assert (started.pipeline, started.day) == ("summaries", "2026-11-20")


def test_the_database_is_asked_every_few_seconds_at_most() -> None:
    now, asked = [0.0], []

    def read() -> list[FoundRun]:
        asked.append(now[0])
        return [found(READ)]

    runs = AirflowRuns(read, lambda: now[0])
    for moment in (0.0, 1.0, 2.9, 3.0, 100.0):
        now[0] = moment
        assert len(runs.look()) == 1
    assert asked == [0.0, 3.0, 100.0]


def started(run: str, state: str, minutes_ago: float, **given: Any) -> StartedRun:
    values: dict[str, Any] = {
        "dag_id": "press_dag",
        "run": run,
        "pipeline": "summaries",
        "day": DAY,
        "began": NOW - minutes_ago * 60,
    }
    return StartedRun(state=state, **values | given)


def shown(root: Path, *runs: StartedRun) -> list[dict[str, Any]]:
    answer = Overview(DataRoot(UPath(root)), lambda: NOW).answer(Query(), lambda *_: True, runs)
    found: list[dict[str, Any]] = overview_json.describe_page(answer, NOW, {})["runs"]
    return found


def test_what_needs_a_person_comes_first(tmp_path: Path) -> None:
    put(
        UPath(tmp_path),
        entry(1, "submitted", run="sending", day="2026-11-21"),
        entry(2, run="old", day="2026-11-20"),
    )
    runs = shown(
        tmp_path,
        started("reading", "running", 1, day="2026-11-23", step="reading articles"),
        started("waits", "approval", 50, day="2026-11-19", task_id="approve_plan"),
        started("broken", "unreadable", 90, day="2026-11-18", why="no such file", task_id="read_articles"),
        started("dry", "planned", 2, day="2026-11-17"),
        started("sending", "running", 3, day="2026-11-21", step="waiting for batches"),
    )
    assert [(run["run"], run["status"]) for run in runs] == [
        ("waits", "approval"),
        ("broken", "unreadable"),
        ("reading", "running"),
        ("sending", "running"),
        ("dry", "planned"),
        ("old", "collected"),
    ]
    assert runs[0]["links"]["look"] == "dags/press_dag/runs/waits/tasks/approve_plan/required_actions"
    assert runs[1]["why"] == "no such file"


def test_the_summary_counts_what_needs_a_person_and_what_runs(tmp_path: Path) -> None:
    runs = (
        started("a", "approval", 1),
        started("b", "approval", 1, day="2026-11-20"),
        started("c", "running", 1, day="2026-11-19"),
    )
    answer = Overview(DataRoot(UPath(tmp_path)), lambda: NOW).answer(Query(), lambda *_: True, runs)
    totals = overview_json.describe_page(answer, NOW, {})["totals"]
    assert (totals["needing"], totals["running"], answer.empty) == (2, 1, False)


def test_a_failure_is_settled_by_a_later_run_of_the_day(tmp_path: Path) -> None:
    runs = shown(tmp_path, started("first", "over_budget", 60), started("second", "running", 5))
    assert [(run["run"], run["needs_person"], run["settled"]) for run in runs] == [
        ("second", False, False),
        ("first", False, True),
    ]
    (run,) = shown(tmp_path, started("first", "over_budget", 60))
    assert (run["needs_person"], run["settled"]) == (True, False)


def test_a_wholly_reused_run_is_published_and_one_before_it_replaced(tmp_path: Path) -> None:
    put(UPath(tmp_path), entry(1, run="noon", day=DAY))
    numbers = {"articles": 100, "reused": 100, "failed": {}}
    receipt = {"run": "night", "published_at": at(30).isoformat(), "numbers": numbers}
    write_receipt(UPath(tmp_path), receipt, day=DAY, pipeline="summaries")
    runs = {run["run"]: run for run in shown(tmp_path, started("night", "done", 10, ended=NOW - 30))}
    assert (runs["night"]["status"], runs["night"]["reused"], runs["night"]["articles"]) == (
        "published",
        100,
        100,
    )
    assert (runs["noon"]["status"], runs["noon"]["replaced_by"]) == ("replaced", "night")
    assert runs["night"]["links"]["csv"] == f"answers/summaries/{DAY}.csv"
    assert runs["noon"]["links"]["csv"] is None


def test_the_report_link_is_there_only_when_the_report_is_newer_than_the_publication(tmp_path: Path) -> None:
    path = tmp_path / "reports" / f"day={DAY}" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("older")
    later = datetime.fromtimestamp(path.stat().st_mtime + 60, UTC).isoformat()
    write_receipt(UPath(tmp_path), {"run": "night", "published_at": later}, day=DAY, pipeline="summaries")
    (run,) = shown(tmp_path, started("night", "done", 10))
    assert run["links"]["report"] is None
    earlier = datetime.fromtimestamp(path.stat().st_mtime - 60, UTC).isoformat()
    write_receipt(UPath(tmp_path), {"run": "night", "published_at": earlier}, day=DAY, pipeline="summaries")
    (run,) = shown(tmp_path, started("night", "done", 10))
    assert run["links"]["report"] == f"reports/{DAY}"


def test_runs_are_filtered_by_what_may_be_read(tmp_path: Path) -> None:
    runs = (started("a", "approval", 1), started("b", "approval", 1, dag_id="their_dag", pipeline="theirs"))
    answer = Overview(DataRoot(UPath(tmp_path)), lambda: NOW).answer(
        Query(), lambda dag, _: dag == "press_dag", runs
    )
    assert ([run.run for run in answer.runs], answer.needing, answer.pipelines) == (["a"], 1, ["summaries"])


HOSTILE: dict[str, dict[str, Any]] = {
    "a time out of range": {"attempts": [{"number": 1, "at": 1e300, "deadline": 1e300, "outcome": "open"}]},
    "a negative time": {"attempts": [{"number": 1, "at": -1e300, "deadline": 0.0, "outcome": "open"}]},
    "a name of a megabyte": {"pipeline": "x" * 1_000_000},
    "a name of 20 MB": {"pipeline": "x" * 20_000_000},
    "a foreign address": {"uri": "s3://elsewhere/etc/passwd", "state": "submitted"},
    "an address that leads out": {"uri": "../../../etc/passwd"},
    "a count beyond 64 bits": {"requests": 10**30},
    "a negative count": {"by_status": {"succeeded": -5}},
    "a cost beyond measure": {"cost_usd": 1e308},
    "a million kinds": {"errors": {str(n): 1 for n in range(10_000)}},
    "nested deeply": {"errors": "DEEP"},
    "a pipeline with NUL": {"pipeline": "\0"},
    "a pipeline that is an address": {"pipeline": "s3://x/y"},
    "a pipeline that leads out": {"pipeline": "../../etc"},
    "a pipeline of half a character": {"pipeline": "\ud800"},
    "a day that is none": {"day": "../../2026-11-22"},
    "a day before all": {"day": "0000-00-00"},
    "a moment before all": {"submitted_at": "0001-01-01T00:00:00Z"},
    "a moment after all": {"submitted_at": "9999-12-31T23:59:59-14:00"},
    "names with escapes": {"run": "\x1b[2J\u202e", "dag_id": "\x00", "task_id": "<script>"},
    "a batch id that leads out": {"batch_id": "../../x"},
    "an example of another kind": {"examples": [{"kind": 1, "custom_id": None}]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_hostile_entry_does_not_take_the_page_down(tmp_path: Path, name: str) -> None:
    import json

    import msgspec

    put(UPath(tmp_path), entry(1, run="good"), entry(2, "submitted", run="good"))
    values = json.loads(msgspec.json.encode(entry(9, "lost", run="bad"))) | HOSTILE[name]
    text = json.dumps(values).replace('"DEEP"', "[" * 50_000 + "]" * 50_000)
    (tmp_path / "ledger" / "offline" / f"{9:064x}.json").write_text(text)
    overview = Overview(DataRoot(UPath(tmp_path)), lambda: NOW)
    answer = overview.answer(Query(), lambda *_: True)
    data = overview_json.describe_page(answer, NOW, {run.token: 1 for run in answer.runs})
    encoded = msgspec.json.encode(data)
    assert len(encoded) < 100_000
    assert "good" in {run["run"] for run in data["runs"]}
    assert max(run["requests"] for run in data["runs"]) < 10**9
