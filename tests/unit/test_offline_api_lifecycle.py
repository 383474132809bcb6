"""A batch from creation to deletion, as the SDK sees it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anthropic
import pytest

from tests.support.batch_requests import MODEL, item, items
from tests.support.offline_api_server import LocalApiServer
from tests.support.typed_answers import type_errors

END = 1000.0


def test_nothing_but_processing_moves_before_the_end(
    client: anthropic.Anthropic, server: LocalApiServer
) -> None:
    created = client.messages.batches.create(requests=[*items(3), item("bad", model="gpt-5")])
    server.advance_clock(END * 0.9)
    batch = client.messages.batches.retrieve(created.id)
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.to_dict() == {
        "processing": 4,
        "succeeded": 0,
        "errored": 0,
        "canceled": 0,
        "expired": 0,
    }
    assert (batch.results_url, batch.ended_at, batch.archived_at, batch.cancel_initiated_at) == (None,) * 4
    assert batch.expires_at - batch.created_at == timedelta(hours=24)
    assert batch.id.startswith("msgbatch_local_")

    server.advance_clock(END * 0.1)
    batch = client.messages.batches.retrieve(created.id)
    assert batch.processing_status == "ended"
    assert batch.request_counts.to_dict() == {
        "processing": 0,
        "succeeded": 3,
        "errored": 1,
        "canceled": 0,
        "expired": 0,
    }
    assert batch.results_url == f"{server.base_url}/v1/messages/batches/{batch.id}/results"
    assert batch.ended_at is not None
    assert abs(batch.ended_at - batch.created_at - timedelta(seconds=END)) < timedelta(milliseconds=1)


def test_results_are_shuffled_complete_and_belong_to_their_request(
    client: anthropic.Anthropic, server: LocalApiServer
) -> None:
    batch = client.messages.batches.create(requests=items(50))
    server.advance_clock(END)
    rows = list(client.messages.batches.results(batch.id))
    ids = [row.custom_id for row in rows]
    assert sorted(ids) == sorted(f"a-{index}" for index in range(50))
    assert ids != [f"a-{index}" for index in range(50)]
    assert [row.custom_id for row in client.messages.batches.results(batch.id)] == ids
    for row in rows:
        assert row.result.type == "succeeded"
        message = row.result.message
        assert message.content[0].type == "text"
        assert message.content[0].text == f"Text {row.custom_id[2:]}. Second."
        assert (message.stop_reason, message.model, message.role) == ("end_turn", MODEL, "assistant")
        assert message.id.startswith("msg_local_")
        assert message.usage.service_tier == "batch"
        assert message.usage.cache_creation is not None
        assert message.usage.cache_creation.ephemeral_1h_input_tokens == 0
        assert message.usage.cache_read_input_tokens == message.usage.cache_creation_input_tokens == 0
    assert len({row.result.message.id for row in rows if row.result.type == "succeeded"}) == 50


def test_cancel_keeps_what_was_processed(client: anthropic.Anthropic, server: LocalApiServer) -> None:
    batch = client.messages.batches.create(requests=items(10))
    server.advance_clock(END * 0.45)
    canceling = client.messages.batches.cancel(batch.id)
    assert canceling.processing_status == "canceling"
    assert canceling.cancel_initiated_at is not None
    assert canceling.request_counts.processing == 10
    again = client.messages.batches.cancel(batch.id)
    assert again.cancel_initiated_at == canceling.cancel_initiated_at
    server.advance_clock(END)
    ended = client.messages.batches.retrieve(batch.id)
    assert ended.request_counts.to_dict() == {
        "processing": 0,
        "succeeded": 4,
        "errored": 0,
        "canceled": 6,
        "expired": 0,
    }
    types = [row.result.type for row in client.messages.batches.results(batch.id)]
    assert (types.count("succeeded"), types.count("canceled")) == (4, 6)
    assert server.billing()["requests_billed"] == 4


def test_what_takes_longer_than_a_day_expires(
    tmp_path,
) -> None:  # type: ignore[no-untyped-def]
    with (
        LocalApiServer(tmp_path, seconds_per_batch=4 * 86400.0) as server,
        anthropic.Anthropic(api_key="k", base_url=server.base_url) as client,
    ):
        batch = client.messages.batches.create(requests=items(8))
        server.advance_clock(86400.0)
        ended = client.messages.batches.retrieve(batch.id)
        assert ended.processing_status == "ended"
        assert (ended.request_counts.succeeded, ended.request_counts.expired) == (2, 6)
        types = [row.result.type for row in client.messages.batches.results(batch.id)]
        assert types.count("expired") == 6


def test_results_are_gone_after_29_days(client: anthropic.Anthropic, server: LocalApiServer) -> None:
    batch = client.messages.batches.create(requests=items(1))
    server.advance_clock(29 * 86400.0 + 1)
    archived = client.messages.batches.retrieve(batch.id)
    assert archived.archived_at is not None
    assert archived.results_url is None
    assert archived.processing_status == "ended"
    with pytest.raises(anthropic.NotFoundError, match="archived"):
        client.get(f"/v1/messages/batches/{batch.id}/results", cast_to=object)


def test_delete(client: anthropic.Anthropic, server: LocalApiServer) -> None:
    batch = client.messages.batches.create(requests=items(2))
    with pytest.raises(anthropic.BadRequestError, match="has not ended"):
        client.messages.batches.delete(batch.id)
    server.advance_clock(END)
    deleted = client.messages.batches.delete(batch.id)
    assert deleted.to_dict() == {"id": batch.id, "type": "message_batch_deleted"}
    for call in (
        client.messages.batches.retrieve,
        client.messages.batches.cancel,
        client.messages.batches.delete,
    ):
        with pytest.raises(anthropic.NotFoundError):
            call(batch.id)
    assert list(client.messages.batches.list()) == []
    assert server.billing()["requests_billed"] == 2
    assert [path.name for path in (server.data_dir / "batches").iterdir()] == []


def test_list_pages_newest_first(client: anthropic.Anthropic) -> None:
    ids = [client.messages.batches.create(requests=items(1)).id for _ in range(7)][::-1]
    assert ids == sorted(ids, reverse=True)
    first = client.messages.batches.list(limit=3)
    assert [batch.id for batch in first.data] == ids[:3]
    assert (first.has_more, first.first_id, first.last_id) == (True, ids[0], ids[2])
    last = client.messages.batches.list(limit=3, after_id=ids[3])
    assert [batch.id for batch in last.data] == ids[4:]
    assert last.has_more is False
    before = client.messages.batches.list(limit=2, before_id=ids[3])
    assert [batch.id for batch in before.data] == ids[1:3]
    assert before.has_more is True
    newest = client.messages.batches.list(limit=5, before_id=ids[2])
    assert ([batch.id for batch in newest.data], newest.has_more) == (ids[:2], False)
    assert [batch.id for batch in client.messages.batches.list(limit=2)] == ids


def test_an_empty_list(client: anthropic.Anthropic) -> None:
    page = client.messages.batches.list()
    assert (page.data, page.has_more, page.first_id, page.last_id) == ([], False, None, None)


def test_the_body_is_kept_byte_for_byte(server: LocalApiServer) -> None:
    body = (
        b'{ "requests" : [{"custom_id":"x", "params":'
        + (
            '{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"{{ ds }} \\u4e2d 文"}]}'
        ).encode()
        + b"}]}\n"
    )
    batch = server.request("POST", "/v1/messages/batches", body)
    path = f"{server.base_url}/local/batches/{batch['id']}/requests"
    import urllib.request

    with urllib.request.urlopen(path) as response:
        assert response.read() == body


def test_the_meter_counts_ended_batches_only(client: anthropic.Anthropic, server: LocalApiServer) -> None:
    batch = client.messages.batches.create(requests=[*items(2), item("bad", stream=True)])
    before = server.billing()
    assert before["batches_accepted"] == 1
    assert before["requests_billed"] == before["input_tokens"] == before["output_tokens"] == 0
    row = before["by_batch"][batch.id]
    assert (row["requests"], row["succeeded"], row["errored"], row["input_tokens"]) == (3, 0, 0, 0)
    assert row["bill"]["cost_usd"] == before["bill"]["cost_usd"] == "0.000000000000"
    server.advance_clock(END)
    usages = [
        row.result.message.usage
        for row in client.messages.batches.results(batch.id)
        if row.result.type == "succeeded"
    ]
    meter = server.billing()
    assert meter["requests_billed"] == 2
    assert meter["by_batch"][batch.id]["errored"] == 1
    assert meter["input_tokens"] == sum(usage.input_tokens for usage in usages) > 0
    assert meter["output_tokens"] == sum(usage.output_tokens for usage in usages) > 0


def test_requests_are_counted_by_route(client: anthropic.Anthropic, server: LocalApiServer) -> None:
    batch = client.messages.batches.create(requests=items(1))
    client.messages.batches.retrieve(batch.id)
    client.messages.batches.retrieve(batch.id)
    client.messages.batches.list()
    server.get("/nowhere")
    assert server.request_counts() == {
        "POST /v1/messages/batches": 1,
        "GET /v1/messages/batches/{batch_id}": 2,
        "GET /v1/messages/batches": 1,
        "GET unknown": 1,
    }


def test_pages_say_that_no_model_was_called_and_escape(
    client: anthropic.Anthropic, server: LocalApiServer
) -> None:
    batch = client.messages.batches.create(requests=items(2))
    index, page = server.get("/"), server.get(f"/batches/{batch.id}")
    assert batch.id in index
    assert "in_progress" in page
    assert all("no model was called" in text for text in (index, page))
    missing = server.get("/batches/%3Cscript%3E")
    assert missing["error"]["type"] == "not_found_error"


def test_every_answer_is_of_the_sdks_types(client: anthropic.Anthropic, server: LocalApiServer) -> None:
    requests = [*items(3), item("bad", model="gpt-5")]
    batches = [client.messages.batches.create(requests=requests) for _ in range(4)]  # type: ignore[arg-type]
    answers: list[Any] = [*batches, client.messages.batches.cancel(batches[0].id)]
    answers += client.messages.batches.list().data
    server.faults({"endpoint": "create", "kind": "rows", "errored": 0.4, "expired": 0.2, "canceled": 0.2})
    batches.append(client.messages.batches.create(requests=items(20)))
    server.advance_clock(END)
    for batch in batches:
        answers.append(client.messages.batches.retrieve(batch.id))
        answers += client.messages.batches.results(batch.id)
    answers.append(client.messages.batches.delete(batches[1].id))
    server.advance_clock(30 * 86400)
    answers.append(client.messages.batches.retrieve(batches[0].id))
    assert [wrong for answer in answers for wrong in type_errors(answer, type(answer).__name__)] == []
    assert {answer.result.type for answer in answers if hasattr(answer, "result")} == {
        "succeeded",
        "errored",
        "canceled",
        "expired",
    }
