"""Days and people on a real Airflow: the plan, its limits and approvals, and backfills that pay nothing twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from launch.airflow_api import AirflowApiError
from nightpress.costs.prices import find_prices
from nightpress.settings import DEFAULT_MODEL
from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import batches_ending
from tests.support.running_airflow import AirflowInstance
from tests.support.shared_airflow import SharedAirflow
from tests.support.statsd_server import StatsdServer

pytestmark = pytest.mark.airflow

DAG = "article_summaries"
DAYS = [f"2026-11-{day:02d}" for day in range(10, 13)]
ARTICLES_A_DAY = 4


class Newsroom:
    """An Airflow with the project's own DAGs, an offline API, and an inbox."""

    def __init__(self, server: LocalApiServer, airflow: AirflowInstance, metrics: StatsdServer) -> None:
        self.server, self.airflow, self.metrics = server, airflow, metrics

    def write_day(
        self, day: str, count: int = ARTICLES_A_DAY, changed: Mapping[int, str] | None = None
    ) -> Path:
        rows = [
            {
                "id": f"{day}-{n}",
                "title": f"title {n}",
                "content": (changed or {}).get(n, f"Article {n} of {day} says so. It is short."),
                "category": "news" if n % 2 else "sport",
            }
            for n in range(count)
        ]
        path = self.airflow.data / "inbox" / f"day={day}" / "articles.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def start(self, day: str, **conf: Any) -> str:
        return self.airflow.trigger(DAG, {"day": day, **conf})

    def run(self, day: str, **conf: Any) -> str:
        run_id = self.start(day, **conf)
        run = self.airflow.wait(run_id, 120)
        assert run["state"] == "success", self.airflow.states(run_id)
        return run_id

    def plan(self, run_id: str) -> dict[str, Any]:
        plan = self.airflow.api.xcom(DAG, run_id, "read_articles", key="plan")
        assert isinstance(plan, dict)
        return plan

    def answers(self, day: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(
            self.airflow.data / DAG / f"day={day}" / "answers.parquet"
        ).to_pylist()
        return rows

    def is_published(self, day: str) -> bool:
        return (self.airflow.data / DAG / f"day={day}" / "answers.parquet").exists()

    def receipt(self, day: str) -> dict[str, Any]:
        path = self.airflow.data / "receipts" / DAG / f"day={day}.json"
        receipt: dict[str, Any] = json.loads(path.read_text())
        return receipt

    def billed(self) -> int:
        return int(self.server.billing()["requests_billed"])

    def billed_usd(self) -> float:
        """What the billing meter's tokens cost in a batch of the default model."""
        meter, prices = self.server.billing(), find_prices(DEFAULT_MODEL)
        assert prices is not None
        price = prices.batch[0]
        return float(meter["input_tokens"] * price.input + meter["output_tokens"] * price.output) / 1e6

    def answer(self, run_id: str, choice: str) -> None:
        """Answer a plan that waits for a person, as the UI does, and the moment that it waits."""
        self.airflow.wait_for_state(run_id, "approve_plan", "awaiting_input")
        path = self._request_path(run_id)
        self.airflow.api.call("PATCH", path, {"chosen_options": [choice], "params_input": {}})

    def asked(self, run_id: str) -> str:
        """Give the subject of what a person is asked."""
        return str(self.airflow.api.call("GET", self._request_path(run_id))["subject"])

    def tries(self, run_id: str, task_id: str) -> int:
        """Give the number of the task's latest try."""
        instances = self.airflow.api.task_instances(DAG, run_id)
        return max(ti["try_number"] for ti in instances if ti["task_id"] == task_id)

    def _request_path(self, run_id: str) -> str:
        return f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve_plan/-1/hitlDetails"

    def wait_for_reports(self, *days: str) -> None:
        """Wait until each of some days has its report."""
        deadline = time.monotonic() + 90
        while missing := [
            day for day in days if not (self.airflow.data / f"reports/day={day}/report.html").exists()
        ]:
            assert time.monotonic() < deadline, missing
            time.sleep(0.5)

    def backfill(self, *, reprocess: bool) -> None:
        """Run all days with Airflow's own backfill."""
        body = {
            "dag_id": DAG,
            "from_date": f"{DAYS[0]}T00:00:00Z",
            "to_date": f"{DAYS[-1]}T00:00:00Z",
            "reprocess_behavior": "completed" if reprocess else "none",
            "max_active_runs": len(DAYS),
        }
        backfill_id = self.airflow.api.call("POST", "/api/v2/backfills", body)["id"]
        deadline = time.monotonic() + 420
        while True:
            runs = [run for run in self.airflow.api.runs(DAG) if run["run_type"] == "backfill"]
            states = {run["dag_run_id"]: run["state"] for run in runs}
            if len(states) >= len(DAYS) and all(state in ("success", "failed") for state in states.values()):
                break
            assert time.monotonic() < deadline, states
            time.sleep(0.5)
        assert set(states.values()) == {"success"}, states
        # Airflow closes a backfill within half a minute by itself; another one would have to wait for that.
        with suppress(AirflowApiError):
            self.airflow.api.call("PUT", f"/api/v2/backfills/{backfill_id}/cancel")


@pytest.fixture(scope="module")
def newsroom(shared: SharedAirflow, metrics: StatsdServer) -> Iterator[Newsroom]:
    with batches_ending(shared.server):
        yield Newsroom(shared.server, shared.airflow, metrics)


def test_a_plan_comes_first_and_plan_only_ends_there(newsroom: Newsroom) -> None:
    day = "2026-10-01"
    newsroom.write_day(day)
    run_id = newsroom.run(day, plan_only=True)
    plan = newsroom.plan(run_id)
    assert (plan["articles"], plan["to_send"], plan["reused"], plan["shards"]) == (4, 4, 0, 1)
    assert 0 < plan["cost_expected_usd"] < plan["cost_upper_usd"]
    assert plan["verdict"] == "plan only: nothing is sent"
    states = newsroom.airflow.states(run_id)
    assert {state for task, by_index in states.items() for state in by_index.values() if "." in task} == {
        "skipped"
    }
    assert states["publish"] == {-1: "skipped"}
    assert (newsroom.billed(), newsroom.is_published(day)) == (0, False)
    log = " ".join(line["event"] for line in newsroom.airflow.api.log(DAG, run_id, "read_articles"))
    assert "to send" in log
    assert "expected" in log


def test_over_the_budget_nothing_is_sent_and_the_message_says_what_to_do(newsroom: Newsroom) -> None:
    day = "2026-10-02"
    newsroom.write_day(day)
    run_id = newsroom.start(day, max_cost_usd=0.0001)
    assert newsroom.airflow.wait(run_id)["state"] == "failed"
    error = newsroom.airflow.api.last_error(DAG, run_id, "read_articles")
    assert error is not None
    assert "max_cost_usd=0.0001" in error
    assert "Nothing was sent" in error
    assert "raise max_cost_usd" in error
    assert (newsroom.billed(), newsroom.is_published(day)) == (0, False)


@pytest.mark.parametrize(
    ("conf", "named"),
    [
        ({"prompt": "no placeholder"}, "{content}"),
        ({"prompt": "{content} {author}"}, "{author}"),
        ({"source": "/nowhere/at/all.jsonl"}, "/nowhere/at/all.jsonl"),
        ({"other_model": "claude-nope-9", "max_cost_usd": 5}, "claude-nope-9"),
    ],
)
def test_bad_input_fails_at_once_with_its_name(newsroom: Newsroom, conf: dict[str, Any], named: str) -> None:
    day = "2026-10-03"
    newsroom.write_day(day)
    run_id = newsroom.airflow.trigger(DAG, {"day": day, **conf})
    assert newsroom.airflow.wait(run_id)["state"] == "failed"
    assert named in str(newsroom.airflow.api.last_error(DAG, run_id, "read_articles"))
    assert (newsroom.billed(), newsroom.is_published(day)) == (0, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_cost_usd", 0),
        ("max_cost_usd", -1),
        ("approve_above_usd", 0),
        ("limit", 0),
        ("model", "claude-nope-9"),
    ],
)
def test_the_form_refuses_what_cannot_be(newsroom: Newsroom, name: str, value: object) -> None:
    newsroom.airflow.instance.wait_for_dag(DAG)
    with pytest.raises(AirflowApiError, match=name) as refused:
        newsroom.airflow.api.trigger(DAG, conf={name: value})
    assert refused.value.status in {400, 422}


def test_a_no_ends_the_run_cleanly_and_a_yes_lets_it_go_on(newsroom: Newsroom) -> None:
    day = "2026-10-04"
    newsroom.write_day(day)
    refused = newsroom.start(day, approve_above_usd=0.0001)
    newsroom.answer(refused, "Reject")
    assert newsroom.airflow.wait(refused)["state"] == "success"
    assert (newsroom.billed(), newsroom.is_published(day)) == (0, False)
    assert newsroom.airflow.states(refused)["publish"] == {-1: "skipped"}

    agreed = newsroom.start(day, approve_above_usd=0.0001)
    newsroom.answer(agreed, "Approve")
    assert newsroom.airflow.wait(agreed)["state"] == "success"
    # An answer given at once is not asked for twice: see launch/executor.py.
    assert [newsroom.tries(run_id, "approve_plan") for run_id in (refused, agreed)] == [1, 1]
    assert newsroom.billed() == ARTICLES_A_DAY
    assert len(newsroom.answers(day)) == ARTICLES_A_DAY
    paid = newsroom.receipt(day)["paid_usd"]
    assert newsroom.plan(agreed)["cost_upper_usd"] >= paid
    metrics = newsroom.metrics.read()
    assert metrics["airflow.nightpress.batches.submitted"] == [1]
    assert metrics["airflow.nightpress.rows.succeeded"] == [ARTICLES_A_DAY]
    assert metrics["airflow.nightpress.day.cost_usd"][-1] == pytest.approx(paid)
    assert metrics["airflow.nightpress.requests.in_flight"][0] == 0


def test_a_cleared_approval_asks_again_but_never_with_the_plan_of_before(newsroom: Newsroom) -> None:
    day = "2026-10-05"
    newsroom.write_day(day)
    before = newsroom.billed()
    run_id = newsroom.start(day, approve_above_usd=0.0001)
    newsroom.answer(run_id, "Reject")
    assert newsroom.airflow.wait(run_id)["state"] == "success"

    newsroom.airflow.api.clear(DAG, run_id, ["approve_plan"], downstream=True)
    newsroom.airflow.wait_for_state(run_id, "approve_plan", "awaiting_input")
    assert newsroom.asked(run_id).startswith(f"{DAG} {day}: {ARTICLES_A_DAY} articles, at most $")

    newsroom.write_day(day, 40)
    newsroom.airflow.api.clear(DAG, run_id, ["read_articles"], downstream=True)
    assert newsroom.airflow.wait(run_id)["state"] == "failed"
    said = str(
        newsroom.airflow.api.last_error(
            DAG, run_id, "approve_plan", try_number=newsroom.tries(run_id, "approve_plan")
        )
    )
    assert f"the plan is now “{DAG} {day}: 40 articles" in said
    assert "Trigger a new run of the day" in said

    agreed = newsroom.start(day, approve_above_usd=0.0001)
    newsroom.airflow.wait_for_state(agreed, "approve_plan", "awaiting_input")
    assert newsroom.asked(agreed).startswith(f"{DAG} {day}: 40 articles")
    newsroom.write_day(day, 41)
    newsroom.airflow.api.clear(DAG, agreed, ["read_articles"])
    newsroom.airflow.wait_for_state(agreed, "read_articles", "success")
    newsroom.answer(agreed, "Approve")
    assert newsroom.airflow.wait(agreed)["state"] == "failed"
    assert "which was approved; nothing was sent" in str(
        newsroom.airflow.api.last_error(DAG, agreed, "approve_plan")
    )
    assert (newsroom.billed(), newsroom.is_published(day)) == (before, False)


def test_a_backfill_pays_once_and_changed_articles_alone(newsroom: Newsroom) -> None:
    for day in DAYS:
        newsroom.write_day(day)
    before = newsroom.billed()
    newsroom.backfill(reprocess=False)
    assert all(len(newsroom.answers(day)) == ARTICLES_A_DAY for day in DAYS)
    assert newsroom.billed() - before == len(DAYS) * ARTICLES_A_DAY
    first = {day: [row["text"] for row in newsroom.answers(day)] for day in DAYS}

    newsroom.write_day(DAYS[-1], 5, {0: "Another one. Indeed.", 2: "And this one. Too."})
    newsroom.backfill(reprocess=True)
    assert newsroom.billed() - before == len(DAYS) * ARTICLES_A_DAY + 3
    unchanged = [day for day in DAYS if day != DAYS[-1]]
    assert all([row["text"] for row in newsroom.answers(day)] == first[day] for day in unchanged)
    assert all(row["reused"] and row["cost_usd"] == 0 for day in unchanged for row in newsroom.answers(day))
    rows = newsroom.answers(DAYS[-1])
    assert [row["article_id"] for row in rows] == [f"{DAYS[-1]}-{n}" for n in range(5)]
    assert [row["reused"] for row in rows] == [False, True, False, True, False]
    assert [row["text"] for row in rows[:3]] == [
        "Another one. Indeed.",
        first[DAYS[-1]][1],
        "And this one. Too.",
    ]

    newsroom.wait_for_reports(*DAYS, "2026-10-04")
    paid = sum(newsroom.receipt(day)["paid_usd"] for day in [*DAYS, "2026-10-04"])
    assert paid == pytest.approx(newsroom.billed_usd())


def test_a_changed_prompt_pays_again_and_the_plan_says_so_first(newsroom: Newsroom) -> None:
    before = newsroom.billed()
    run_id = newsroom.run(DAYS[0], prompt="In one word: {content}", plan_only=True)
    plan = newsroom.plan(run_id)
    assert (plan["to_send"], plan["reused"]) == (ARTICLES_A_DAY, 0)
    assert any("prompt" in note and "paid for again" in note for note in plan["notes"])
    assert newsroom.billed() == before
