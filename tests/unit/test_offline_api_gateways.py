"""What gateways, proxies and later versions of the API do, switched on one by one."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import anthropic
import httpx2
import pytest

from offline_api.faults import KINDS, LINES, WHOLE_STREAM
from offline_api.faulty_lines import FIELDS
from offline_api.faulty_views import ODD_BATCHES, RESULTS_URLS
from tests.support.batch_requests import item, items
from tests.support.offline_api_server import PROJECT, LocalApiServer

ROUTE = "/v1/messages/batches"
HEADERS = {"x-api-key": "secret-key", "anthropic-version": "2023-06-01"}
END = 1000.0


def rule(endpoint: str, kind: str, **options: Any) -> dict[str, Any]:
    return {"endpoint": endpoint, "kind": kind, **options}


def ended(server: LocalApiServer, requests: list[dict[str, Any]] | None = None) -> str:
    batch = server.post(ROUTE, {"requests": requests or items(6)})
    server.advance_clock(END)
    return str(batch["id"])


def stream(server: LocalApiServer, batch_id: str) -> bytes:
    with httpx2.Client(headers=HEADERS) as client:
        return client.get(f"{server.base_url}{ROUTE}/{batch_id}/results").content


@pytest.mark.parametrize("form", sorted(RESULTS_URLS))
@pytest.mark.parametrize("endpoint", ["retrieve", "list"])
def test_results_url(server: LocalApiServer, endpoint: str, form: str) -> None:
    batch_id = ended(server)
    path = f"{ROUTE}/{batch_id}" if endpoint == "retrieve" else ROUTE
    usual = server.get(path)
    server.faults(rule(endpoint, "results_url", form=form, count=1))
    found = server.get(path)
    if endpoint == "list":
        (usual,), (found,) = usual["data"], found["data"]
    url = found["results_url"]
    assert url != usual["results_url"]
    assert {**found, "results_url": None} == {**usual, "results_url": None}
    assert url is None or url.endswith(f"{ROUTE}/{batch_id}/results")
    assert (url is not None and urlsplit(url).hostname == "127.0.0.1") == (form in ("other_port", "prefixed"))


@pytest.mark.parametrize("odd", sorted(ODD_BATCHES))
def test_one_odd_batch_in_the_list(server: LocalApiServer, odd: str) -> None:
    for _ in range(3):
        ended(server)
    usual = server.get(ROUTE)
    server.faults(rule("list", "odd_batch", odd=odd, place=1, count=1))
    found = server.get(ROUTE)
    assert [found["data"][place] for place in (0, 2)] == [usual["data"][place] for place in (0, 2)]
    assert found["data"][1] != usual["data"][1]
    assert found["last_id"] == usual["last_id"]


def test_lists_without_end_without_cursors_and_empty(server: LocalApiServer) -> None:
    ids = [ended(server) for _ in range(3)][::-1]
    server.faults(rule("list", "repeated_cursor", count=3))
    for _ in range(3):
        page = server.get(f"{ROUTE}?limit=3")
        assert (page["has_more"], page["last_id"]) == (True, ids[-1])
    server.faults(rule("list", "empty_list", count=1))
    assert server.get(ROUTE) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    server.faults(rule("list", "no_cursors", count=1))
    assert set(server.get(ROUTE)) == {"data"}
    server.faults(rule("list", "status", status=404, count=1), rule("list", "status", status=405, count=1))
    assert [server.get(ROUTE)["error"]["type"] for _ in range(2)] == [
        "not_found_error",
        "invalid_request_error",
    ]


def error_of(server: LocalApiServer, path: str = ROUTE) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(server.base_url + path, headers=HEADERS)
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as error:
        return error.code, error.headers, error.read()


@pytest.mark.parametrize(
    ("body", "kind"),
    [("html", "text/html"), ("text", "text/plain"), ("empty", "text/plain"), ("cut", "application/json")],
)
def test_errors_without_json(server: LocalApiServer, body: str, kind: str) -> None:
    server.faults(rule("list", "status", status=413, body=body, count=1))
    status, headers, content = error_of(server)
    assert (status, headers["content-type"].partition(";")[0]) == (413, kind)
    assert headers["x-offline-api"] == "message-batches"
    with pytest.raises(ValueError):
        json.loads(content)


@pytest.mark.parametrize(
    ("retry_after", "sent"),
    [
        (1209600, "1209600"),
        ("inf", "inf"),
        (-5, "-5"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"),
        (0.5, "0.5"),
        ("soon", "soon"),
    ],
)
def test_retry_after(server: LocalApiServer, retry_after: Any, sent: str) -> None:
    server.faults(rule("list", "status", status=429, retry_after=retry_after, count=1))
    assert error_of(server)[1]["retry-after"] == sent


def test_headers_come_back_in_an_error(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults(rule("create", "echo_headers", status=502, count=1))
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.batches.create(requests=items(1))
    assert "test-key" in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects(server: LocalApiServer, status: int) -> None:
    server.faults(rule("list", "redirect", status=status, count=2))
    with httpx2.Client(headers=HEADERS, follow_redirects=False) as client:
        response = client.get(f"{server.base_url}{ROUTE}?limit=2")
    assert response.status_code == status
    assert response.headers["location"] == f"http://localhost:{server.port}{ROUTE}?limit=2"
    server.request("DELETE", "/local/faults")
    server.faults(rule("create", "redirect", location="https://gateway.invalid/x", count=1))
    with httpx2.Client(headers=HEADERS, follow_redirects=False) as client:
        response = client.post(server.base_url + ROUTE, json={"requests": items(1)})
    assert (response.status_code, response.headers["location"]) == (307, "https://gateway.invalid/x")
    assert server.billing()["batches_accepted"] == 0


def test_a_wrong_date_and_another_identity(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults(
        rule("list", "wrong_date", shift_seconds=-86_400, count=1),
        rule("list", "identity", count=1),
        rule("list", "identity", workspace_id="wrkspc_else", organization_id="org_else", count=1),
    )
    first = client.messages.batches.with_raw_response.list().headers
    second = client.messages.batches.with_raw_response.list().headers
    apart = parsedate_to_datetime(second["date"]) - parsedate_to_datetime(first["date"])
    assert abs(apart.total_seconds() - 86_400) < 60
    assert "anthropic-workspace-id" not in first
    assert "anthropic-organization-id" not in first
    assert first["x-offline-api"] == "message-batches"
    assert (second["anthropic-workspace-id"], second["anthropic-organization-id"]) == (
        "wrkspc_else",
        "org_else",
    )


def test_the_clock_can_be_wrong(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    import time

    now = server.post("/local/clock", {"offset_seconds": -7200})["now"]
    assert abs(time.time() - 7200 - now) < 60
    batch = client.messages.batches.create(requests=items(1))
    assert abs(batch.created_at.timestamp() - now) < 60
    for body in (
        {},
        {"offset_seconds": 1, "advance_seconds": 1},
        {"advance_seconds": -1},
        {"offset_seconds": "x"},
        {"advance_seconds": 1e300},
    ):
        assert "error" in server.post("/local/clock", body)


def rows(server: LocalApiServer, batch_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream(server, batch_id).splitlines() if line]


def changed(server: LocalApiServer, kind: str, **options: Any) -> tuple[list[Any], list[Any]]:
    """Return the rows that a fault changed, before and after."""
    requests = [*items(20), item("bad", model="gpt")]
    batch_id = ended(server, requests)
    usual = rows(server, batch_id)
    server.faults(rule("results", kind, count=1, **options))
    found = rows(server, batch_id)
    assert rows(server, batch_id) == usual
    assert len(found) == len(usual)
    pairs = [(before, after) for before, after in zip(usual, found, strict=True) if before != after]
    return [before for before, _ in pairs], [after for _, after in pairs]


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("huge_numbers", lambda row: row["message"]["usage"]["input_tokens"] >= 2**63),
        ("negative_numbers", lambda row: row["message"]["usage"]["output_tokens"] < 0),
        ("text_numbers", lambda row: row["message"]["usage"]["output_tokens"] == "12"),
        ("unknown_fields", lambda row: "routing" in row["message"]),
        ("unknown_types", lambda row: row["type"] == "deferred"),
    ],
)
def test_odd_values(server: LocalApiServer, kind: str, check: Callable[[Any], bool]) -> None:
    _, found = changed(server, kind, rows=21, seed=2)
    assert sum(check(row["result"]) for row in found if "message" in row["result"]) == 20


def test_flat_errors(server: LocalApiServer) -> None:
    _, (row,) = changed(server, "flat_errors", rows=21)
    assert row["result"]["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("kind", ["null_fields", "missing_fields"])
@pytest.mark.parametrize("field", [None, *FIELDS, "result.message", "result", "custom_id"])
def test_null_and_missing_fields(server: LocalApiServer, kind: str, field: str | None) -> None:
    usual, found = changed(server, kind, field=field, rows=21)
    if field is None:
        assert len(found) >= 15, "all rows but those whose field was null already"
    elif kind == "null_fields" and field == "result.message.stop_details":
        assert not found, "it is null already"
    else:
        everywhere = field in ("result", "custom_id")
        assert len(found) == (21 if everywhere else 1 if "error" in field else 20)
    assert len(found) == len(usual)


def test_line_ends(server: LocalApiServer) -> None:
    batch_id = ended(server)
    usual = stream(server, batch_id)
    expected = {
        "no_last_line_feed": usual[:-1],
        "crlf": usual.replace(b"\n", b"\r\n"),
        "byte_order_mark": b"\xef\xbb\xbf" + usual,
    }
    assert set(expected) == set(WHOLE_STREAM)
    for kind, content in expected.items():
        server.faults(rule("results", kind, count=1))
        assert stream(server, batch_id) == content
    server.faults(rule("results", "crlf", count=1), rule("results", "no_last_line_feed", count=1))
    assert stream(server, batch_id) == usual.replace(b"\n", b"\r\n")[:-2]


def test_surrogates_and_endless_lines(server: LocalApiServer) -> None:
    batch_id = ended(server)
    server.faults(rule("results", "surrogates", rows=6, count=1))
    assert stream(server, batch_id).count(b"\\ud83d ") == 6
    server.faults(rule("results", "endless_line", megabytes=3, count=1))
    content = stream(server, batch_id)
    assert len(content) > 2_900_000
    assert max(map(len, content.split(b"\n"))) > 2_900_000


@pytest.mark.parametrize(
    ("answer", "reason", "types"),
    [
        ("refusal", "refusal", []),
        ("refusal_after_output", "refusal", ["text"]),
        ("context_window", "model_context_window_exceeded", ["text"]),
        ("pause_turn", "pause_turn", ["server_tool_use"]),
        ("tool_use", "tool_use", ["tool_use"]),
        ("empty", "end_turn", []),
        ("thinking_only", "max_tokens", ["thinking"]),
        ("redacted_thinking", "end_turn", ["redacted_thinking", "text"]),
        ("web_search", "end_turn", None),
    ],
)
def test_answers(
    server: LocalApiServer, client: anthropic.Anthropic, answer: str, reason: str, types: list[str] | None
) -> None:
    from tests.support.typed_answers import type_errors

    category = "bio" if "refusal" in answer else None
    server.faults(rule("create", "answers", answer=answer, category=category, share=0.5, count=1))
    batch_id = ended(server, items(10))
    found = list(client.messages.batches.results(batch_id))
    assert not [wrong for row in found for wrong in type_errors(row)]
    messages = [row.result.message for row in found if row.result.type == "succeeded"]
    changed = [
        message
        for message in messages
        if message.stop_reason != "end_turn" or [b.type for b in message.content] != ["text"]
    ]
    assert len(changed) == 5
    for message in changed:
        assert message.stop_reason == reason
        kinds = [block.type for block in message.content]
        if types is None:
            searches = message.usage.server_tool_use
            assert searches is not None
            assert kinds == ["server_tool_use", "web_search_tool_result"] * searches.web_search_requests + [
                "text"
            ]
        else:
            assert kinds == types
        details = message.stop_details
        assert (details.category if details else None) == category


def test_a_rows_rule_can_say_the_vendors_words(server: LocalApiServer) -> None:
    words = {"message": "This organization has been disabled.", "error_code": "organization_on_hold"}
    server.faults(rule("create", "rows", errored=1.0, error_type="permission_error", count=1, **words))
    for row in rows(server, ended(server)):
        error = row["result"]["error"]["error"]
        assert error == {
            "type": "permission_error",
            "message": words["message"],
            "details": {"error_code": words["error_code"]},
        }


@pytest.mark.parametrize("endpoint", ["models", "count_tokens"])
def test_gateways_without_models_or_counting(
    server: LocalApiServer, client: anthropic.Anthropic, endpoint: str
) -> None:
    server.faults(rule(endpoint, "status", status=404, body="html", count=1))
    with pytest.raises(anthropic.NotFoundError):
        if endpoint == "models":
            client.models.list()
        else:
            client.messages.count_tokens(
                model="claude-haiku-4-5", messages=[{"role": "user", "content": "A."}]
            )


def test_the_readme_shows_every_kind() -> None:
    text = (PROJECT / "include" / "offline_api" / "README.md").read_text()
    kinds = {kind for known in KINDS.values() for kind in known}
    assert set(LINES) <= kinds
    assert [kind for kind in sorted(kinds) if f"| `{kind}` |" not in text] == []


def test_the_readmes_examples_are_rules(server: LocalApiServer) -> None:
    text = (PROJECT / "include" / "offline_api" / "README.md").read_text()
    examples = re.findall(r'`({"endpoint": .*?})`', text)
    assert len(examples) > 40
    for example in examples:
        assert "rules" in server.request("POST", "/local/faults", example.encode()), example
