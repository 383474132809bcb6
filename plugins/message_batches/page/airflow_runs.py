"""What the runs of pipelines are doing, and what they are waiting for or failed on, by Airflow's own database.

A run is on the page from its first task on, before the ledger has anything of it. A task of class
``ReadArticlesOperator`` makes a run one of ours; a run of a comparison has several, one in each task group.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from message_batches.page.airflow_database import ABOUT, PLAN, READ, FoundRun, Task, read_runs
from message_batches.remedies import FAILURE
from nightpress.costs.plan import Plan, read_plan
from nightpress.errors import ResultsError
from nightpress.layout import is_day, is_pipeline_name
from nightpress.overview.started_runs import (
    ACCOUNT,
    APPROVAL,
    DONE,
    FAILED,
    OVER_BUDGET,
    PLANNED,
    REJECTED,
    RUNNING,
    UNREADABLE,
    StartedRun,
)
from nightpress.plain_text import for_log

log = logging.getLogger(__name__)

_FRESH_SECONDS = 3.0
_MAX_WHY_CHARS = 600
_STEPS = (
    ("publish", "publishing"),
    ("second_round.write_results", "writing the results of the second round"),
    ("second_round.wait_for_batch", "waiting for the batches of the second round"),
    ("second_round.submit_batch", "submitting the second round"),
    ("collect_failures", "collecting failures"),
    ("shard.write_results", "writing results"),
    ("shard.wait_for_batch", "waiting for batches"),
    ("shard.submit_batch", "submitting"),
    ("approve_plan", "checking the plan"),
    (READ, "reading articles"),
)
_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
_ACTIVE = frozenset(
    {"queued", "scheduled", "running", "deferred", "up_for_retry", "up_for_reschedule", "restarting"}
)


class AirflowRuns:
    """The latest runs; however many people look, the database is asked every few seconds at most."""

    def __init__(
        self,
        read: Callable[[], Sequence[FoundRun]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read or read_runs
        self._clock = clock
        self._lock = threading.Lock()
        self._at: float | None = None
        self._runs: list[StartedRun] = []

    def look(self) -> list[StartedRun]:
        """Return the runs, the latest first."""
        with self._lock:
            now = self._clock()
            if self._at is None or now - self._at >= _FRESH_SECONDS:
                self._at = now
                try:
                    self._runs = [started for run in self._read() for started in describe_run(run)]
                except SQLAlchemyError:
                    # The ledger's runs are shown even without Airflow's view of them.
                    log.exception(
                        "Airflow's database cannot be read; the page shows the runs that were seen last"
                    )
            return self._runs


def describe_run(run: FoundRun) -> list[StartedRun]:
    """Return what a run is for each of its pipelines."""
    readers = sorted(task.task_id for task in run.tasks if task.reads)
    return [_describe_pipeline(run, reader, alone=len(readers) == 1) for reader in readers]


def _describe_pipeline(run: FoundRun, reader: str, *, alone: bool) -> StartedRun:
    group = reader[: reader.rfind(".") + 1]
    tasks = _by_name(run.tasks, group)
    values, about = run.told.get((reader, PLAN)), run.told.get((reader, ABOUT))
    plan = _read_plan(values)
    named = values if isinstance(values, dict) else about if isinstance(about, dict) else {}
    pipeline, day = named.get("pipeline"), named.get("day")
    fallback = run.dag_id if alone else f"{run.dag_id}_{group.rstrip('.')}"
    started = StartedRun(
        dag_id=run.dag_id,
        run=run.run_id,
        pipeline=pipeline if isinstance(pipeline, str) and is_pipeline_name(pipeline) else fallback,
        day=str(day) if is_day(day) else run.day,
        state=RUNNING,
        began=_seconds(run.began),
        ended=_seconds(run.ended),
        plan=plan,
    )
    return replace(started, **_find_state(run, reader, tasks, plan))


def _by_name(tasks: Iterable[Task], group: str) -> dict[str, list[Task]]:
    found: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if task.task_id.startswith(group):
            found[task.task_id.removeprefix(group)].append(task)
    return dict(found)


def _find_state(
    run: FoundRun, reader: str, tasks: Mapping[str, Sequence[Task]], plan: Plan | None
) -> dict[str, Any]:
    """Return state, step, reason and the task to look at."""
    group = reader[: reader.rfind(".") + 1]
    approval = next((task for task in sorted(run.asked) if task.startswith(group)), "")
    if approval:
        return {"state": APPROVAL, "step": "waiting for approval", "task_id": approval}
    failed = _first_failure(tasks)
    if failed is not None:
        return _explain_failure(run, failed, reader, plan)
    published = any(task.state == "success" for task in tasks.get("publish", ()))
    at_work = any(task.state not in _ENDED for same in tasks.values() for task in same)
    if run.state in {"queued", "running"} and at_work and not published:
        return {"state": RUNNING, "step": _find_step(tasks)}
    approved = any(task.state == "success" for task in tasks.get("approve_plan", ()))
    if not published and plan is not None and plan.plan_only:
        return {"state": PLANNED, "step": "planned, nothing was sent"}
    if not published and approved and run.state != "failed":
        return {
            "state": REJECTED,
            "step": "a person rejected the plan, nothing was sent",
            "task_id": approval,
        }
    if run.state == "failed":
        return {"state": FAILED, "step": "failed", "why": "The run was marked as failed, or timed out."}
    return {"state": DONE}


def _first_failure(tasks: Mapping[str, Sequence[Task]]) -> Task | None:
    """Return the task that failed first by itself: what came after it failed only because of it."""
    failed = [task for same in tasks.values() for task in same if task.state == "failed"]
    return min(failed, key=lambda task: (task.ended is None, task.ended), default=None)


def _explain_failure(run: FoundRun, failed: Task, reader: str, plan: Plan | None) -> dict[str, Any]:
    told = run.told.get((failed.task_id, FAILURE))
    told = told if isinstance(told, dict) else {}
    name = failed.task_id.removeprefix(reader[: reader.rfind(".") + 1])
    state = FAILED
    if told.get("code") == "account_trouble" or told.get("kind") == "AccountTroubleError":
        state = ACCOUNT
    elif failed.task_id == reader:
        state = OVER_BUDGET if plan is not None else UNREADABLE
    why = for_log(told.get("message") or "", _MAX_WHY_CHARS)
    if not why and state == OVER_BUDGET and plan is not None:
        why = plan.verdict
    return {
        "state": state,
        "step": f"failed at {name}",
        "why": why,
        "task_id": failed.task_id,
        "map_index": failed.map_index,
    }


def _find_step(tasks: Mapping[str, Sequence[Task]]) -> str:
    for name, step in _STEPS:
        states = {task.state for task in tasks.get(name, ())}
        if "up_for_retry" in states:
            return f"{step}, trying again"
        if states & _ACTIVE:
            return step
    return "starting" if not any(task.state for same in tasks.values() for task in same) else "running"


def _read_plan(values: Any) -> Plan | None:
    try:
        return read_plan(values) if isinstance(values, dict) else None
    except ResultsError:
        return None


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
