"""Waiting where the world is odd: rotated keys, a gateway without a list, neighbours that cannot be read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TriggerEvent
from upath import UPath

from message_batches import MessageBatchSensor, MessageBatchTrigger
from message_batches.shared_looks import SharedConnection, look_at_list, look_up
from nightpress.batches.ledger import Ledger
from tests.support.ledgers import entry, put
from tests.support.raw_api_server import RawApiServer, Received, Reply, batch, error

OFFLINE = {"x-offline-api": "message-batches"}
LIST = "/v1/messages/batches?limit=1000"


def set_key(monkeypatch: pytest.MonkeyPatch, server: RawApiServer, key: str) -> None:
    extra = {"anthropic_client_kwargs": {"max_retries": 0}}
    value = {"conn_type": "anthropic", "password": key, "host": server.url, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ANTHROPIC_DEFAULT", json.dumps(value))


def sent_key(request: Received) -> str:
    return request.headers.get("x-api-key") or request.headers["authorization"].removeprefix("Bearer ")


def wait_for(*batch_ids: str, seconds: float = 100.0) -> TriggerEvent:
    """Run a trigger to its event."""
    trigger = MessageBatchTrigger(
        batch_ids=list(batch_ids),
        conn_id="anthropic_default",
        deadline=time.time() + seconds,
        poll_seconds=0.02,
    )
    trigger._started -= 60

    async def run() -> TriggerEvent:
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(asyncio.wait_for(run(), 120))


def serve(answer: Callable[[Received], Reply]) -> RawApiServer:
    def offline(request: Received) -> Reply:
        reply = answer(request)
        return Reply(reply.content, reply.status, {**OFFLINE, **reply.headers})

    return RawApiServer(offline)


def test_a_key_that_was_rotated_while_tasks_wait_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Received) -> Reply:
        if sent_key(request) == "new-key":
            return Reply({"data": [batch()], "has_more": False})
        # The key is revoked, and the connection is given a new one.
        set_key(monkeypatch, server, "new-key")
        return Reply(error("authentication_error", "invalid x-api-key"), 401)

    with serve(answer) as server:
        set_key(monkeypatch, server, "old-key")
        event = wait_for("msgbatch_1")
        assert event.payload["status"] == "ended"
        assert [sent_key(request) for request in server.received] == ["old-key", "new-key"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_stays_refused_ends_the_wait_after_a_few_looks(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with serve(lambda request: Reply(error("authentication_error", "no"), status)) as server:
        set_key(monkeypatch, server, "old-key")
        event = wait_for("msgbatch_1")
        assert event.payload["status"] == "refused"
        assert "still bills" in event.payload["message"]
        assert len(server.received) == 3


@pytest.mark.parametrize(
    "no_list",
    [
        Reply(error("not_found_error", "no list here"), 404),
        Reply(b"Method Not Allowed", 405),
        Reply(error("api_error", "not implemented"), 501),
        Reply(error("api_error", "always"), 500),
        Reply(b"<html>"),
        Reply({"data": "none"}),
    ],
)
def test_what_a_list_does_not_tell_is_asked_one_by_one(
    monkeypatch: pytest.MonkeyPatch, no_list: Reply
) -> None:
    def answer(request: Received) -> Reply:
        if request.path == LIST:
            return no_list
        return Reply(batch(int(request.path[-1])))

    with serve(answer) as server:
        set_key(monkeypatch, server, "test-key")
        event = wait_for("msgbatch_1", "msgbatch_2")
        assert event.payload["status"] == "ended"
        assert {"/v1/messages/batches/msgbatch_1", "/v1/messages/batches/msgbatch_2"} <= {
            request.path for request in server.received
        }


def test_an_api_that_is_busy_is_not_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda request: Reply(error("overloaded_error", "busy"), 529)) as server:
        set_key(monkeypatch, server, "test-key")
        assert wait_for("msgbatch_1", seconds=0.5).payload["status"] == "deadline"
        assert {request.path for request in server.received} == {LIST}


@pytest.mark.parametrize("odd", [{}, None, 7, {"id": "../x"}, batch(id="a/b"), batch(3, created_at="soon")])
def test_an_odd_neighbour_in_the_list_holds_nobody_back(monkeypatch: pytest.MonkeyPatch, odd: Any) -> None:
    with serve(lambda request: Reply({"data": [odd, batch(1)], "has_more": False})) as server:
        set_key(monkeypatch, server, "test-key")
        assert wait_for("msgbatch_1").payload["status"] == "ended"


def test_one_batch_that_cannot_be_looked_up_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Received) -> Reply:
        if request.path == LIST:
            return Reply({"data": [], "has_more": False})
        if request.path.endswith("1"):
            return Reply(batch(1))
        return Reply(error("api_error", "broken"), 500) if request.path.endswith("2") else Reply(error(), 404)

    async def run() -> None:
        connection = SharedConnection("anthropic_default")
        look, _ = await look_at_list(connection)
        found = await look_up(look, ["msgbatch_1", "msgbatch_2", "msgbatch_3"], connection)
        assert found.error is None
        assert list(found.batches) == ["msgbatch_1"]
        assert list(found.absent) == ["msgbatch_3"]
        failed = await look_up(look, ["msgbatch_2"], connection)
        assert failed.error is not None
        odd = await look_up(look, ["../../x"], connection)
        assert odd.error is not None
        assert "invalid batch id" in odd.error
        await connection.drop()

    with serve(answer) as server:
        set_key(monkeypatch, server, "test-key")
        asyncio.run(run())


def test_the_look_up_that_is_refused_drops_the_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Received) -> Reply:
        if sent_key(request) == "new-key":
            return Reply(error(), 404) if request.path == LIST else Reply(batch(1))
        if request.path == LIST:
            return Reply(error(), 404)
        set_key(monkeypatch, server, "new-key")
        return Reply(error("authentication_error", "no"), 401)

    with serve(answer) as server:
        set_key(monkeypatch, server, "old-key")
        assert wait_for("msgbatch_1").payload["status"] == "ended"


def test_killing_the_wait_tries_every_batch_and_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Received) -> Reply:
        if "msgbatch_1" in request.path:
            return Reply(error("api_error", "broken"), 500)
        return Reply(batch(2, processing_status="canceling"))

    trigger = MessageBatchTrigger(
        batch_ids=["msgbatch_1", "../x", "msgbatch_2"],
        conn_id="anthropic_default",
        deadline=0.0,
        cancel_on_kill=True,
    )
    with serve(answer) as server:
        set_key(monkeypatch, server, "test-key")
        asyncio.run(trigger.on_kill())
        assert [request.path for request in server.received] == [
            "/v1/messages/batches/msgbatch_1/cancel",
            "/v1/messages/batches/msgbatch_2/cancel",
        ]
    asyncio.run(trigger.on_kill())
    monkeypatch.setenv("AIRFLOW_CONN_ANTHROPIC_DEFAULT", "{")
    asyncio.run(trigger.on_kill())


def test_a_key_that_a_proxy_echoes_is_in_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Received) -> Reply:
        return Reply(error("authentication_error", f"you sent {sent_key(request)}"), 401)

    with serve(answer) as server:
        set_key(monkeypatch, server, "sk-ant-SECRET")
        event = wait_for("msgbatch_1")
        assert "SECRET" not in json.dumps(event.payload)
        assert "[key removed]" in event.payload["message"]


def test_a_real_gateway_on_this_machine_is_looked_at_no_more_often_than_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = batch(1, processing_status="in_progress")
    with RawApiServer(lambda request: Reply({"data": [running], "has_more": False})) as server:
        set_key(monkeypatch, server, "test-key")
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(_run_for_ever(), 3.0))
        # None at all, if this machine is too busy to import the SDK in time; at the asked pace there were a hundred.
        assert len(server.received) <= 1


async def _run_for_ever() -> None:
    trigger = MessageBatchTrigger(
        batch_ids=["msgbatch_1"], conn_id="anthropic_default", deadline=time.time() + 60, poll_seconds=0.02
    )
    async for _ in trigger.run():
        return


@pytest.mark.parametrize(
    "known", ["results stored", "results gone", "not collected", "another batch", "no root"]
)
def test_a_batch_deleted_after_it_was_collected_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: str
) -> None:
    """A cleared run, or another run of the day, would else fail, although all it needs is stored."""
    raw = "runs/summaries/2026-11-22/night/raw-00000.jsonl.zst"
    state = "submitted" if known == "not collected" else "collected"
    collected = entry(1, state, raw=None if state == "submitted" else raw)
    if known == "another batch":
        collected = msgspec.structs.replace(collected, batch_id="msgbatch_2")
    put(UPath(tmp_path), collected)
    Ledger(UPath(tmp_path) / "ledger", "offline").take_batch("msgbatch_1", collected.key)
    if known != "results gone":
        (tmp_path / raw).parent.mkdir(parents=True)
        (tmp_path / raw).write_bytes(b"stored")
    monkeypatch.setenv("NIGHTPRESS_ROOT", "" if known == "no root" else str(tmp_path))
    with serve(lambda _: Reply(error("not_found_error", "no such batch"), 404)) as server:
        set_key(monkeypatch, server, "test-key")
        waiting = MessageBatchSensor(task_id="wait", batch_id="msgbatch_1")
        if known == "results stored":
            assert waiting.execute({}) == "msgbatch_1"  # type: ignore[typeddict-item]
            return
        with pytest.raises(TaskDeferred):
            waiting.execute({})  # type: ignore[typeddict-item]
