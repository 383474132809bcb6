"""Each fault does what its rule says, as often as its rule says, and nothing else."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections import Counter
from typing import Any

import anthropic
import httpx2
import pytest

from tests.support.batch_requests import item, items
from tests.support.offline_api_server import LocalApiServer

ROUTE = "/v1/messages/batches"
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
END = 1000.0


def rule(endpoint: str, kind: str, **options: Any) -> dict[str, Any]:
    return {"endpoint": endpoint, "kind": kind, **options}


def accepted(server: LocalApiServer) -> int:
    return int(server.billing()["batches_accepted"])


def ended_batch(server: LocalApiServer, count: int = 20) -> str:
    batch = server.post(ROUTE, {"requests": items(count)})
    server.advance_clock(END)
    return str(batch["id"])


def result_bytes(server: LocalApiServer, batch_id: str, **headers: str) -> bytes:
    with httpx2.Client(headers=HEADERS | headers) as client:
        return client.get(f"{server.base_url}{ROUTE}/{batch_id}/results").content


def result_ids(server: LocalApiServer, batch_id: str) -> Counter[str]:
    lines = result_bytes(server, batch_id).splitlines()
    return Counter(json.loads(line)["custom_id"] for line in lines if line)


def test_accept_then_drop(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults(rule("create", "accept_then_drop", count=1))
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.batches.create(requests=items(1))
    assert accepted(server) == 1
    client.messages.batches.create(requests=items(1))
    assert accepted(server) == 2


def test_the_sdk_makes_two_batches_of_a_dropped_reply(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    server.faults(rule("create", "accept_then_drop", count=1))
    client.with_options(max_retries=2).messages.batches.create(requests=items(1))
    assert accepted(server) == 2


def test_drop(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults(rule("create", "drop", count=1), rule("list", "drop", count=1))
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.batches.create(requests=items(1))
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.batches.list()
    assert accepted(server) == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("status", [500, 502])
def test_error_after_accept(server: LocalApiServer, client: anthropic.Anthropic, status: int) -> None:
    server.faults(rule("create", "error_after_accept", status=status, count=1))
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.batches.create(requests=items(1))
    assert caught.value.status_code == status
    assert accepted(server) == 1


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (400, "invalid_request_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"retry_after": 7, "error_code": "enforced_spend_limit_reached"}])
def test_status(
    server: LocalApiServer, client: anthropic.Anthropic, status: int, type_: str, options: dict[str, Any]
) -> None:
    server.faults(rule("create", "status", status=status, count=1, **options))
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.batches.create(requests=items(1))
    error = caught.value
    assert (error.status_code, error.type) == (status, type_)
    assert error.response.headers.get("retry-after") == ("7" if options else None)
    assert error.error_code == options.get("error_code")
    assert accepted(server) == 0


def test_rules_follow_each_other(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults(
        rule("list", "status", status=429, count=2),
        rule("list", "status", status=529, count=1),
        rule("retrieve", "not_found", count=1, skip=1),
    )
    seen = [server.get(ROUTE).get("error", {}).get("type") for _ in range(4)]
    assert seen == ["rate_limit_error", "rate_limit_error", "overloaded_error", None]
    batch = client.messages.batches.create(requests=items(1))
    assert client.messages.batches.retrieve(batch.id).id == batch.id
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)
    assert client.messages.batches.retrieve(batch.id).id == batch.id
    hits = [shown["hits"] for shown in server.get("/local/faults")["rules"]]
    assert hits == [2, 1, 1]


def test_probability_is_seeded(server: LocalApiServer) -> None:
    runs = []
    for seed in (1, 1, 2):
        server.request("DELETE", "/local/faults")
        server.faults(rule("list", "status", probability=0.5, seed=seed))
        runs.append(["error" in server.get(ROUTE) for _ in range(40)])
    assert runs[0] == runs[1] != runs[2]
    assert 10 < sum(runs[0]) < 30


@pytest.mark.parametrize("when", ["before", "after"])
def test_hang(server: LocalApiServer, client: anthropic.Anthropic, when: str) -> None:
    server.faults(rule("create", "hang", seconds=0.8, when=when, count=1))
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.3).messages.batches.create(requests=items(1))
    assert accepted(server) == (when == "after")
    time.sleep(0.8)
    assert accepted(server) == 1  # who stops waiting has not stopped the server


def test_a_hang_that_ends_without_accepting(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults(rule("create", "hang", seconds=0.5, count=1), rule("create", "drop", count=1))
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.batches.create(requests=items(1))
    time.sleep(0.6)
    assert accepted(server) == 0


def test_hanging_requests_do_not_block_others(server: LocalApiServer) -> None:
    server.faults(rule("list", "hang", seconds=20, count=60))
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    for connection in sockets:
        connection.sendall(f"GET {ROUTE} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    time.sleep(0.2)
    started = time.monotonic()
    assert server.get(ROUTE)["data"] == []
    assert time.monotonic() - started < 10  # half of what the others are held for
    for connection in sockets:
        connection.close()


@pytest.mark.parametrize("forget", [("POST", "/local/reset"), ("DELETE", "/local/faults")])
def test_a_request_that_still_hangs_uses_up_no_rule_that_came_since(
    server: LocalApiServer, forget: tuple[str, str]
) -> None:
    server.faults(rule("list", "hang", seconds=0.5, count=1))
    with httpx2.Client(headers=HEADERS, timeout=0.2) as client, pytest.raises(httpx2.ReadTimeout):
        client.get(server.base_url + ROUTE)
    server.request(*forget)
    server.faults(rule("list", "status", status=429, count=1))
    time.sleep(0.6)
    assert server.get("/local/faults")["rules"][0]["hits"] == 0
    assert "error" in server.get(ROUTE)


@pytest.mark.parametrize("endpoint", ["retrieve", "results", "cancel"])
def test_not_found_is_transient(server: LocalApiServer, endpoint: str) -> None:
    batch = server.post(ROUTE, {"requests": items(2)})
    method, path = {
        "retrieve": ("GET", f"{ROUTE}/{batch['id']}"),
        "results": ("GET", f"{ROUTE}/{batch['id']}/results"),
        "cancel": ("POST", f"{ROUTE}/{batch['id']}/cancel"),
    }[endpoint]
    if endpoint == "results":
        server.advance_clock(END)
    server.faults(rule(endpoint, "not_found", count=1))
    assert server.request(method, path)["error"]["type"] == "not_found_error"
    assert "not_found_error" not in str(server.request(method, path))


def test_cut_mid_line(server: LocalApiServer) -> None:
    batch_id = ended_batch(server)
    whole = result_bytes(server, batch_id)
    server.faults(rule("results", "cut_mid_line", at=0.25, count=1))
    received = b""
    with (
        httpx2.Client(headers=HEADERS) as client,
        pytest.raises(httpx2.RemoteProtocolError),
        client.stream("GET", f"{server.base_url}{ROUTE}/{batch_id}/results") as response,
    ):
        for chunk in response.iter_raw():
            received += chunk
    assert whole.startswith(received)
    assert received.count(b"\n") == 5
    assert not received.endswith(b"\n")
    assert result_bytes(server, batch_id) == whole
    assert "Traceback" not in server.log


@pytest.mark.parametrize("clean", [None, True])
def test_cut_at_line_is_silent(
    server: LocalApiServer, client: anthropic.Anthropic, clean: bool | None
) -> None:
    batch_id = ended_batch(server)
    server.faults(
        rule("results", "cut_at_line", at=0.7, count=1, **({} if clean is None else {"clean": clean}))
    )
    assert len(list(client.messages.batches.results(batch_id))) == 14
    assert len(list(client.messages.batches.results(batch_id))) == 20


def test_cut_at_line_that_breaks(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    batch_id = ended_batch(server)
    server.faults(rule("results", "cut_at_line", at=0.7, clean=False, count=1))
    with pytest.raises(httpx2.RemoteProtocolError):
        list(client.messages.batches.results(batch_id))


@pytest.mark.parametrize("clean", [True, False])
def test_cut_compressed(server: LocalApiServer, clean: bool) -> None:
    batch_id = ended_batch(server, 200)
    whole = result_bytes(server, batch_id)
    server.faults(rule("results", "cut_compressed", at=0.5, clean=clean, count=1))
    request = urllib.request.Request(
        f"{server.base_url}{ROUTE}/{batch_id}/results", headers={**HEADERS, "accept-encoding": "gzip"}
    )
    import http.client
    import zlib

    with urllib.request.urlopen(request) as response:
        assert response.headers["content-encoding"] == "gzip"
        try:
            packed = response.read()
        except http.client.IncompleteRead as error:
            assert not clean
            packed = error.partial
    decompressor = zlib.decompressobj(wbits=31)
    plain = decompressor.decompress(packed)
    assert not decompressor.eof
    assert whole.startswith(plain)
    assert 90 <= plain.count(b"\n") <= 100


@pytest.mark.parametrize("rows", [1, 3, 99])
def test_missing_repeated_and_foreign_ids(server: LocalApiServer, rows: int) -> None:
    batch_id = ended_batch(server)
    damaged = min(rows, 20)
    ids = {f"a-{index}" for index in range(20)}
    server.faults(rule("results", "missing_ids", rows=rows, count=1))
    found = result_ids(server, batch_id)
    assert len(found) == found.total() == 20 - damaged
    server.faults(rule("results", "repeated_ids", rows=rows, count=1))
    found = result_ids(server, batch_id)
    assert (set(found), found.total()) == (ids, 20 + damaged)
    server.faults(rule("results", "foreign_ids", rows=rows, count=1))
    found = result_ids(server, batch_id)
    assert len(set(found) - ids) == damaged
    assert found.total() == 20 + damaged
    assert set(result_ids(server, batch_id)) == ids


def test_malformed_and_blank_lines(server: LocalApiServer) -> None:
    batch_id = ended_batch(server)
    server.faults(
        rule("results", "malformed_lines", rows=2, count=1), rule("results", "blank_lines", rows=3, count=1)
    )
    lines = result_bytes(server, batch_id).splitlines()
    assert len(lines) == 23
    assert lines.count(b"") == 3
    broken = 0
    for line in filter(None, lines):
        try:
            json.loads(line)
        except ValueError:
            broken += 1
    assert broken == 2


@pytest.mark.parametrize(
    "error_type",
    [
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "rate_limit_error",
        "timeout_error",
        "api_error",
        "overloaded_error",
    ],
)
def test_rows(server: LocalApiServer, client: anthropic.Anthropic, error_type: str) -> None:
    shares = {"errored": 0.2, "expired": 0.1, "canceled": 0.05}
    server.faults(rule("create", "rows", error_type=error_type, count=1, seed=3, **shares))
    batch_id = ended_batch(server, 100)
    counts = client.messages.batches.retrieve(batch_id).request_counts.to_dict()
    assert counts == {"processing": 0, "succeeded": 65, "errored": 20, "expired": 10, "canceled": 5}
    rows = list(client.messages.batches.results(batch_id))
    assert Counter(row.result.type for row in rows) == {
        "succeeded": 65,
        "errored": 20,
        "expired": 10,
        "canceled": 5,
    }
    assert {row.result.error.error.type for row in rows if row.result.type == "errored"} == {error_type}
    billed = server.billing()["by_batch"][batch_id]
    assert (billed["succeeded"], billed["errored"]) == (65, 20)
    assert billed["output_tokens"] == sum(
        row.result.message.usage.output_tokens for row in rows if row.result.type == "succeeded"
    )


def test_rows_leave_what_is_errored_anyway(server: LocalApiServer) -> None:
    server.faults(rule("create", "rows", expired=1.0, count=1))
    batch = server.post(ROUTE, {"requests": [item("bad", model="gpt"), item("good")]})
    server.advance_clock(END)
    counts = server.get(f"{ROUTE}/{batch['id']}")["request_counts"]
    assert (counts["errored"], counts["expired"]) == (1, 1)


def test_slow_cancel(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    batch = client.messages.batches.create(requests=items(4))
    server.faults(rule("cancel", "slow_cancel", seconds=5000, count=1))
    client.messages.batches.cancel(batch.id)
    server.advance_clock(4900)
    assert client.messages.batches.retrieve(batch.id).processing_status == "canceling"
    server.advance_clock(101)
    assert client.messages.batches.retrieve(batch.id).processing_status == "ended"


def test_late_listing(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults(rule("create", "late_listing", seconds=60, count=1))
    late, soon = (client.messages.batches.create(requests=items(1)).id for _ in range(2))
    assert client.messages.batches.retrieve(late).id == late
    assert [batch.id for batch in client.messages.batches.list()] == [soon]
    server.advance_clock(61)
    assert [batch.id for batch in client.messages.batches.list()] == [soon, late]


def test_faults_are_shown_and_forgotten(server: LocalApiServer) -> None:
    server.faults(rule("list", "status", status=503))
    assert server.get("/local/faults") == {
        "rules": [{"endpoint": "list", "kind": "status", "status": 503, "hits": 0}]
    }
    assert server.get(ROUTE)["error"]["type"] == "api_error"
    assert server.request("DELETE", "/local/faults") == {"rules": []}
    assert server.get(ROUTE)["data"] == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (rule("nowhere", "status"), "Invalid enum value 'nowhere'"),
        (rule("list", "rows"), "list knows the kinds"),
        (rule("list", "status", sattus=3), "unknown field `sattus`"),
        (rule("list", "status", probability=2), "shares from 0 to 1"),
        (rule("create", "rows", errored=0.7, expired=0.7), "shares from 0 to 1"),
        (rule("create", "rows", errored=0.7, error_type="x"), "error_type is one of"),
        (rule("list", "status", count=-1), "not negative"),
        (rule("list", "status", status=200), "status is from"),
    ],
)
def test_bad_rules_are_refused_as_a_whole(server: LocalApiServer, bad: dict[str, Any], message: str) -> None:
    answer = server.post("/local/faults", [rule("list", "status"), bad])
    assert message in answer["error"]["message"]
    assert server.get("/local/faults") == {"rules": []}
