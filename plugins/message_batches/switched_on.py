"""Tells a scheduled run's tasks that its DAG was switched on after the run was due.

Airflow starts the latest slot of a schedule as soon as a DAG is switched on, also when that was only done to press
Trigger or to let a backfill begin. How late the run is does not tell: a DAG may be switched on a minute after its slot.
Airflow's audit log does tell, and only the scheduler can read it. So this listener, which Airflow calls in the
scheduler when a run begins, reads it and leaves a word in the run's ``conf``, which the tasks see.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

SWITCHED_ON = "nightpress_switched_on"
"""Key of a run's ``conf``: the moment at which its DAG was switched on, after the run was due."""

_OURS = frozenset({"ReadArticlesOperator", "SubmitBatchOperator"})
_OF_ONE_DAG = ("patch_dag",)
_OF_ANY_DAG = ("patch_dags", "cli_dag_unpause", "cli_dag_pause")
"""Events of Airflow's audit log that switch DAGs on or off; these may name none, or a pattern of ids."""

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001 - Airflow passes them by name
    """Leave a word in the run's ``conf`` if its DAG was switched on after the run was due.

    It runs in the scheduler's own transaction, so it only reads, and only for scheduled runs that may spend.
    """
    if getattr(dag_run.run_type, "value", dag_run.run_type) != "scheduled" or not _may_spend(dag_run):
        return
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None or dag_run.clear_number:
        return
    moment = find_switch(session, dag_run.dag_id, dag_run.run_after)
    if moment is not None:
        dag_run.conf = {**(dag_run.conf or {}), SWITCHED_ON: moment.isoformat()}
        log.info(
            "%s was switched on at %s, after %s was due: it will ask", dag_run.dag_id, moment, dag_run.run_id
        )


def find_switch(session: Session, dag_id: str, due: datetime) -> datetime | None:
    """Return when a DAG became known to Airflow, or was last switched on or off, if that was after a run was due.

    A change that another DAG's pattern may explain counts too: to ask once more costs nothing.

    :param due: when the run was due.
    """
    from airflow.models.dag_version import DagVersion
    from airflow.models.log import Log
    from sqlalchemy import func, or_, select

    known: datetime | None = session.scalar(
        select(func.min(DagVersion.created_at)).where(DagVersion.dag_id == dag_id)
    )
    switched: datetime | None = session.scalar(
        select(func.max(Log.dttm)).where(
            Log.dttm > due,
            or_(Log.event.in_(_OF_ANY_DAG), Log.event.in_(_OF_ONE_DAG) & (Log.dag_id == dag_id)),
        )
    )
    return max((moment for moment in (known, switched) if moment is not None and moment > due), default=None)


def switched_on_at(run: Any) -> datetime | None:
    """Return when the DAG of a run was switched on, if that was after the run was due; what a task asks.

    :param run: the DAG run of a task's context.
    """
    conf = getattr(run, "conf", None)
    moment = conf.get(SWITCHED_ON) if isinstance(conf, Mapping) else None
    try:
        return datetime.fromisoformat(moment) if isinstance(moment, str) else None
    except ValueError:
        return None


def _may_spend(dag_run: DagRun) -> bool:
    dag = dag_run.dag
    return dag is not None and any(getattr(task, "task_type", "") in _OURS for task in dag.task_dict.values())
