"""Trouble on a real Airflow: a wrong key, no credit, an API that is down. It ends well and says so once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import BATCH_SECONDS, batches_ending
from tests.support.running_airflow import AirflowInstance
from tests.support.shared_airflow import SharedAirflow

pytestmark = pytest.mark.airflow

DAY = "2026-11-22"
SUBMIT, WRITE, COLLECT = "shard.submit_batch", "shard.write_results", "collect_failures"


@pytest.fixture(scope="module")
def server(shared: SharedAirflow) -> LocalApiServer:
    return shared.server


@pytest.fixture(scope="module")
def airflow(shared: SharedAirflow) -> AirflowInstance:
    return shared.airflow


def source(folder: Path, name: str, count: int = 8) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text(
        "".join(json.dumps({"id": n, "content": f"{name} {n} is told."}) + "\n" for n in range(count))
    )
    return str(path)


def rows(airflow: AirflowInstance, day: str) -> list[dict[str, object]]:
    return pq.read_table(airflow.data / "shards_of_3" / f"day={day}" / "answers.parquet").to_pylist()


def test_without_credit_the_run_pauses_once_and_goes_on_when_cleared(
    airflow: AirflowInstance, server: LocalApiServer, tmp_path: Path
) -> None:
    refusal = {
        "endpoint": "create",
        "kind": "status",
        "status": 402,
        "message": "Your credit balance is too low",
    }
    server.faults({**refusal, "skip": 1})
    run_id = airflow.trigger("shards_of_3", {"source": source(tmp_path, "credit"), "day": "2026-11-19"})
    with batches_ending(server):
        assert airflow.wait(run_id)["state"] == "failed"
    states = airflow.states(run_id)
    assert sorted(filter(None, states[SUBMIT].values())) == ["skipped", "skipped", "success"]
    failed = [task for task, instances in states.items() if "failed" in instances.values()]
    assert failed == [COLLECT]
    said = airflow.api.last_error("shards_of_3", run_id, COLLECT) or ""
    assert "2 shard(s)" in said
    assert "credit balance is too low" in said
    assert "clear the task collect_failures, with its downstream tasks" in said
    assert server.billing()["batches_accepted"] == 1

    server.request("DELETE", "/local/faults")
    airflow.api.clear("shards_of_3", run_id, [COLLECT], downstream=True)
    with batches_ending(server):
        assert airflow.wait(run_id)["state"] == "success"
    assert [row["status"] for row in rows(airflow, "2026-11-19")] == ["succeeded"] * 8
    assert server.billing()["batches_accepted"] == 3


def test_a_second_round_answers_what_failed(
    airflow: AirflowInstance, server: LocalApiServer, tmp_path: Path
) -> None:
    server.reset()
    shares = {"errored": 0.4, "expired": 0.3, "error_type": "overloaded_error", "seed": 5}
    server.faults({"endpoint": "create", "kind": "rows", "count": 3, **shares})
    run_id = airflow.trigger("shards_of_3", {"source": source(tmp_path, "second"), "day": "2026-11-18"})
    with batches_ending(server):
        assert airflow.wait(run_id)["state"] == "success"
    published = rows(airflow, "2026-11-18")
    assert [row["text"] for row in published] == [f"second {n} is told." for n in range(8)]
    assert {row["round"] for row in published} == {1, 2}
    summary = airflow.xcom(run_id, "publish")
    billing = server.billing()
    assert summary["batches"] == billing["batches_accepted"] > 3
    receipt = json.loads(Path(summary["receipt_uri"].removeprefix("file://")).read_text())
    for name in ("input_tokens", "output_tokens"):
        assert sum(batch[name] for batch in receipt["batches"]) == billing[name]
    assert sum(float(str(row["cost_usd"])) for row in published) == pytest.approx(receipt["paid_usd"])


def test_an_api_that_is_down_for_a_while_costs_nothing_but_time(
    airflow: AirflowInstance, server: LocalApiServer, tmp_path: Path
) -> None:
    server.reset()
    server.kill()
    run_id = airflow.trigger("shards_of_3", {"source": source(tmp_path, "down", 2), "day": "2026-11-17"})
    # Whose ledger it is, only the API itself can say at an address of this machine: the first task asks.
    airflow.wait_for_state(run_id, "read_articles", "up_for_retry", timeout=240)
    said = airflow.api.last_error("shards_of_3", run_id, "read_articles") or ""
    assert "is it reachable from this machine?" in said
    server.restart()
    airflow.wait_for_state(run_id, "shard.wait_for_batch", "deferred", timeout=240)
    server.kill()
    time.sleep(8)
    airflow.wait_for_state(run_id, "shard.wait_for_batch", "deferred", timeout=1)
    server.restart()
    server.advance_clock(BATCH_SECONDS)
    assert airflow.wait(run_id, 240)["state"] == "success"
    assert server.billing()["batches_accepted"] == 1
    assert len(rows(airflow, "2026-11-17")) == 2


def test_clearing_a_waiting_task_waits_on(
    airflow: AirflowInstance, server: LocalApiServer, tmp_path: Path
) -> None:
    server.reset()
    server.faults({"endpoint": "list", "kind": "status", "status": 500, "count": 1})
    run_id = airflow.trigger("shards_of_3", {"source": source(tmp_path, "clear", 2), "day": "2026-11-16"})
    airflow.wait_for_state(run_id, "shard.wait_for_batch", "deferred")
    airflow.api.clear("shards_of_3", run_id, [("shard.wait_for_batch", 0)])
    time.sleep(3)
    airflow.wait_for_state(run_id, "shard.wait_for_batch", "deferred")
    server.advance_clock(BATCH_SECONDS)
    assert airflow.wait(run_id)["state"] == "success"
    assert server.billing()["batches_accepted"] == 1
    assert server.request_counts().get("POST /v1/messages/batches/{batch_id}/cancel", 0) == 0


def test_a_wrong_key_is_said_once_and_not_tried_again(
    airflow: AirflowInstance, wrong_key: str, tmp_path: Path
) -> None:
    run_id = airflow.trigger("wrong_key_pipeline", {"source": source(tmp_path, "key", 6), "day": DAY})
    assert airflow.wait(run_id)["state"] == "failed"
    states = airflow.states(run_id)
    assert [task for task, instances in states.items() if "failed" in instances.values()] == [COLLECT]
    said = airflow.api.last_error("wrong_key_pipeline", run_id, COLLECT) or ""
    assert "3 shard(s)" in said
    assert "401" in said
    assert "check the API key of the connection" in said
    assert wrong_key not in said
    instances = airflow.api.task_instances("wrong_key_pipeline", run_id)
    assert {ti["try_number"] for ti in instances if ti["task_id"] == SUBMIT} == {1}


def test_an_approval_that_nobody_gives_spends_nothing(
    airflow: AirflowInstance, server: LocalApiServer, tmp_path: Path
) -> None:
    accepted = server.billing()["batches_accepted"]
    run_id = airflow.trigger("short_wait", {"source": source(tmp_path, "alone"), "day": DAY})
    assert airflow.wait(run_id)["state"] == "failed"
    said = airflow.api.last_error("short_wait", run_id, "approve_plan", try_number=_tries(airflow, run_id))
    assert "nobody approved the plan within 0:00:05; nothing was sent" in (said or "")
    assert server.billing()["batches_accepted"] == accepted
    assert not (airflow.data / "short_wait").exists()


def _tries(airflow: AirflowInstance, run_id: str) -> int:
    (found,) = [
        ti["try_number"]
        for ti in airflow.api.task_instances("short_wait", run_id)
        if ti["task_id"] == "approve_plan"
    ]
    return int(found)
