"""Credit, limits, holds, and the workspaces of several keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest

from offline_api.account_blocks import BLOCKS, CREDIT_TOO_LOW, SPEND_LIMIT_REACHED
from tests.support.batch_requests import item, items
from tests.support.offline_api_server import LocalApiServer

END = 1000.0


def results(client: anthropic.Anthropic, batch_id: str) -> list[Any]:
    return [row.result for row in client.messages.batches.results(batch_id)]


def cost_of(server: LocalApiServer) -> Decimal:
    return Decimal(server.billing()["bill"]["cost_usd"])


@pytest.mark.parametrize(
    ("limit", "words"), [("credit_usd", CREDIT_TOO_LOW), ("spend_limit_usd", SPEND_LIMIT_REACHED)]
)
def test_money_ends_in_the_middle_of_a_batch(
    server: LocalApiServer, client: anthropic.Anthropic, limit: str, words: str
) -> None:
    client.messages.batches.create(requests=items(10))
    server.advance_clock(END)
    each = cost_of(server) / 10
    server.post("/local/account", {limit: str(each * 6)})
    batch = client.messages.batches.create(requests=items(10))
    server.advance_clock(END)
    found = results(client, batch.id)
    assert 5 <= Counter(result.type for result in found)["succeeded"] <= 7
    errors = [result.error.error for result in found if result.type == "errored"]
    assert {(error.type, error.message) for error in errors} == {("invalid_request_error", words)}
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.batches.create(requests=items(1))
    assert (caught.value.type, caught.value.error_code, caught.value.api_message) == (
        "invalid_request_error",
        None,
        words,
    )


def test_topping_up_lets_the_next_batch_go_through(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    server.post("/local/account", {"credit_usd": "0.0000001"})
    batch = client.messages.batches.create(requests=items(3))
    server.advance_clock(END)
    assert Counter(result.type for result in results(client, batch.id)) == {"succeeded": 1, "errored": 2}
    left = server.post("/local/account", {"add_credit_usd": "1"})["credit_left_usd"]
    assert Decimal("0.99") < Decimal(left) < 1
    batch = client.messages.batches.create(requests=items(3))
    server.advance_clock(END)
    assert Counter(result.type for result in results(client, batch.id)) == {"succeeded": 3}
    server.post("/local/account", {"credit_usd": None})
    assert server.get("/local/account")["credit_left_usd"] is None


def test_canceling_gives_credit_back(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.post("/local/account", {"credit_usd": "1"})
    batch = client.messages.batches.create(requests=items(10))
    before = Decimal(server.get("/local/account")["credit_left_usd"])
    client.messages.batches.cancel(batch.id)
    assert Decimal(server.get("/local/account")["credit_left_usd"]) > before


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_blocks(server: LocalApiServer, client: anthropic.Anthropic, name: str) -> None:
    server.post("/local/account", {"block": name})
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.batches.create(requests=items(1))
    block, error = BLOCKS[name], caught.value
    assert (error.status_code, error.error_code, error.api_message) == (
        block.status,
        block.error_code,
        block.message,
    )
    assert error.response.headers.get("retry-after") == block.retry_after
    if block.everywhere:
        with pytest.raises(anthropic.APIStatusError):
            client.messages.batches.list()
    else:
        assert client.messages.batches.list().data == []
    server.post("/local/account", {"block": None})
    client.messages.batches.create(requests=items(1))


def test_codes_are_those_of_the_sdk() -> None:
    from typing import get_args

    from anthropic.types.shared.error_details import ErrorDetails

    known = {
        get_args(kind.model_fields["error_code"].annotation)[0]
        for kind in get_args(get_args(ErrorDetails)[0])
    }
    assert {block.error_code for block in BLOCKS.values()} - {None} <= known


@pytest.fixture
def other(server: LocalApiServer) -> Iterator[anthropic.Anthropic]:
    server.post("/local/account", {"keys": {"key-b": ["wrkspc_b"], "key-both": ["wrkspc_local", "wrkspc_b"]}})
    with anthropic.Anthropic(api_key="key-b", base_url=server.base_url, max_retries=0) as client:
        yield client


def test_each_workspace_sees_its_own(
    server: LocalApiServer, client: anthropic.Anthropic, other: anthropic.Anthropic
) -> None:
    mine = client.messages.batches.create(requests=items(1))
    raw = other.messages.batches.with_raw_response.create(requests=items(1))
    assert raw.headers["anthropic-workspace-id"] == "wrkspc_b"
    theirs = raw.parse()
    assert [batch.id for batch in client.messages.batches.list()] == [mine.id]
    assert [batch.id for batch in other.messages.batches.list()] == [theirs.id]
    server.advance_clock(END)
    for call in ("retrieve", "cancel", "delete"):
        with pytest.raises(anthropic.NotFoundError):
            getattr(other.messages.batches, call)(mine.id)
    with pytest.raises(anthropic.NotFoundError):
        other.get(f"/v1/messages/batches/{mine.id}/results", cast_to=object)
    with pytest.raises(anthropic.BadRequestError):
        other.messages.batches.list(after_id=mine.id)
    assert set(server.billing()["by_workspace"]) == {"wrkspc_local", "wrkspc_b"}


def test_a_key_of_several_workspaces_says_which(server: LocalApiServer, other: anthropic.Anthropic) -> None:
    both = other.with_options(api_key="key-both")
    with pytest.raises(anthropic.BadRequestError, match="anthropic-workspace-id"):
        both.messages.batches.list()
    batch = both.messages.batches.create(requests=items(1), workspace_id="wrkspc_b")
    assert other.messages.batches.retrieve(batch.id).id == batch.id
    with pytest.raises(anthropic.PermissionDeniedError):
        other.messages.batches.list(workspace_id="wrkspc_local")


def test_a_block_of_one_workspace(
    server: LocalApiServer, client: anthropic.Anthropic, other: anthropic.Anthropic
) -> None:
    server.post("/local/account", {"workspace_id": "wrkspc_b", "block": "workspace_human_review_disabled"})
    client.messages.batches.create(requests=items(1))
    with pytest.raises(anthropic.BadRequestError) as caught:
        other.messages.batches.create(requests=items(1))
    assert caught.value.error_code == "workspace_human_review_disabled"


def test_geography_of_a_workspace(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    requests = [
        item("old"),
        item("new", model="claude-haiku-5-5"),
        item("own", model="claude-haiku-5-5", inference_geo="global"),
    ]
    server.post("/local/account", {"inference_geo": "us"})
    batch = client.messages.batches.create(requests=requests)  # type: ignore[arg-type]
    server.advance_clock(END)
    rows = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
    places = {name: result.message.usage.inference_geo for name, result in rows.items()}  # type: ignore[union-attr]
    assert places == {"old": None, "new": "us", "own": "global"}


def test_queue_and_rate_limits(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.post("/local/account", {"queue_limit": 5, "requests_per_minute": 6})
    client.messages.batches.create(requests=items(3))
    with pytest.raises(anthropic.RateLimitError, match="processing queue"):
        client.messages.batches.create(requests=items(3))
    client.messages.batches.create(requests=items(2))
    server.advance_clock(END)
    client.messages.batches.create(requests=items(5))
    with pytest.raises(anthropic.RateLimitError, match="6 requests per minute") as caught:
        for _ in range(7):
            client.messages.batches.list()
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
    server.advance_clock(60)
    client.messages.batches.list()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "account: "),
        (b"[]", "account: "),
        (b'{"blok": null}', "unknown field `blok`"),
        (b'{"block": "odd"}', "block is null or one of credit"),
        (b'{"credit_usd": "much"}', "account: "),
        (b'{"credit_usd": -1}', "from 0 to a billion"),
        (b'{"credit_usd": "NaN"}', "from 0 to a billion"),
        (b'{"add_credit_usd": 1}', "has no limit"),
        (b'{"keys": {"k": []}}', "at least"),
        (b'{"queue_limit": -1}', "not negative"),
        (b'{"inference_geo": "moon"}', "account: "),
        (b" " * 1_000_001, "at most 1000000 bytes"),
    ],
)
def test_odd_changes_are_refused(server: LocalApiServer, body: bytes, words: str) -> None:
    before = server.get("/local/account")
    assert words in server.request("POST", "/local/account", body)["error"]["message"]
    assert server.get("/local/account") == before


def test_the_account_survives_a_restart(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path) as server:
        server.post(
            "/local/account", {"keys": {"key-b": ["wrkspc_b"]}, "credit_usd": "2", "block": "payment"}
        )
        before = server.get("/local/account")
        server.kill()
        server.restart()
        assert server.get("/local/account") == before
        assert "key-b" not in (tmp_path / "batches.sqlite").read_bytes().decode("latin-1")
