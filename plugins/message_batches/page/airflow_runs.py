"""Runs of pipelines from Airflow's own database: what they do, and what they wait or failed for.

A run is on the page from its first task on, before the ledger has anything of it. A task of class
``ReadArticlesOperator`` makes a run one of ours; a run of a comparison has several, one in each task group.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import exists, func, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

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
from nightpress.storage import INVALID_JSON

log = logging.getLogger(__name__)

READ = "read_articles"
_READER = "ReadArticlesOperator"
_PLAN = "plan"
_ABOUT = "about"
_SINCE = timedelta(days=31)
_MAX_RUNS = 300
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


@dataclass(slots=True)
class Task:
    """The instances of a task that are in one state.

    :param map_index: the first of them; -1 for a task that is not mapped.
    :param ended: when the first of them ended.
    """

    task_id: str
    map_index: int
    state: str
    ended: datetime | None
    operator: str = ""

    @property
    def reads(self) -> bool:
        """Whether a pipeline begins with it."""
        return self.operator == _READER or self.task_id.rpartition(".")[2] == READ


@dataclass(slots=True)
class FoundRun:
    """A run and its tasks as the database has them.

    :param told: XCom values by task and key.
    :param asked: tasks that wait for a person.
    """

    dag_id: str
    run_id: str
    state: str
    began: datetime | None
    ended: datetime | None
    day: str
    tasks: list[Task] = field(default_factory=list)
    told: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)


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
                    # The ledger's runs are worth showing without what Airflow says of them.
                    log.exception(
                        "Airflow's database does not tell its runs; the page shows the last that were seen"
                    )
            return self._runs


def read_runs() -> list[FoundRun]:
    """Read the latest runs that have a task of ours."""
    with create_session() as session:
        since = datetime.now(UTC) - _SINCE
        of_run = (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id)
        ours = (
            select(DagRun)
            .where(DagRun.run_after >= since, exists().where(of_run, TaskInstance.operator == _READER))
            .order_by(DagRun.run_after.desc())
            .limit(_MAX_RUNS)
        )
        runs = {
            (run.dag_id, run.run_id): FoundRun(
                dag_id=run.dag_id,
                run_id=run.run_id,
                state=str(run.state),
                began=run.start_date or run.queued_at,
                ended=run.end_date,
                day=_day_of(run),
            )
            for run in session.scalars(ours)
        }
        if runs:
            _read_tasks(session, runs)
    return list(runs.values())


def _read_tasks(session: Session, runs: Mapping[tuple[str, str], FoundRun]) -> None:
    wanted = list(runs)
    # A run may have thousands of mapped tasks; what counts is which states there are of each.
    kinds = (
        *(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id),
        *(TaskInstance.state, TaskInstance.operator),
    )
    for row in session.execute(
        select(
            *kinds,
            func.min(TaskInstance.end_date).label("ended"),
            func.min(TaskInstance.map_index).label("place"),
        )
        .where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(wanted))
        .group_by(*kinds)
    ):
        runs[row.dag_id, row.run_id].tasks.append(
            Task(row.task_id, row.place, str(row.state or ""), row.ended, row.operator or "")
        )
    for xcom in session.execute(
        select(XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.key, XComModel.value).where(
            tuple_(XComModel.dag_id, XComModel.run_id).in_(wanted),
            XComModel.key.in_((_PLAN, _ABOUT, FAILURE)),
        )
    ):
        runs[xcom.dag_id, xcom.run_id].told[xcom.task_id, xcom.key] = _plain(xcom.value)
    for waiting in session.execute(
        select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
        .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(
            tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(wanted),
            HITLDetail.responded_at.is_(None),
            TaskInstance.state.in_(("awaiting_input", "deferred")),
        )
    ):
        runs[waiting.dag_id, waiting.run_id].asked.add(waiting.task_id)


def _day_of(run: DagRun) -> str:
    given = (run.conf or {}).get("day") if isinstance(run.conf, dict) else None
    for day in (given, run.partition_key, run.run_after.date().isoformat() if run.run_after else ""):
        if is_day(day):
            return str(day)
    return ""


def _plain(value: Any) -> Any:
    """Return an XCom's value; Airflow stores JSON, and some versions of it JSON inside a JSON string."""
    for _ in range(2):
        if not isinstance(value, str):
            break
        try:
            value = msgspec.json.decode(value)
        except INVALID_JSON:
            break
    return value


def describe_run(run: FoundRun) -> list[StartedRun]:
    """Return what a run is for each of its pipelines."""
    readers = sorted(task.task_id for task in run.tasks if task.reads)
    return [_describe_pipeline(run, reader, alone=len(readers) == 1) for reader in readers]


def _describe_pipeline(run: FoundRun, reader: str, *, alone: bool) -> StartedRun:
    group = reader[: reader.rfind(".") + 1]
    tasks = _by_name(run.tasks, group)
    values, about = run.told.get((reader, _PLAN)), run.told.get((reader, _ABOUT))
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
