"""``send_requests``: three tasks in one call, a budget that the form can only lower, nothing sent that is over it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anthropic
import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from message_batches import SubmitBatchOperator, config, send_requests
from message_batches.operators import submit_batch
from nightpress.batches.client import MessageBatches
from nightpress.errors import ConfigurationError, UnknownOutcomeError
from tests.support.offline_api_server import LocalApiServer


def request(custom_id: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hi there."}]
    return {
        "custom_id": custom_id,
        "params": {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": messages},
    }


class Told:
    """A task instance that keeps what is pushed."""

    task_id, map_index, dag_id = "submit_batch", -1, "d"

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def context(server: LocalApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    client = anthropic.Anthropic(api_key="test-key", base_url=server.base_url, max_retries=0)
    monkeypatch.setenv("NIGHTPRESS_ROOT", str(tmp_path))
    monkeypatch.setattr(config, "connect", lambda conn_id: MessageBatches(client))
    monkeypatch.setattr(submit_batch, "label_map_index", lambda shard: None)
    run = SimpleNamespace(conf={}, partition_key="2026-11-22")
    return {"dag_run": run, "run_id": "one", "ti": Told()}


@pytest.mark.parametrize(
    ("declared", "chosen", "sent"),
    [
        (None, None, True),
        (1.0, None, True),
        (1.0, "", True),
        (1.0, 1_000_000, True),
        (1.0, 0.0001, False),
        (0.0001, None, False),
        (0.0001, 1_000_000, False),
        (None, 0.0001, False),
    ],
)
def test_the_form_can_only_lower_the_budget(
    server: LocalApiServer, context: dict[str, Any], declared: Any, chosen: Any, sent: bool
) -> None:
    many = [request(f"a{number}") for number in range(9)]
    operator = SubmitBatchOperator(
        task_id="submit_batch", pipeline="p", requests=many, max_cost_usd=declared, chosen_max_cost_usd=chosen
    )
    if sent:
        operator.execute(context)  # type: ignore[arg-type]
        plan = context["ti"].pushed["plan"]
        assert (plan["requests"], plan["unbounded"]) == (9, "")
        assert "Hi there" not in json.dumps(context["ti"].pushed)
    else:
        with pytest.raises(AirflowFailException, match="9 requests may cost up to"):
            operator.execute(context)  # type: ignore[arg-type]
    assert server.billing()["batches_accepted"] == int(sent)


def test_a_lower_budget_finds_the_batch_of_a_post_that_was_cut_off(
    server: LocalApiServer, context: dict[str, Any]
) -> None:
    def submit(budget: float) -> str:
        operator = SubmitBatchOperator(
            task_id="submit_batch", pipeline="p", requests=[request("a")], max_cost_usd=budget
        )
        return operator.execute(context)  # type: ignore[arg-type]

    server.faults({"endpoint": "create", "kind": "accept_then_drop", "count": 1})
    with pytest.raises(UnknownOutcomeError):
        submit(1.0)
    server.advance_clock(3_600)
    assert submit(1e-9).startswith("msgbatch_")
    assert server.billing()["batches_accepted"] == 1


def test_a_mistyped_key_sends_nothing(server: LocalApiServer, context: dict[str, Any]) -> None:
    with DAG("d", schedule=None) as dag:
        send_requests("slogans", [request("a")], max_cost_usd=1.0)
    context["dag_run"].conf = {"max_cost": 0.01}
    with pytest.raises(AirflowFailException, match="did you mean 'max_cost_usd'"):
        submit: Any = dag.get_task("slogans.submit_batch")
        submit.execute(context)
    assert server.billing()["batches_accepted"] == 0


def test_the_three_tasks_stand_between_tasks_of_ones_own() -> None:
    with DAG("d", schedule=None) as dag:

        @task
        def write_requests() -> str:
            return "/srv/requests.jsonl"

        @task
        def use(results: Any) -> None: ...

        use(send_requests("slogans", write_requests(), max_cost_usd=1.0))
        send_requests("others", [request("a")])
    chain = {name: sorted(dag.get_task(name).downstream_task_ids) for name in dag.task_ids}
    assert chain == {
        "write_requests": ["slogans.submit_batch"],
        "slogans.submit_batch": ["slogans.wait_for_batch", "slogans.write_results"],
        "slogans.wait_for_batch": ["slogans.write_results"],
        "slogans.write_results": ["use"],
        "use": [],
        "others.submit_batch": ["others.wait_for_batch", "others.write_results"],
        "others.wait_for_batch": ["others.write_results"],
        "others.write_results": [],
    }
    assert list(dag.params) == ["max_cost_usd"]
    with pytest.raises(ConfigurationError, match="outside a DAG"):
        send_requests("slogans", [])


def test_a_budget_without_requests_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="goes with requests"):
        SubmitBatchOperator(task_id="s", pipeline="p", shard={}, max_cost_usd=1.0)
