"""Every refusal has the documented status, type and envelope."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import anthropic
import pytest

from tests.support.batch_requests import item, items, params
from tests.support.offline_api_server import LocalApiServer

ROUTE = "/v1/messages/batches"
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}


def refused(
    server: LocalApiServer,
    method: str,
    path: str,
    data: bytes | None = None,
    headers: dict[str, str] = HEADERS,
) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(server.base_url + path, data=data, headers=headers, method=method)
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as error:
        body = json.loads(error.read())
        assert body["type"] == "error"
        assert body["request_id"] == error.headers["request-id"]
        assert error.headers["anthropic-ratelimit-requests-remaining"]
        return error.code, body["error"]


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "requests: List should have at least 1 item"),
        ([item("x" * 65)], "requests.0.custom_id: String should have at most 64 characters"),
        ([item("a"), item("b c")], "requests.1.custom_id: String should match pattern"),
        ([item("a"), item("文")], "requests.1.custom_id: String should match pattern"),
        ([item("a\n")], "requests.0.custom_id: String should match pattern"),
        ([item("")], "requests.0.custom_id: String should have at least 1 character"),
        ([item("a"), item("b"), item("a")], "requests.2.custom_id: custom_id must be unique"),
        ([{"params": params()}], "requests.0.custom_id: Field required"),
        ([{"custom_id": "a"}], "requests.0.params: Field required"),
        ([{"custom_id": 3, "params": params()}], "requests.0.custom_id: Input should be"),
        ([{"custom_id": "a", "params": "text"}], "requests.0.params: Input should be an object"),
        ([item("a"), item("b", model=None)], "requests.1.params.model: Field required"),
        ([item("a", max_tokens=None)], "requests.0.params.max_tokens: Field required"),
        ([item("a", messages=None)], "requests.0.params.messages: Field required"),
        ("text", "requests: Input should be"),
    ],
)
def test_bodies_refused_as_a_whole(server: LocalApiServer, requests: Any, message: str) -> None:
    body = json.dumps({"requests": requests}).encode()
    status, error = refused(server, "POST", ROUTE, body)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith(message)
    assert server.billing()["batches_accepted"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"requests": [{"custom_id": "a", "params": {"a": "\\ud800"}}]}',
    ],
)
def test_bodies_that_are_not_the_right_json(server: LocalApiServer, body: bytes) -> None:
    status, error = refused(server, "POST", ROUTE, body)
    assert (status, error["type"]) == (400, "invalid_request_error")


def test_more_than_100_000_requests(server: LocalApiServer) -> None:
    one = b'{"custom_id":"a-%d","params":{"model":"claude-x","max_tokens":1,"messages":[]}}'
    body = b'{"requests":[' + b",".join(one % index for index in range(100_001)) + b"]}"
    status, error = refused(server, "POST", ROUTE, body)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert "at most 100000 items" in error["message"]


def test_a_body_over_256_mb(server: LocalApiServer) -> None:
    """The vendor's edge refuses it: there is no JSON."""
    request = urllib.request.Request(server.base_url + ROUTE, data=b" " * 256_000_001, headers=HEADERS)
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as error:
        assert (error.code, error.headers["content-type"].partition(";")[0]) == (413, "text/plain")
        assert b"{" not in error.read()


@pytest.mark.parametrize(
    ("headers", "status", "type_"),
    [
        ({"anthropic-version": "2023-06-01"}, 401, "authentication_error"),
        ({"anthropic-version": "2023-06-01", "x-api-key": ""}, 401, "authentication_error"),
        ({"anthropic-version": "2023-06-01", "authorization": "Bearer "}, 401, "authentication_error"),
        ({"x-api-key": "k"}, 400, "invalid_request_error"),
        ({"authorization": "Bearer k"}, 400, "invalid_request_error"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_access(
    server: LocalApiServer, method: str, headers: dict[str, str], status: int, type_: str
) -> None:
    body = b"{}" if method == "POST" else None
    found, error = refused(server, method, ROUTE, body, headers)
    assert (found, error["type"]) == (status, type_)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ROUTE}/msgbatch_none"),
        ("POST", f"{ROUTE}/msgbatch_none/cancel"),
        ("DELETE", f"{ROUTE}/msgbatch_none"),
        ("GET", f"{ROUTE}/msgbatch_none/results"),
        ("GET", "/v1/messages/nothing/there"),
    ],
)
def test_unknown_ids_and_routes(server: LocalApiServer, method: str, path: str) -> None:
    status, error = refused(server, method, path)
    assert (status, error["type"]) == (404, "not_found_error")


def test_wrong_method(server: LocalApiServer) -> None:
    assert refused(server, "PUT", ROUTE)[0] == 405


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=",
        "limit=²",
        "after_id=no",
        "before_id=no",
        "after_id=a&before_id=b",
        "limit=9999999999999999",
    ],
)
def test_bad_list_queries(server: LocalApiServer, query: str) -> None:
    from urllib.parse import quote

    status, error = refused(server, "GET", f"{ROUTE}?{quote(query, safe='=&')}")
    assert (status, error["type"]) == (400, "invalid_request_error")


def test_the_largest_limit(server: LocalApiServer) -> None:
    assert server.get(f"{ROUTE}?limit=1000")["data"] == []


def test_too_early_and_too_late(client: anthropic.Anthropic, server: LocalApiServer) -> None:
    batch = client.messages.batches.create(requests=items(1))
    status, error = refused(server, "GET", f"{ROUTE}/{batch.id}/results")
    assert (status, error["type"]) == (400, "invalid_request_error")
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        client.messages.batches.results(batch.id)
    server.advance_clock(1000)
    with pytest.raises(anthropic.BadRequestError, match="has ended and cannot be canceled"):
        client.messages.batches.cancel(batch.id)


@pytest.mark.parametrize(
    ("changes", "type_", "message"),
    [
        ({"model": "gpt-5"}, "not_found_error", "model: gpt-5"),
        ({"model": 3}, "not_found_error", "model: 3"),
        ({"max_tokens": 0}, "invalid_request_error", "max_tokens: "),
        ({"max_tokens": "9"}, "invalid_request_error", "max_tokens: "),
        ({"max_tokens": True}, "invalid_request_error", "max_tokens: "),
        ({"stream": True}, "invalid_request_error", "stream: "),
        ({"speed": "fast"}, "invalid_request_error", "speed: "),
        ({"messages": []}, "invalid_request_error", "messages: "),
        ({"messages": ["x"]}, "invalid_request_error", "messages.0: "),
        ({"messages": [{"role": "user"}]}, "invalid_request_error", "messages.0.content: "),
        ({"messages": [{"role": "user", "content": "  "}]}, "invalid_request_error", "messages.0: "),
    ],
)
def test_requests_refused_one_by_one(
    client: anthropic.Anthropic, server: LocalApiServer, changes: dict[str, Any], type_: str, message: str
) -> None:
    batch = client.messages.batches.create(requests=[item("good"), item("bad", **changes)])  # type: ignore[list-item]
    server.advance_clock(1000)
    counts = client.messages.batches.retrieve(batch.id).request_counts
    assert (counts.succeeded, counts.errored) == (1, 1)
    rows = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
    bad = rows["bad"]
    assert bad.type == "errored"
    assert bad.error.type == "error"
    assert bad.error.error.type == type_
    assert bad.error.error.message.startswith(message)
    assert bad.error.request_id
    assert rows["good"].type == "succeeded"
