"""The daily report on a real Airflow: one for each published partition, by asset, and by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.offline_clock import batches_ending
from tests.support.running_airflow import AirflowInstance
from tests.support.shared_airflow import SharedAirflow

pytestmark = pytest.mark.airflow

DAG = "daily_report"
DAYS = ["2026-09-10", "2026-09-11"]


@pytest.fixture(scope="module")
def airflow(shared: SharedAirflow) -> Iterator[AirflowInstance]:
    with batches_ending(shared.server):
        yield shared.airflow


def articles(airflow: AirflowInstance, day: str) -> str:
    path = airflow.folder / f"{day}.jsonl"
    rows = [
        {"id": f"a{n}", "title": f"<script>t{n}</script>", "content": f"Article {n} of {day} says so."}
        for n in range(5)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reports(airflow: AirflowInstance, day: str) -> list[dict[str, Any]]:
    return [run for run in airflow.api.runs(DAG) if run["partition_key"] == day]


def test_each_published_partition_makes_exactly_one_report(airflow: AirflowInstance) -> None:
    airflow.instance.wait_for_dag(DAG)
    with_key = airflow.trigger("article_summaries", {"source": articles(airflow, DAYS[0])}, DAYS[0])
    keyless = airflow.trigger("article_summaries", {"source": articles(airflow, DAYS[1]), "day": DAYS[1]})
    for run_id in (with_key, keyless):
        assert airflow.wait(run_id)["state"] == "success", airflow.states(run_id)
    for day in DAYS:
        deadline = time.monotonic() + 60
        while not (found := reports(airflow, day)) or found[0]["state"] not in ("success", "failed"):
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        assert [run["state"] for run in found] == ["success"]
        html = (airflow.data / "reports" / f"day={day}" / "report.html").read_text()
        assert "All 5 articles answered." in html
        assert "offline API" in html
        assert "<script" not in html
        assert (airflow.data / "reports" / f"day={day}" / "report.md").exists()
        told = airflow.api.xcom(DAG, found[0]["dag_run_id"], "write_report")
        assert (told["day"], told["articles"], told["failed"]) == (day, 5, 0)
        link = airflow.api.call(
            "GET", f"/api/v2/dags/{DAG}/dagRuns/{found[0]['dag_run_id']}/taskInstances/write_report/links"
        )
        assert link["extra_links"] == {"Report": f"/nightpress/reports/{day}"}
    time.sleep(10)
    assert [len(reports(airflow, day)) for day in DAYS] == [1, 1]
    events = airflow.api.call("GET", "/api/v2/assets/events", query={"source_dag_id": DAG})["asset_events"]
    assert set(DAYS) <= {event["partition_key"] for event in events}


def test_by_hand_for_a_day_never_run_and_for_one_that_is_no_date(airflow: AirflowInstance) -> None:
    never = airflow.trigger(DAG, {"day": "2026-01-02"})
    assert airflow.wait(never)["state"] == "success"
    html = (airflow.data / "reports" / "day=2026-01-02" / "report.html").read_text()
    assert "Not published" in html
    wrong = airflow.trigger(DAG, partition_key="2026-02-30")
    assert airflow.wait(wrong)["state"] == "failed"
    error = airflow.api.last_error(DAG, wrong, "write_report")
    assert error
    assert "invalid day '2026-02-30': use a date such as 2026-11-22" in error
