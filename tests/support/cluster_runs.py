"""Drive a cluster in tests: articles on S3, runs, the API's bill and the receipts."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from launch.airflow_api import AirflowApiError
from launch.cluster.servers import BUCKET
from launch.cluster.topology import Cluster

DAG = "paper"
ROOT = f"{BUCKET}/nightpress"


def put_articles(cluster: Cluster, day: str, count: int) -> None:
    """Store articles of a day on S3, in two files."""
    source = random.Random(day)
    fs = cluster.servers.file_system()
    for part in range(2):
        lines = []
        for number in range(part, count, 2):
            words = " ".join(f"{source.random():.6f}" for _ in range(30))
            lines.append(json.dumps({"id": f"{day}-{number}", "title": f"Title {number}", "content": words}))
        fs.pipe_file(f"{BUCKET}/articles/day={day}/part-{part}.jsonl", ("\n".join(lines) + "\n").encode())


class ClusterClock:
    """The clock of a cluster's offline API, for `tests.support.offline_clock.batches_ending`."""

    def __init__(self, cluster: Cluster) -> None:
        self._url = f"{cluster.offline_url}/local/clock"

    def advance_clock(self, seconds: float) -> None:
        """Move it ahead."""
        body = json.dumps({"advance_seconds": seconds}).encode()
        request = urllib.request.Request(self._url, body, {"content-type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=20):
            pass


def backfill(cluster: Cluster, days: Sequence[str]) -> list[str]:
    """Create runs for consecutive days with Airflow's own backfill command; return their ids."""
    wait_until("the DAG is there", lambda: bool(cluster.api.dag(DAG)))
    cluster.api.set_paused(DAG, False)
    known = {run["dag_run_id"] for run in cluster.api.runs(DAG)}
    words = ["--dag-id", DAG, "--from-date", f"{days[0]}T00:00:00", "--to-date", f"{days[-1]}T00:00:00"]
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "backfill", "create", *words, "--max-active-runs", "2"],
        env=cluster.environment("ui"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    made = {
        run["partition_key"]: str(run["dag_run_id"])
        for run in cluster.api.runs(DAG)
        if run["run_type"] == "backfill" and run["dag_run_id"] not in known
    }
    assert sorted(made) == sorted(days)
    return [made[day] for day in days]


def triggerers_of(cluster: Cluster, run_id: str) -> dict[int, str]:
    """Return the triggerer in which each deferred task of a run waits, by map index."""
    found = cluster.api.task_instances(DAG, run_id)
    return {
        task["map_index"]: str((task["triggerer_job"] or {}).get("hostname", ""))
        for task in found
        if task["state"] == "deferred"
    }


def start_run(cluster: Cluster, day: str, **conf: Any) -> str:
    """Start a run of the pipeline for a day and return its id."""
    wait_until("the DAG is there", lambda: bool(cluster.api.dag(DAG)))
    cluster.api.set_paused(DAG, False)
    return cluster.api.trigger(DAG, conf=conf, partition_key=day)


def wait_until(what: str, is_true: Callable[[], bool], seconds: float = 240.0) -> None:
    """Poll until a condition is true; wait also for an Airflow that is being restarted meanwhile.

    :raises TimeoutError: it did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if is_true():
                return
        except (AirflowApiError, OSError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {seconds:.0f} s: {what}")
        time.sleep(0.3)


def wait_for_run(cluster: Cluster, run_id: str, seconds: float = 420.0) -> str:
    """Wait until a run is over and return its state."""
    ended = ("success", "failed")
    try:
        wait_until("the run is over", lambda: cluster.api.run(DAG, run_id)["state"] in ended, seconds)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {task_states(cluster, run_id)}") from None
    return str(cluster.api.run(DAG, run_id)["state"])


def task_states(cluster: Cluster, run_id: str) -> list[tuple[str, int, str | None]]:
    """Return the state of each task instance of a run."""
    found = cluster.api.task_instances(DAG, run_id)
    return [(task["task_id"], task["map_index"], task["state"]) for task in found]


def wait_for_task(cluster: Cluster, run_id: str, task_id: str, *states: str) -> None:
    """Wait until an instance of a task is in one of some states."""

    def is_there() -> bool:
        return any(name == task_id and state in states for name, _, state in task_states(cluster, run_id))

    wait_until(f"{task_id} is {' or '.join(states)}", is_there)


def workers_of(cluster: Cluster, run_id: str, task_id: str) -> set[str]:
    """Return which workers run a task now."""
    found = cluster.api.task_instances(DAG, run_id)
    running = [task for task in found if task["task_id"] == task_id and task["state"] == "running"]
    return {str(task["hostname"]) for task in running}


def billed(cluster: Cluster) -> int:
    """Return how many requests the API has billed."""
    with urllib.request.urlopen(f"{cluster.offline_url}/local/billing", timeout=20) as answer:
        return int(json.load(answer)["requests_billed"])


def receipt(cluster: Cluster, day: str) -> dict[str, Any]:
    """Return the receipt of a day."""
    fs = cluster.servers.file_system()
    return dict(json.loads(fs.cat_file(f"{ROOT}/receipts/{DAG}/day={day}.json")))


def billed_by_receipts(cluster: Cluster, *days: str) -> int:
    """Return how many answers were paid for by the receipts of some days; a reused batch counts once."""
    counted: dict[str, int] = {}
    for day in days:
        for batch in receipt(cluster, day)["batches"]:
            if not batch.get("reused"):
                counted[batch["batch_id"]] = sum(
                    batch["by_status"].get(status, 0)
                    for status in ("succeeded", "invalid_output", "truncated")
                )
    return sum(counted.values())


def published_rows(cluster: Cluster, day: str) -> tuple[int, int]:
    """Return how many rows a published day has, and how many of them were answered."""
    import pyarrow.parquet as pq

    fs = cluster.servers.file_system()
    with fs.open(f"{ROOT}/{DAG}/day={day}/answers.parquet", "rb") as stream:
        rows = pq.read_table(stream, columns=["article_id", "status"])
    ids = rows["article_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    return rows.num_rows, rows["status"].to_pylist().count("succeeded")
