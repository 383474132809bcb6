"""What the scheduler's listener reads in Airflow's audit log: was a DAG switched on after its run was due?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.log import Log
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from message_batches.form_keys import check_run_keys
from message_batches.switched_on import SWITCHED_ON, find_switch, on_dag_run_running, switched_on_at

DUE = datetime(2026, 11, 23, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    for model in (DagModel, Log, DagVersion):
        model.__table__.create(engine)
    with Session(engine) as session:
        session.add(
            DagVersion(
                version_number=1, dag_id="mine", bundle_name="dags", created_at=DUE - timedelta(days=9)
            )
        )
        session.commit()
        yield session
    engine.dispose()


def switched(event: str, dag_id: str | None = None, minutes: float = 1, **extra: Any) -> Log:
    row = Log(event=event, dag_id=dag_id, owner="anna", extra=json.dumps(extra))
    row.dttm = DUE + minutes * MINUTE
    return row


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (switched("patch_dag", "mine", is_paused=False), True),
        (switched("patch_dag", "mine", is_paused=True), False),
        (switched("patch_dag", "mine", minutes=-1, is_paused=False), False),
        (switched("patch_dag", "another", is_paused=False), False),
        (switched("patch_dags", is_paused=False, dag_id_pattern="~"), True),
        (switched("patch_dags", is_paused=False, tags="daily"), True),
        (switched("patch_dags", is_paused=False, dag_id_pattern="IN"), True),
        (switched("patch_dags", is_paused=False, dag_id_pattern="other | m_ne"), True),
        (switched("patch_dags", is_paused=False, dag_id_pattern="m%e"), True),
        (switched("patch_dags", is_paused=False, dag_id_pattern="other"), False),
        (switched("patch_dags", is_paused=False, dag_id_prefix_pattern="mi"), True),
        (switched("patch_dags", is_paused=False, dag_id_prefix_pattern="ine"), False),
        (switched("patch_dags", is_paused=True, dag_id_pattern="~"), False),
        (switched("cli_dag_unpause", "mine", full_command="['airflow', 'dags', 'unpause', 'mine']"), True),
        (switched("cli_dag_unpause", "other", full_command="['airflow', 'dags', 'unpause', 'other']"), False),
        (switched("cli_dag_unpause", "m.*", full_command="['…', '--treat-dag-id-as-regex', 'm.*']"), True),
        (switched("cli_dag_unpause", "o.*", full_command="['…', '--treat-dag-id-as-regex', 'o.*']"), False),
        (switched("cli_dag_unpause", "(", full_command="['…', '--treat-dag-id-as-regex', '(']"), True),
        (switched("cli_dag_pause", "mine", full_command="['airflow', 'dags', 'pause', 'mine']"), False),
        (switched("trigger_dag_run", "mine"), False),
    ],
    ids=lambda value: f"{value.event} {value.dag_id} {value.extra}" if isinstance(value, Log) else str(value),
)
def test_a_switch_after_the_run_was_due_is_found(session: Session, row: Log, found: bool) -> None:
    copied = Log(event=row.event, dag_id=row.dag_id, owner="anna", extra=row.extra)
    copied.dttm = row.dttm
    session.add(copied)
    session.commit()
    assert find_switch(session, "mine", DUE) == (DUE + MINUTE if found else None)


def test_an_error_in_the_listener_leaves_the_schedulers_session_as_it_is(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Its tables are gone: the transaction of the scheduler is neither broken off nor committed."""
    row = switched("patch_dag", "mine", is_paused=False)
    session.add(row)
    session.flush()
    session.connection().exec_driver_sql("DROP TABLE dag_version")
    task = SimpleNamespace(task_type="ReadArticlesOperator")
    run = InSession(session, dag=SimpleNamespace(task_dict={"read": task}), dag_id="mine", run_id="r")
    on_dag_run_running(run, "started")  # type: ignore[arg-type]
    assert "unclear" in caplog.text
    assert run.conf == {}
    assert session.in_transaction()
    assert session.get(Log, row.id) is row
    session.rollback()


class InSession(SimpleNamespace):
    """A run that a scheduler's session holds."""

    def __init__(self, session: Session, **given: Any) -> None:
        super().__init__(run_type="scheduled", clear_number=0, run_after=DUE, conf={}, **given)
        self.session = session


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlalchemy.orm.object_session", lambda run: getattr(run, "session", None))


def test_a_dag_that_became_known_after_the_slot_was_not_on_at_it(session: Session) -> None:
    known = DUE - timedelta(days=9)
    assert find_switch(session, "mine", known - MINUTE) == known
    assert find_switch(session, "mine", known + MINUTE) is None
    assert find_switch(session, "unknown", DUE) is None


@pytest.mark.parametrize(
    ("changed", "asks"),
    [
        ({}, True),
        ({"run_type": "manual"}, False),
        ({"run_type": "backfill"}, False),
        ({"run_type": "asset_triggered"}, False),
        ({"clear_number": 1}, False),
        ({"operator": "BashOperator"}, False),
        ({"operator": "SubmitBatchOperator"}, True),
    ],
)
def test_only_scheduled_runs_that_may_spend_are_told(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], asks: bool
) -> None:
    monkeypatch.setattr("message_batches.switched_on._look_up", lambda run: DUE + MINUTE)
    task = SimpleNamespace(task_type=changed.pop("operator", "ReadArticlesOperator"))
    dag = SimpleNamespace(task_dict={"read": task}, dag_id="mine", params={})
    given = {"run_type": "scheduled", "clear_number": 0} | changed
    run: Any = SimpleNamespace(dag=dag, dag_id="mine", run_id="r", run_after=DUE, conf={}, **given)
    on_dag_run_running(run, "started")
    assert switched_on_at(run) == (DUE + MINUTE if asks else None)
    # Nobody typed that key, so no task refuses it.
    check_run_keys(dag, run)  # type: ignore[arg-type]


@pytest.mark.parametrize("conf", [None, {}, {SWITCHED_ON: 3}, {SWITCHED_ON: "soon"}, "no object"])
def test_what_is_no_moment_is_none(conf: Any) -> None:
    assert switched_on_at(SimpleNamespace(conf=conf)) is None
