"""A key of ``conf`` that the form does not have is refused, however the run was started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from message_batches import WriteReportOperator, message_batch_comparison, message_batch_pipeline
from message_batches.form_keys import check_keys, check_run_keys
from nightpress.errors import ConfigurationError


def declare() -> DAG:
    with DAG("d", schedule=None) as dag:
        message_batch_pipeline("p", prompt="Say it.\n{content}", max_cost_usd=5.0)
    return dag


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("max_cost_us", "max_cost_usd"),
        ("max-cost-usd", "max_cost_usd"),
        ("MAX_COST_USD", "max_cost_usd"),
        ("maxcostusd", "max_cost_usd"),
        ("limits", "limit"),
        ("plan_onyl", "plan_only"),
        ("aprove_above_usd", "approve_above_usd"),
        ("sources", "source"),
        ("Day", "day"),
        ("promt", "prompt"),
    ],
)
def test_a_mistyped_key_is_refused_with_what_was_meant(key: str, meant: str) -> None:
    dag = declare()
    with pytest.raises(ConfigurationError) as caught:
        check_run_keys(dag, SimpleNamespace(conf={key: "secret text"}))
    assert f"did you mean {meant!r}?" in str(caught.value)
    assert "secret text" not in str(caught.value)


@pytest.mark.parametrize("conf", [None, {}, {"limit": 3, "day": "2026-11-22"}, {"openlineage": {}}, "text"])
def test_what_the_form_has_passes(conf: Any) -> None:
    check_run_keys(declare(), SimpleNamespace(conf=conf))
    check_run_keys(None, SimpleNamespace(conf={"x": 1}))


def test_many_long_keys_make_a_short_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_keys("d", [f"{number}\x1b[2J{'x' * 500}" for number in range(90)], ["limit"])
    assert len(str(caught.value)) < 900
    assert "85 more" in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("kind", ["pipeline", "comparison", "report"])
def test_the_first_task_refuses_before_it_reads_anything(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.delenv("NIGHTPRESS_ROOT", raising=False)
    if kind == "pipeline":
        task: Any = declare().get_task("read_articles")
    else:
        with DAG("d", schedule=None) as dag:
            if kind == "comparison":
                message_batch_comparison("c", prompt="{content}", variants={"a": {}, "b": {"max_tokens": 9}})
            else:
                WriteReportOperator(task_id="write_report")
        task = dag.get_task("a.read_articles" if kind == "comparison" else "write_report")
    with pytest.raises(AirflowFailException, match="no such field"):
        task.execute({"dag_run": SimpleNamespace(conf={"lmit": 3}), "ti": SimpleNamespace()})
