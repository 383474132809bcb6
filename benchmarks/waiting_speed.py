"""The time between the end of a batch and its results: ``python -m benchmarks.waiting_speed [local|celery] [SHARDS]``.

From the end of a batch until its rows are written, and from the last rows to the published day, on a real Airflow
with the local executor, or with Celery, Postgres and S3 (``make cluster``). Articles of 2 KB, 10,000 per shard.
Every second is attributed from the times that the API and Airflow recorded:

* ``until the next look``: waiting tasks poll the offline API every 2 seconds, any other API every 30;
* ``execute``: Nightpress's own work;
* ``Airflow: …``: its trigger's event, its scheduler, and a task's process, including parsing of the DAG file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, cast

from benchmarks.contest import Goal, Outcome, say
from benchmarks.end_to_end import ARTICLES_A_SHARD, DAG_ID, DAY, epoch, write_articles
from launch.airflow_api import AirflowApi
from launch.cluster.servers import BUCKET
from launch.cluster.topology import Cluster
from tests.support.offline_api_server import LocalApiServer
from tests.support.running_airflow import AirflowInstance

BATCH_SECONDS = 20.0
"""Long enough for every waiting task to defer before its batch ends."""
_TIMEOUT_SECONDS = 420.0
_INBOX = f"inbox/day={DAY}/articles.jsonl"
_EXECUTE, _AFTER = "::endgroup::", "::group::Post Execute"
_LOOK, _OURS = "until the next look", "execute"
_EVENT, _SCHEDULER, _PROCESS = ("Airflow: its event", "Airflow: scheduler", "Airflow: task's start and end")
Json = dict[str, Any]
Stages = dict[str, float]
"""Seconds, by what the time was spent on."""


def run(executor: str = "local", shards: int = 3) -> Outcome:
    """Publish this many shards on a separate Airflow."""
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as name:
        folder = Path(name)
        write_articles(folder / "articles.jsonl", shards * ARTICLES_A_SHARD)
        with {"local": _local, "celery": _celery}[executor](folder) as api:
            run_id = _publish(api)
            instances = api.task_instances(DAG_ID, run_id)
            rows = [_to_rows(api, run_id, number, instances) for number in range(shards)]
            day = _to_day(api, run_id, instances)
    written = {stage: median(found[stage] for found in rows) for stage in rows[0]}
    windows = {"batch ended to rows written": written, "last rows to published day": day}
    goals = tuple(
        Goal(f"{executor}: {title}: ours", _share(stages), 50, "%") for title, stages in windows.items()
    )
    notes = tuple(
        f"{title}, {sum(stages.values()):.1f} s: "
        + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in stages.items())
        for title, stages in windows.items()
    )
    return Outcome(f"what a user waits for, {executor} executor, {shards} shards", {}, goals, notes)


def _share(stages: Stages) -> float:
    return 100 * (stages[_OURS] + stages.get(_LOOK, 0)) / sum(stages.values())


@contextmanager
def _local(folder: Path) -> Iterator[AirflowApi]:
    with LocalApiServer(folder / "api", seconds_per_batch=BATCH_SECONDS) as server:
        airflow = AirflowInstance(folder, base_url=server.base_url)
        inbox = airflow.data / _INBOX
        inbox.parent.mkdir(parents=True)
        inbox.write_bytes((folder / "articles.jsonl").read_bytes())
        with airflow:
            yield airflow.api


@contextmanager
def _celery(folder: Path) -> Iterator[AirflowApi]:
    with Cluster(folder / "cluster", seconds_per_batch=BATCH_SECONDS) as cluster:
        target = f"{BUCKET}/nightpress/{_INBOX}"
        cluster.servers.file_system().put_file(str(folder / "articles.jsonl"), target)
        yield cast("AirflowApi", _LogsOnDisk(cluster.api, folder / "cluster"))


class _LogsOnDisk:
    """An Airflow whose workers and triggerers serve no logs, and keep them below a folder."""

    def __init__(self, api: AirflowApi, folder: Path) -> None:
        self._api, self._folder = api, folder

    def __getattr__(self, name: str) -> object:
        return getattr(self._api, name)

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int, map_index: int) -> list[Json]:
        """Return the lines of all files of a try, in order of time."""
        mapped = f"map_index={map_index}/" if map_index >= 0 else ""
        pattern = f"**/dag_id={dag_id}/run_id={run_id}/task_id={task_id}/{mapped}attempt={try_number}.log*"
        lines = [
            json.loads(line)
            for path in self._folder.glob(pattern)
            for line in path.read_text().splitlines()
            if line.startswith("{")
        ]
        return sorted(
            (line for line in lines if line.get("timestamp")), key=lambda line: str(line["timestamp"])
        )


def _publish(api: AirflowApi) -> str:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while DAG_ID not in {dag["dag_id"] for dag in api.call("GET", "/api/v2/dags")["dags"]}:
        time.sleep(1)
    api.set_paused(DAG_ID, False)
    conf = {"max_cost_usd": 1_000_000, "approve_above_usd": 1_000_000}
    run_id = api.trigger(DAG_ID, conf=conf, partition_key=DAY)
    say(f"run {run_id}")
    while (state := api.run(DAG_ID, run_id)["state"]) not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{run_id} is {state} after {_TIMEOUT_SECONDS:.0f} s")
        time.sleep(1)
    assert state == "success", state
    return run_id


def _to_rows(api: AirflowApi, run_id: str, number: int, instances: list[Json]) -> Stages:
    """Return how a shard's seconds were spent, from the end of its batch to the end of the task that wrote it."""
    wait, write = (
        next(task for task in instances if task["task_id"] == f"shard.{name}" and task["map_index"] == number)
        for name in ("wait_for_batch", "write_results")
    )
    ended = epoch(api.xcom(DAG_ID, run_id, write["task_id"], map_index=number)["ended_at"])
    seen = next(
        at for event, at in _events(api, run_id, wait) if event.startswith("batch ") and " ended: " in event
    )
    waited = epoch(wait["end_date"])
    begun, done = _executed(api, run_id, write)
    start, end = epoch(write["start_date"]), epoch(write["end_date"])
    return {
        _LOOK: seen - ended,
        _EVENT: waited - seen,
        _SCHEDULER: start - waited,
        _PROCESS: begun - start + end - done,
        _OURS: done - begun,
    }


def _to_day(api: AirflowApi, run_id: str, instances: list[Json]) -> Stages:
    """Return how the seconds were spent from the end of the last write task to the end of ``publish``."""
    ran = [task for task in instances if task["start_date"] and task["state"] == "success"]
    first = max(epoch(task["end_date"]) for task in ran if task["task_id"] == "shard.write_results")
    last = max(epoch(task["end_date"]) for task in ran if task["task_id"] == "publish")
    after = [task for task in ran if first <= epoch(task["start_date"]) <= last]
    spans = [(epoch(task["start_date"]), epoch(task["end_date"])) for task in after]
    ours = covered((_executed(api, run_id, task) for task in after), first, last)
    in_tasks = covered(spans, first, last)
    return {_SCHEDULER: last - first - in_tasks, _PROCESS: in_tasks - ours, _OURS: ours}


def covered(spans: Iterable[tuple[float, float]], first: float, last: float) -> float:
    """Return how much of the time between two moments any of the spans covers."""
    total, reached = 0.0, first
    for begin, end in sorted(spans):
        until = min(end, last)
        total += max(0.0, until - max(begin, reached))
        reached = max(reached, until)
    return total


def _executed(api: AirflowApi, run_id: str, task: Json) -> tuple[float, float]:
    """Return when a task's ``execute`` began and ended."""
    marks: dict[str, float] = {}
    for event, at in _events(api, run_id, task):
        marks.setdefault(event, at)
    return marks[_EXECUTE], marks[_AFTER]


def _events(api: AirflowApi, run_id: str, task: Json) -> list[tuple[str, float]]:
    """Return the lines of a task's log, including its trigger's."""
    place = {"try_number": task["try_number"], "map_index": task["map_index"]}
    lines = api.log(DAG_ID, run_id, task["task_id"], **place)
    return [(str(line["event"]), epoch(line["timestamp"])) for line in lines if line.get("timestamp")]


if __name__ == "__main__":
    executor, shards, *_ = (*sys.argv[1:], *("local", "3")[len(sys.argv) - 1 :])
    print("\n".join(run(executor, int(shards)).lines()))
