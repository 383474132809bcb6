"""The latest runs with their tasks, as Airflow's own database has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import exists, func, select, tuple_
from sqlalchemy.orm import Session

from message_batches.remedies import FAILURE
from nightpress.layout import is_day
from nightpress.storage import INVALID_JSON

READ = "read_articles"
READER = "ReadArticlesOperator"
PLAN = "plan"
ABOUT = "about"
_SINCE = timedelta(days=31)
_MAX_RUNS = 300


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
        return self.operator == READER or self.task_id.rpartition(".")[2] == READ


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


def read_runs() -> list[FoundRun]:
    """Read the latest runs that have a task of ours."""
    with create_session() as session:
        since = datetime.now(UTC) - _SINCE
        of_run = (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id)
        ours = (
            select(DagRun)
            .where(DagRun.run_after >= since, exists().where(of_run, TaskInstance.operator == READER))
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
        TaskInstance.dag_id,
        TaskInstance.run_id,
        TaskInstance.task_id,
        TaskInstance.state,
        TaskInstance.operator,
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
            XComModel.key.in_((PLAN, ABOUT, FAILURE)),
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
