"""A whole Airflow whose task, scheduler and triggerer are killed in the middle of one run."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.audit import Books, Source, audit
from tests.support.offline_clock import batches_ending
from tests.support.shared_airflow import SharedAirflow

pytestmark = pytest.mark.airflow

DAY = "2026-11-22"
HANG_SECONDS = 60.0
QUICK = {  # how soon a new scheduler takes over the tasks of a dead one: minutes by default
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "4",
}


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.2)
    return found


@pytest.fixture
def quick(shared: SharedAirflow) -> Iterator[SharedAirflow]:
    """Return the Airflow with a scheduler that takes over soon; afterwards it has the usual one again."""
    airflow = shared.airflow
    airflow.kill("scheduler")
    airflow.start_component("scheduler", QUICK)
    yield shared
    airflow.kill("scheduler")
    airflow.start_component("scheduler")


def test_killed_task_scheduler_and_triggerer_cost_nothing(quick: SharedAirflow, tmp_path: Path) -> None:
    server, airflow = quick.server, quick.airflow
    source = Source("whole", 12)
    articles = tmp_path / "articles.jsonl"
    articles.write_text("".join(json.dumps(row) + "\n" for row in source.rows()))
    # Every POST is accepted, and two of the answers do not come before the one who waits is dead.
    server.faults(
        {"endpoint": "create", "kind": "hang", "when": "after", "seconds": HANG_SECONDS, "count": 2},
        {"endpoint": "create", "kind": "rows", "errored": 0.34, "skip": 2, "count": 1},
    )
    run_id = airflow.trigger("shards_of_3", {"source": str(articles), "day": DAY})

    def submitting() -> list[int]:
        found = airflow.api.task_instances("shards_of_3", run_id)
        return [
            ti["pid"]
            for ti in found
            if ti["task_id"] == "shard.submit_batch" and ti["state"] == "running" and ti["pid"]
        ]

    def hanging() -> list[int]:
        answered = airflow.states(run_id).get("shard.submit_batch", {})
        done = list(answered.values()).count("success")
        return submitting() if server.billing()["batches_accepted"] >= done + 2 else []

    def waiting(task_id: str) -> list[int]:
        states = airflow.states(run_id).get(task_id, {})
        return [index for index, state in states.items() if state == "deferred"]

    os.kill(until(hanging, 180)[0], signal.SIGKILL)
    time.sleep(1)
    airflow.kill("scheduler")
    airflow.start_component("scheduler", QUICK)
    # The two whose reply never came, and any other that the scheduler took with it, look for their batches.
    until(lambda: len(waiting("shard.submit_batch")) + len(waiting("shard.wait_for_batch")) == 4, 120)
    assert len(waiting("shard.submit_batch")) >= 2
    airflow.kill("triggerer")
    airflow.start_component("triggerer")
    with batches_ending(server):
        run = airflow.wait(run_id, 120)
    assert run["state"] == "success", airflow.states(run_id)
    receipt = json.loads((airflow.data / "receipts" / "shards_of_3" / f"day={DAY}.json").read_text())
    problems = audit(Books(server, airflow.data, "shards_of_3", DAY, source, [receipt]))
    assert problems == []
    assert server.billing()["batches_accepted"] == 5
