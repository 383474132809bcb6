"""From the trigger to the published day on a real Airflow: ``python -m benchmarks.end_to_end [SHARDS]``.

Articles of 2 KB, 10,000 per shard, at an offline API that answers at once; Airflow is up before the clock starts, with
the settings of ``make run``. It prints the seconds, how they were spent, and the memory of every kind of process:

* ``ours``: the tasks' ``execute``, by the times in their logs;
* ``task start``: the rest of the tasks' time: process, imports, parsing of the DAG file, reports to the API server;
* ``no task``: no task ran; the scheduler was working.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.contest import Goal, Outcome, say
from benchmarks.sampling import Sampler, cpu_seconds, private_mb
from tests.support.offline_api_server import LocalApiServer
from tests.support.running_airflow import COMPONENTS, AirflowInstance

DAG_ID, DAY = "article_summaries", "2026-11-22"
ARTICLES_A_SHARD = 10_000
TASKS_A_SHARD = 4
_TEXT = "It goes on and on, as articles do, with a little more to say each time. " * 26
_BEFORE, _AFTER = "::endgroup::", "::group::Post Execute"
_TIMEOUT_SECONDS = 3600.0

_TASK = "task"

Json = dict[str, Any]


def run(shards: int = 10) -> Outcome:
    """Publish this many shards on a separate Airflow."""
    articles = shards * ARTICLES_A_SHARD
    with (
        tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder,
        LocalApiServer(Path(folder) / "api", seconds_per_batch=0) as server,
    ):
        source = Path(folder) / "articles.jsonl"
        write_articles(source, articles)
        say(f"{articles:,} articles, {source.stat().st_size / 1e6:,.0f} MB; starting Airflow")
        with AirflowInstance(Path(folder), base_url=server.base_url, quick=False) as airflow:
            with _Memory(airflow, server) as memory:
                seconds, instances = _publish(airflow, source)
                cpu = memory.cpu()
            published = airflow.xcom(next(iter(airflow._dag_of)), "publish")
            assert published["articles"] == published["succeeded"] == articles, published
            assert server.billing()["requests_billed"] == articles
            outcome = _outcome(articles, shards, seconds, instances, _executed(airflow), memory)
            return replace(outcome, notes=(*outcome.notes, f"CPU of all Airflow processes: {cpu:.0f} s"))


def write_articles(path: Path, articles: int) -> None:
    """Write JSONL."""
    with path.open("w") as file:
        for number in range(articles):
            content = f"Article {number} begins. {_TEXT}"
            row = {"id": f"a-{number}", "title": f"title {number}", "content": content, "section": number % 7}
            file.write(json.dumps(row) + "\n")


def _publish(airflow: AirflowInstance, source: Path) -> tuple[float, list[Json]]:
    # No approval and no cost limit: only speed is measured.
    conf = {"source": str(source), "max_cost_usd": 1_000_000, "approve_above_usd": 1_000_000}
    airflow.instance.wait_for_dag(DAG_ID)
    airflow.api.set_paused(DAG_ID, False)
    started = time.time()
    run_id = airflow.trigger(DAG_ID, conf, partition_key=DAY)
    told = ""
    while (state := airflow.api.run(DAG_ID, run_id)["state"]) not in ("success", "failed"):
        airflow.instance.check()
        states = airflow.states(run_id)
        now = ", ".join(
            f"{task} {sum(state == 'success' for state in found.values())}/{len(found)}"
            for task, found in states.items()
            if "success" in found.values()
        )
        if now != told:
            say(f"{time.time() - started:5.0f} s: {now}")
            told = now
        if time.time() - started > _TIMEOUT_SECONDS:
            raise TimeoutError(f"not published after {_TIMEOUT_SECONDS:.0f} s: {now}")
        time.sleep(1)
    instances = airflow.api.task_instances(DAG_ID, run_id)
    assert state == "success", airflow.states(run_id)
    done = max(epoch(task["end_date"]) for task in instances if task["end_date"])
    return done - started, instances


def _outcome(  # noqa: PLR0917 - private, called once
    articles: int,
    shards: int,
    seconds: float,
    instances: list[Json],
    executed: dict[str, float],
    memory: _Memory,
) -> Outcome:
    ran = [task for task in instances if task["start_date"] and task["state"] == "success"]
    spans = sorted((epoch(instance["start_date"]), epoch(instance["end_date"])) for instance in ran)
    busy = sum(end - begin for begin, end in _joined(spans))
    in_tasks = sum(end - begin for begin, end in spans)
    of_shards = [instance for instance in instances if instance["task_id"].startswith("shard.")]
    goals = [Goal("tasks a shard", len(of_shards) / shards, TASKS_A_SHARD, "")]
    if shards <= 10:
        goals.insert(0, Goal("trigger to published", seconds, 60, "s"))
    ours = sum(executed.values())
    by_task: dict[str, list[float]] = defaultdict(list)
    for instance in ran:
        by_task[instance["task_id"]].append(epoch(instance["end_date"]) - epoch(instance["start_date"]))
    notes = [
        f"no task at all for {seconds - busy:.1f} s of {seconds:.1f} s; in tasks, added up: {in_tasks:.1f} s, of "
        f"which execute {ours:.1f} s ({ours / in_tasks:.0%}), the rest is Airflow's start and end of a task",
        *(
            f"{task}: {len(found)} × {sum(found) / len(found):.2f} s, of which execute "
            f"{executed[task] / len(found):.2f} s (longest {max(found):.2f} s)"
            for task, found in by_task.items()
        ),
        f"memory at the peak: {memory.line()}",
    ]
    measured = {"ours": [{"seconds": seconds, "extra_mb": memory.of_tasks()}]}
    return Outcome(f"{articles:,} articles end to end, {shards} shards", measured, tuple(goals), tuple(notes))


def _joined(spans: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield the time spans in which any task ran."""
    begin, end = spans[0]
    for first, last in spans[1:]:
        if first > end:
            yield begin, end
            begin, end = first, last
        end = max(end, last)
    yield begin, end


def _executed(airflow: AirflowInstance) -> dict[str, float]:
    """Return the seconds of ``execute`` by task: the time between two groups of the task's log."""
    total: dict[str, float] = defaultdict(float)
    for path in airflow.logs_dir.glob("dag_id=*/run_id=*/**/attempt=*.log"):
        marks: dict[str, float] = {}
        for line in path.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                marks.setdefault(str(entry.get("event")), epoch(entry["timestamp"]))
        if _BEFORE in marks and _AFTER in marks:
            (task,) = (part[8:] for part in path.parts if part.startswith("task_id="))
            total[task] += marks[_AFTER] - marks[_BEFORE]
    return total


def epoch(text: str) -> float:
    """Return an ISO date and time as epoch seconds."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class _Memory(Sampler):
    """The peak memory of each kind of process."""

    def __init__(self, airflow: AirflowInstance, server: LocalApiServer) -> None:
        super().__init__()
        self.airflow, self.server = airflow, server
        self.peaks: dict[str, float] = defaultdict(float)
        self._cpu_before = cpu_seconds(airflow.pids())

    def cpu(self) -> float:
        """Return the seconds of CPU of all Airflow processes since the start."""
        return cpu_seconds(self.airflow.pids()) - self._cpu_before

    def sample(self) -> None:
        """Look at all of them."""
        for pid in self.airflow.pids():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                self._see(_kind(process.cmdline()), private_mb(process))
        with suppress(psutil.Error):
            self._see("offline API", self.server.rss_bytes() / 1e6)

    def _see(self, kind: str, megabytes: float) -> None:
        self.peaks[kind] = max(self.peaks[kind], megabytes)

    def of_tasks(self) -> float:
        """Return the peak of the largest task process."""
        return self.peaks.get(_TASK, float("nan"))

    def line(self) -> str:
        """Return all peaks as a line."""
        return ", ".join(f"{kind} {peak:.0f} MB" for kind, peak in sorted(self.peaks.items()))


def _kind(command: list[str]) -> str:
    """Return the kind of a process; Airflow's processes set their own titles."""
    title = " ".join(command)
    if not title.startswith("airflow worker"):
        return next((name for name in COMPONENTS if name in title.replace("_", "-")), "other")
    return "executor" if "LocalExecutor" in title else _TASK


if __name__ == "__main__":
    print("\n".join(run(*map(int, sys.argv[1:])).lines()))
