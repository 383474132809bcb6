from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.triggers.base import TriggerEvent

import message_batches
from message_batches import (
    MessageBatchSensor,
    MessageBatchTrigger,
    PublishResultsOperator,
    ReadArticlesOperator,
    SubmitBatchOperator,
    WriteResultsOperator,
)
from message_batches.config import source_path
from message_batches.links import batch_url
from message_batches.operators.read_articles import check_map_length
from message_batches.operators.references import as_list
from nightpress.batches.submission_records import Wait
from nightpress.errors import ConfigurationError, ResultsError
from tests.support.offline_api_server import LocalApiServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    with LocalApiServer(tmp_path_factory.mktemp("api"), seconds_per_batch=3000) as running:
        yield running


@pytest.fixture(autouse=True)
def connection(server: LocalApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"anthropic_client_kwargs": {"max_retries": 0}}
    value = {"conn_type": "anthropic", "password": "test-key", "host": server.base_url, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ANTHROPIC_DEFAULT", json.dumps(value))
    server.request("DELETE", "/local/faults")


@pytest.fixture
def batch_id(server: LocalApiServer) -> str:
    client = anthropic.Anthropic(api_key="test-key", base_url=server.base_url)
    params: Any = {
        "model": "claude-haiku-4-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi."}],
    }
    return client.messages.batches.create(requests=[{"custom_id": "a", "params": params}]).id


def reader(**changed: Any) -> ReadArticlesOperator:
    return ReadArticlesOperator(**{"task_id": "read", "pipeline": "p", "prompt": "{content}"} | changed)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"prompt": "no field"}, "{content}"),
        ({"prompt": "{content} {author.name}"}, "{author.name}"),
        ({"output": {"type": "object", "properties": {"a": {"type": "array"}}}}, "a"),
        ({"output": {"type": "object", "properties": {"status": {"type": "string"}}}}, "status"),
        ({"cache": True}, "system"),
        ({"pipeline": "a/b"}, "'a/b'"),
        ({"pipeline": ""}, "''"),
        ({"max_rejected_share": 1.5}, "1.5"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"fields": {"body": "x"}}, "body"),
        ({"max_content_chars": 0}, "max_content_chars is 0"),
    ],
)
def test_what_is_wrong_is_refused_when_the_dag_is_parsed(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        reader(**changed)
    assert named in str(caught.value)


def test_prompts_are_in_no_template_field() -> None:
    operators = [
        reader(),
        SubmitBatchOperator(task_id="s", shard={}, pipeline="p"),
        WriteResultsOperator(task_id="w", shard={}, batch_id="b", pipeline="p"),
        PublishResultsOperator(task_id="p", shards=[], results=[], pipeline="p"),
    ]
    for operator in operators:
        assert "prompt" not in operator.template_fields
        assert "system" not in operator.template_fields


def test_a_poll_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="poll_seconds is 0"):
        MessageBatchSensor(task_id="w", batch_id="b", poll_seconds=0)


def test_everything_is_exported_by_name() -> None:
    for name in message_batches.__all__:
        assert getattr(message_batches, name).__name__ == name
    with pytest.raises(AttributeError, match="Nonsense"):
        message_batches.Nonsense  # noqa: B018


def test_the_sensor_looks_once_and_defers_with_a_wall_clock_deadline(
    batch_id: str, server: LocalApiServer
) -> None:
    sensor = MessageBatchSensor(task_id="w", batch_id=batch_id, timeout=100)
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({})  # type: ignore[arg-type]
    path, arguments = caught.value.trigger.serialize()
    assert path == "message_batches.triggers.MessageBatchTrigger"
    assert arguments["batch_ids"] == [batch_id]
    assert arguments["deadline"] == pytest.approx(time.time() + 100, abs=5)
    assert MessageBatchTrigger(**arguments).serialize() == (path, arguments)
    server.advance_clock(3000)
    assert sensor.execute({}) == batch_id  # type: ignore[arg-type]


def test_a_look_that_fails_is_no_reason_to_fail(batch_id: str, server: LocalApiServer) -> None:
    for kind in ({"kind": "not_found"}, {"kind": "status", "status": 500}, {"kind": "drop"}):
        server.faults({"endpoint": "retrieve", "count": 1, **kind})
        with pytest.raises(TaskDeferred):
            MessageBatchSensor(task_id="w", batch_id=batch_id).execute({})  # type: ignore[arg-type]


def test_a_refused_key_fails_the_wait_with_a_word_on_the_batch(batch_id: str, server: LocalApiServer) -> None:
    server.faults({"endpoint": "retrieve", "kind": "status", "status": 401, "count": 1})
    with pytest.raises(AirflowFailException, match=rf"{batch_id} continues at the API"):
        MessageBatchSensor(task_id="w", batch_id=batch_id).execute({})  # type: ignore[arg-type]


def test_a_wait_without_a_batch_is_refused() -> None:
    with pytest.raises(AirflowFailException, match="batch_id is None"):
        MessageBatchSensor(task_id="w", batch_id=None).execute({})  # type: ignore[arg-type]


def test_only_an_end_is_a_success() -> None:
    sensor = MessageBatchSensor(task_id="w", batch_id="b")
    assert sensor.execute_complete({}, {"status": "ended"}) == "b"  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match="clear this task"):
        sensor.execute_complete({}, {"status": "deadline", "message": "clear this task"})  # type: ignore[arg-type]
    for event in (None, {}, "x"):
        with pytest.raises(ResultsError, match="unknown event"):
            sensor.execute_complete({}, event)  # type: ignore[arg-type]


def first_event(trigger: MessageBatchTrigger) -> TriggerEvent:
    async def run() -> TriggerEvent:
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    trigger._started -= 60
    return asyncio.run(asyncio.wait_for(run(), 20))


def trigger(batch_id: str, seconds: float = 60) -> MessageBatchTrigger:
    deadline = time.time() + seconds
    return MessageBatchTrigger(
        batch_ids=[batch_id], conn_id="anthropic_default", deadline=deadline, poll_seconds=0.05
    )


def test_the_trigger_fires_when_the_batch_has_ended(batch_id: str, server: LocalApiServer) -> None:
    server.advance_clock(3000)
    event = first_event(trigger(batch_id))
    assert event.payload == {"status": "ended", "message": f"batch {batch_id} ended: 1 succeeded"}


def test_failed_looks_are_not_failed_batches(batch_id: str, server: LocalApiServer) -> None:
    server.faults({"endpoint": "list", "kind": "status", "status": 529, "count": 3})
    server.advance_clock(3000)
    assert first_event(trigger(batch_id)).payload["status"] == "ended"


def test_the_deadline_is_kept_even_when_nothing_can_be_seen(batch_id: str, server: LocalApiServer) -> None:
    server.faults({"endpoint": "list", "kind": "status", "status": 500})
    event = first_event(trigger(batch_id, seconds=0.2))
    assert event.payload["status"] == "deadline"
    assert "had not ended by the deadline" in event.payload["message"]


def test_a_key_that_stays_refused_ends_the_wait(batch_id: str, server: LocalApiServer) -> None:
    server.faults({"endpoint": "list", "kind": "status", "status": 403})
    assert first_event(trigger(batch_id)).payload["status"] == "refused"


def test_a_batch_that_is_nowhere_for_long_is_told_so() -> None:
    assert first_event(trigger("msgbatch_nowhere")).payload["status"] == "gone"


def test_waiting_tasks_of_one_connection_share_one_stream() -> None:
    one, two = trigger("a"), trigger("b")
    assert one.shared_stream_key() == two.shared_stream_key()
    other = MessageBatchTrigger(batch_ids=["a"], conn_id="other", deadline=0)
    assert other.shared_stream_key() != one.shared_stream_key()


@pytest.mark.parametrize("cancel", [True, False])
def test_killing_the_wait_cancels_only_when_asked_to(
    batch_id: str, server: LocalApiServer, cancel: bool
) -> None:
    waiting = trigger(batch_id)
    waiting.cancel_on_kill = cancel
    asyncio.run(waiting.on_kill())
    assert (server.get(f"/v1/messages/batches/{batch_id}")["cancel_initiated_at"] is not None) is cancel


def test_paths_of_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGHTPRESS_ROOT", f"file://{tmp_path}")
    assert str(source_path(None, "2026-11-22")) == f"file://{tmp_path}/inbox/day=2026-11-22"
    assert str(source_path("/abs/x.csv", "2026-11-22")) == "file:///abs/x.csv"
    assert str(source_path("/in/day={day}/*", "2026-11-22")) == "file:///in/day=2026-11-22/*"
    assert str(source_path("rel/x.csv", "2026-11-22")).endswith("/rel/x.csv")
    assert str(source_path("memory://bucket/x.csv", "2026-11-22")) == "memory://bucket/x.csv"


def test_a_wait_without_batches_defers_to_a_moment_and_one_with_batches_to_them() -> None:
    task = SubmitBatchOperator(task_id="s", shard=None, pipeline="p")
    with pytest.raises(TaskDeferred) as deferred:
        task._defer(Wait("the queue is full", time.time() + 60))
    moment = deferred.value.trigger.serialize()[1]["moment"]
    assert 30 < moment.timestamp() - time.time() < 90
    with pytest.raises(TaskDeferred) as deferred:
        # Sooner, the trigger might be faster than the scheduler.
        task._defer(Wait("soon", time.time()))
    assert deferred.value.trigger.serialize()[1]["moment"].timestamp() - time.time() > 10
    with pytest.raises(TaskDeferred) as deferred:
        task._defer(Wait("candidates are running", time.time() + 60, ("b1", "b2")))
    assert deferred.value.trigger.serialize()[1]["batch_ids"] == ["b1", "b2"]


def test_links_lead_to_the_page_of_the_api_that_has_the_batch() -> None:
    assert batch_url("http://127.0.0.1:9/", "b", offline=True) == "http://127.0.0.1:9/batches/b"
    assert batch_url("https://api.anthropic.com", "b", offline=False).startswith(
        "https://platform.claude.com/"
    )


def test_what_a_mapped_group_returned_is_always_a_list() -> None:
    assert as_list(None) == []
    assert as_list({"uri": "x"}) == [{"uri": "x"}]
    assert as_list(iter([1, 2])) == [1, 2]


def test_hand_made_requests_reach_no_template_field_and_wire_the_task_that_makes_them() -> None:
    with DAG("d", schedule=None):

        @task
        def make() -> str:
            return "/tmp/requests.jsonl"

        made = make()
        submit = SubmitBatchOperator(task_id="s", pipeline="p", requests=made)
        assert submit.upstream_task_ids == {"make"}
        assert "requests" not in submit.template_fields
        write = WriteResultsOperator(
            task_id="w", pipeline="p", shard=submit.staged_shard, batch_id=submit.output
        )
        assert write.upstream_task_ids == {"s"}
    with pytest.raises(ConfigurationError, match="both given"):
        SubmitBatchOperator(task_id="s", pipeline="p", requests=[], shard={})


def test_more_shards_than_airflow_maps_are_refused_before_anything_is_approved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    check_map_length(3)
    with pytest.raises(ConfigurationError, match=r"4 shards.*at most 3.*max_map_length.*larger shards"):
        check_map_length(4)
