"""Lets the tasks of a scheduled run know that its DAG was switched on after the run was due.

Airflow starts the latest slot of a schedule as soon as a DAG is switched on, also when that was only done to press
Trigger or to let a backfill begin. The run's delay is no proof: a DAG may be switched on a minute after its slot.
Airflow's audit log has the moment, but only the scheduler can read it. So this listener, which Airflow calls in the
scheduler when a run begins, reads the log and leaves a note in the run's ``conf``, which the tasks see. It uses its
own database connection and never raises, so that it cannot disturb the scheduler.
"""

from __future__ import annotations

import json
import logging
import re
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
_EVENTS = ("patch_dag", "patch_dags", "cli_dag_unpause")
"""Events of Airflow's audit log that switch DAGs on: in the UI or by REST, several at once, on the command line."""

_MAX_ROWS = 1_000

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001 - Airflow passes them by name
    """Leave a note in the run's ``conf`` if its DAG was switched on after the run was due.

    Only for scheduled runs that may spend, and not for one that a person has cleared.
    """
    try:
        if getattr(dag_run.run_type, "value", dag_run.run_type) != "scheduled" or dag_run.clear_number:
            return
        if not _may_spend(dag_run):
            return
        moment = _look_up(dag_run)
        if moment is not None:
            dag_run.conf = {**(dag_run.conf or {}), SWITCHED_ON: moment.isoformat()}
            log.info("%s was switched on at %s, after %s was due", dag_run.dag_id, moment, dag_run.run_id)
    except Exception:
        log.exception("it is unclear whether %s was switched on late", getattr(dag_run, "dag_id", "a DAG"))


def _look_up(dag_run: DagRun) -> datetime | None:
    from sqlalchemy.orm import Session, object_session

    own = object_session(dag_run)
    if own is None:
        return None
    # The scheduler's transaction may not be committed here, nor broken off by an error.
    with Session(own.get_bind()) as session:
        return find_switch(session, dag_run.dag_id, dag_run.run_after)


def find_switch(session: Session, dag_id: str, due: datetime) -> datetime | None:
    """Return when a DAG became known to Airflow, or was last switched on, if that was after a run was due.

    :param due: when the run was due.
    """
    from airflow.models.dag_version import DagVersion
    from airflow.models.log import Log
    from sqlalchemy import func, select

    known: datetime | None = session.scalar(
        select(func.min(DagVersion.created_at)).where(DagVersion.dag_id == dag_id)
    )
    rows = session.execute(
        select(Log.event, Log.dag_id, Log.extra, Log.dttm)
        .where(Log.dttm > due, Log.event.in_(_EVENTS))
        .order_by(Log.dttm.desc())
        .limit(_MAX_ROWS)
    )
    switched = (row.dttm for row in rows if _switches_on(dag_id, row.event, row.dag_id, row.extra))
    moments = [moment for moment in (known, next(switched, None)) if moment is not None and moment > due]
    return max(moments, default=None)


def _switches_on(dag_id: str, event: str, named: str | None, extra: str | None) -> bool:
    """Return whether a row of the audit log may have switched a DAG on; what cannot be told counts."""
    try:
        said = json.loads(extra or "{}")
        if event == "patch_dags":
            return said.get("is_paused") is not True and _fits(
                dag_id, said.get("dag_id_pattern"), said.get("dag_id_prefix_pattern")
            )
        if event == "patch_dag":
            return named == dag_id and said.get("is_paused") is not True
        if "regex" in said.get("full_command", ""):
            return re.search(named or "", dag_id) is not None
    except (ValueError, AttributeError, TypeError, re.error):
        return True
    return named in {None, dag_id}


def _fits(dag_id: str, pattern: str | None, prefix: str | None) -> bool:
    """Return whether a DAG is among those of a request for several, by the patterns that Airflow matches ids with."""
    inside, begins = ("" if each in {None, "~"} else str(each) for each in (pattern, prefix))
    wanted = [_as_regex(term) for term in inside.split("|")]
    return any(re.search(term, dag_id, re.IGNORECASE) for term in wanted) and any(
        re.match(_as_regex(term), dag_id, re.IGNORECASE) for term in begins.split("|")
    )


def _as_regex(pattern: str) -> str:
    """Return a pattern of SQL's LIKE as a regular expression."""
    signs = {"%": ".*", "_": "."}
    return "".join(signs.get(sign, re.escape(sign)) for sign in pattern.strip())


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
