"""What the scheduler's listener reads in Airflow's audit log: was a DAG switched on after its run was due?"""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("event", "dag_id", "after", "found"),
    [
        ("patch_dag", "mine", MINUTE, True),
        ("patch_dag", "mine", -MINUTE, False),
        ("patch_dag", "another", MINUTE, False),
        ("patch_dags", None, MINUTE, True),
        ("cli_dag_unpause", "m.*", MINUTE, True),
        ("cli_dag_pause", "mine", MINUTE, True),
        ("trigger_dag_run", "mine", MINUTE, False),
        ("cli_dag_trigger", "mine", MINUTE, False),
    ],
)
def test_a_switch_after_the_run_was_due_is_found(
    session: Session, event: str, dag_id: str | None, after: timedelta, found: bool
) -> None:
    session.add(Log(event=event, dag_id=dag_id, owner="anna"))
    session.flush()
    session.query(Log).update({"dttm": DUE + after})
    assert find_switch(session, "mine", DUE) == (DUE + after if found else None)


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
    monkeypatch.setattr("sqlalchemy.orm.object_session", lambda run: object())
    monkeypatch.setattr("message_batches.switched_on.find_switch", lambda *asked: DUE + MINUTE)
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
