"""The models as the vendor's table has them: what each refuses, how it thinks, and how it shows itself."""

from __future__ import annotations

import json
import urllib.request
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from offline_api.model_catalog import MODELS, THINKING_TYPES
from offline_api.parameter_checks import LONG_OUTPUT_BETA
from tests.support.batch_requests import item, items
from tests.support.offline_api_server import LocalApiServer
from tests.support.typed_answers import type_errors

END = 1000.0
HAIKU, HAIKU_5_5 = "claude-haiku-4-5", "claude-haiku-5-5"
SONNET_4_6, SONNET_5, SONNET_5_5 = "claude-sonnet-4-6", "claude-sonnet-5", "claude-sonnet-5-5"
OPUS_4_5, OPUS_4_6, OPUS_4_8 = "claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-8"
OPUS_5, OPUS_5_5, FABLE = "claude-opus-5", "claude-opus-5-5", "claude-fable-5-1"
ALL = [model for model in MODELS if not model[-1:].isdigit() or len(model.rpartition("-")[2]) < 8]
TEXT = "<article>" + "A sentence of this article. " * 3 + "</article>"


def run(
    server: LocalApiServer, client: anthropic.Anthropic, requests: list[dict[str, Any]], **options: Any
) -> dict[str, Any]:
    """Return the results of a batch by custom_id, all of them checked against the SDK's types."""
    batch = client.messages.batches.create(requests=requests, **options)  # type: ignore[arg-type]
    server.advance_clock(END)
    rows = list(client.messages.batches.results(batch.id))
    assert not [wrong for row in rows for wrong in type_errors(row, row.custom_id)]
    return {row.custom_id: row.result for row in rows}


def test_every_response_says_that_it_is_offline(server: LocalApiServer) -> None:
    server.advance_clock(3600)
    now = server.post("/local/clock", {"advance_seconds": 0})["now"]
    for path in ("/", "/local/billing", "/v1/models", "/v1/messages/batches", "/nowhere", "/local/faults"):
        request = urllib.request.Request(
            server.base_url + path, headers={"x-api-key": "k", "anthropic-version": "2023-06-01"}
        )
        try:
            response = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            response = error  # type: ignore[assignment]
        with response:
            headers = response.headers
        assert headers["x-offline-api"] == "message-batches"
        assert headers["anthropic-organization-id"] == "org_local"
        assert headers["anthropic-workspace-id"] == "wrkspc_local"
        assert headers["request-id"].startswith("req_local_")
        assert len(headers.get_all("date")) == 1
        assert abs(parsedate_to_datetime(headers["date"]).timestamp() - now) < 60, "the server's own clock"


def test_models_are_what_the_sdk_knows(client: anthropic.Anthropic) -> None:
    listed = list(client.models.list(limit=3))
    assert [model.id for model in listed] == list(MODELS)
    for model in listed:
        assert not list(type_errors(model, model.id))
        assert not list(type_errors(client.models.retrieve(model.id)))
    assert listed[0].id == HAIKU_5_5
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-new-9")


def test_a_model_is_deprecated_and_retired_by_the_servers_clock(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    model = client.models.retrieve(OPUS_4_5)
    assert (model.lifecycle, model.max_input_tokens, model.max_tokens) == ("deprecated", 200_000, 64_000)
    assert model.retires_at is not None
    server.advance_clock(300 * 86400)
    assert client.models.retrieve(OPUS_4_5).lifecycle == "retired"
    assert OPUS_4_5 not in [model.id for model in client.models.list(limit=100)]
    assert OPUS_4_5 in [model.id for model in client.models.list(limit=100, lifecycle=["retired"])]
    result = run(server, client, [item(model=OPUS_4_5)])["a-0"]
    assert (result.error.error.type, result.error.error.message) == ("not_found_error", f"model: {OPUS_4_5}")


@pytest.mark.parametrize("model", ALL)
def test_count_tokens_is_what_is_billed(
    server: LocalApiServer, client: anthropic.Anthropic, model: str
) -> None:
    messages: Any = [{"role": "user", "content": TEXT * 20}]
    counted = client.messages.count_tokens(model=model, messages=messages, system="Be brief.")
    assert not list(type_errors(counted))
    result = run(server, client, [item(model=model, messages=messages, system="Be brief.")])["a-0"]
    assert result.message.usage.input_tokens == counted.input_tokens


def test_the_new_tokenizer_takes_about_a_third_more(client: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "x" * 34_000}]
    counts = [
        client.messages.count_tokens(model=model, messages=messages).input_tokens
        for model in (HAIKU, SONNET_5)
    ]
    assert counts == [10_000, 13_600]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": "claude-haiku-4-5"}', b'{"messages": []}'])
def test_count_tokens_refuses_what_is_no_request(server: LocalApiServer, body: bytes) -> None:
    answer = server.request("POST", "/v1/messages/count_tokens", body)
    assert answer["error"]["type"] == "invalid_request_error"


THINKING = {"type": "enabled", "budget_tokens": 1024}
OFF, ADAPTIVE, BETWEEN = {"type": "disabled"}, {"type": "adaptive"}, {"type": "between_tools"}
TOOL = {"name": "t", "input_schema": {"type": "object"}}
FORCED = {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "t"}}
FORMAT = {
    "type": "json_schema",
    "schema": {"type": "object", "additionalProperties": False, "properties": {}},
}
CITED = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "A."},
    "citations": {"enabled": True},
}
PREFILL = [{"role": "user", "content": "One. Two."}, {"role": "assistant", "content": "O"}]


def effort(level: str) -> dict[str, Any]:
    return {"output_config": {"effort": level}}


def test_allowed_and_refused(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    """Each row of the vendor's table: the models that take a parameter, and those that answer 400."""
    table: list[tuple[dict[str, Any], list[str], list[str]]] = [
        (
            {"thinking": THINKING, "max_tokens": 2000},
            [HAIKU, SONNET_4_6, OPUS_4_5, OPUS_4_6],
            [HAIKU_5_5, SONNET_5, SONNET_5_5, OPUS_4_8, OPUS_5, OPUS_5_5, FABLE],
        ),
        (
            {"thinking": OFF},
            [HAIKU, HAIKU_5_5, SONNET_4_6, SONNET_5, OPUS_4_5, OPUS_4_6, OPUS_4_8, OPUS_5],
            [SONNET_5_5, OPUS_5_5, FABLE],
        ),
        (
            {"thinking": ADAPTIVE},
            [HAIKU_5_5, SONNET_4_6, SONNET_5, SONNET_5_5, OPUS_4_6, OPUS_4_8, OPUS_5, OPUS_5_5, FABLE],
            [HAIKU, OPUS_4_5],
        ),
        ({"thinking": BETWEEN}, [SONNET_5_5], [model for model in ALL if model != SONNET_5_5]),
        ({"thinking": {**BETWEEN, "display": "omitted"}}, [], [SONNET_5_5]),
        (
            effort("low"),
            [model for model in ALL if model not in (HAIKU, "claude-sonnet-4-5")],
            [HAIKU, "claude-sonnet-4-5"],
        ),
        (
            effort("xhigh"),
            [HAIKU_5_5, SONNET_5, SONNET_5_5, OPUS_4_8, OPUS_5, OPUS_5_5, FABLE],
            [HAIKU, SONNET_4_6, OPUS_4_5, OPUS_4_6],
        ),
        (effort("max"), [SONNET_4_6, OPUS_4_6, FABLE], [HAIKU, OPUS_4_5]),
        (effort("much"), [], ALL),
        ({"thinking": OFF, **effort("max")}, [SONNET_5], [HAIKU_5_5, OPUS_5]),
        ({"thinking": BETWEEN, **effort("xhigh")}, [], [SONNET_5_5]),
        ({"thinking": BETWEEN, **effort("high")}, [SONNET_5_5], []),
        (
            FORCED,
            [HAIKU, HAIKU_5_5, SONNET_4_6, SONNET_5, OPUS_4_5, OPUS_4_6, OPUS_4_8, OPUS_5],
            [SONNET_5_5, OPUS_5_5, FABLE],
        ),
        ({**FORCED, "thinking": THINKING, "max_tokens": 2000}, [], [HAIKU]),
        ({"temperature": 0.2}, [HAIKU, SONNET_4_6, OPUS_4_6], [HAIKU_5_5, SONNET_5, OPUS_4_8, OPUS_5_5]),
        ({"temperature": 1.0}, ALL, []),
        ({"top_k": 5}, [HAIKU], [SONNET_5]),
        ({"temperature": 0.5, "top_p": 0.5}, [], [HAIKU, SONNET_4_6]),
        ({"messages": PREFILL}, [HAIKU, OPUS_4_5], [SONNET_4_6, OPUS_4_6, HAIKU_5_5, FABLE]),
        ({"output_config": {"format": FORMAT}}, ALL, []),
        (
            {"output_config": {"format": FORMAT}, "messages": [{"role": "user", "content": [CITED]}]},
            [],
            [HAIKU, OPUS_5],
        ),
        ({"messages": [{"role": "user", "content": [CITED]}]}, ALL, []),
        ({"inference_geo": "us"}, [SONNET_4_6, HAIKU_5_5, FABLE], [HAIKU, OPUS_4_5]),
        ({"inference_geo": "moon"}, [], ALL),
        ({"max_tokens": 64_001}, [SONNET_4_6, HAIKU_5_5], [HAIKU, OPUS_4_5]),
        ({"max_tokens": 128_001}, [], ALL),
        ({"thinking": {"type": "sometimes"}}, [], ALL),
        ({"thinking": {"type": "enabled"}}, [], [HAIKU]),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, [], [HAIKU]),
        ({"thinking": {"type": "enabled", "budget_tokens": 9000}, "max_tokens": 9000}, [], [HAIKU]),
        ({"fallbacks": [{"model": HAIKU}]}, [], ALL),
        ({"speed": "fast"}, [], ALL),
        ({"stop_sequences": ["END"]}, ALL, []),
        ({"stop_sequences": "END"}, [], ALL),
        ({"something": 1}, [], ALL),
        ({"metadata": {"user_id": "u"}, "service_tier": "auto"}, ALL, []),
    ]
    requests, expected = [], {}
    for number, (changes, allowed, refused) in enumerate(table):
        for model in (*allowed, *refused):
            name = f"{number}-{model}"
            requests.append(item(name, TEXT, **{"model": model, "max_tokens": 2000, **changes}))
            expected[name] = "succeeded" if model in allowed else "errored"
    results = run(server, client, requests)
    assert {name: result.type for name, result in results.items()} == expected
    errors = {r.error.error.type for r in results.values() if r.type == "errored"}
    assert errors == {"invalid_request_error"}


def test_a_beta_allows_longer_output(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    requests = [item(model, model=model, max_tokens=300_000) for model in (HAIKU, SONNET_5)]
    headers = {"anthropic-beta": LONG_OUTPUT_BETA}
    results = run(server, client, requests, extra_headers=headers)
    assert [results[model].type for model in (HAIKU, SONNET_5)] == ["errored", "succeeded"]
    assert run(server, client, requests)[SONNET_5].type == "errored"


@pytest.mark.parametrize(
    ("model", "changes", "thinks"),
    [
        (HAIKU, {}, False),
        (HAIKU, {"thinking": THINKING}, True),
        (HAIKU_5_5, {}, True),
        (HAIKU_5_5, {"thinking": OFF}, False),
        (SONNET_4_6, {}, False),
        (SONNET_4_6, {"thinking": ADAPTIVE}, True),
        (SONNET_5, {}, True),
        (SONNET_5, {"thinking": OFF}, False),
        (SONNET_5_5, {}, True),
        (SONNET_5_5, {"thinking": BETWEEN}, False),
        (OPUS_4_8, {}, False),
        (OPUS_5, {}, True),
        (OPUS_5_5, {}, True),
        (OPUS_5_5, {"output_config": {"effort": "max"}}, True),
        (FABLE, {}, True),
    ],
)
def test_who_thinks_unasked(
    server: LocalApiServer, client: anthropic.Anthropic, model: str, changes: dict[str, Any], thinks: bool
) -> None:
    requests = [
        item(f"a-{n}", f"Text {n}. It has two sentences. Or three.", model=model, **changes) for n in range(8)
    ]
    requests = [{**request, "params": {**request["params"], "max_tokens": 3000}} for request in requests]
    for result in run(server, client, requests).values():
        usage, content = result.message.usage, result.message.content
        assert [block.type for block in content] == (["thinking", "text"] if thinks else ["text"])
        assert (usage.output_tokens_details.thinking_tokens > 0) == thinks
        assert usage.output_tokens > usage.output_tokens_details.thinking_tokens
        assert result.message.stop_reason == "end_turn"


def test_thinking_can_take_all_of_max_tokens(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    requests = [item(f"a-{n}", f"Text {n}. Two. Three.", model=SONNET_5, max_tokens=60) for n in range(20)]
    for result in run(server, client, requests).values():
        message = result.message
        assert [block.type for block in message.content] == ["thinking"]
        assert message.content[0].thinking == ""
        assert message.stop_reason == "max_tokens"
        assert message.usage.output_tokens == message.usage.output_tokens_details.thinking_tokens == 60
    meter = server.billing()
    assert (meter["requests_billed"], meter["output_tokens"]) == (20, 1200)


def test_unknown_models_are_refused_one_by_one(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    results = run(server, client, [item("a", model="claude-nope-9"), *items(1)])
    assert results["a"].error.error.type == "not_found_error"
    assert results["a-0"].type == "succeeded"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"supported": True, "odd": 1}, ".odd: unknown"),
        ({}, ".supported: missing"),
        ({"supported": "perhaps"}, ".supported: Input should be"),
    ],
)
def test_the_check_of_types_can_fail(data: dict[str, Any], complaint: str) -> None:
    from anthropic.types import CapabilitySupport

    parsed: BaseModel = CapabilitySupport.construct(**json.loads(json.dumps(data)))
    assert any(found.startswith(complaint) for found in type_errors(parsed))


def test_the_core_and_this_api_took_the_same_from_the_vendors_pages() -> None:
    """Two tables, written apart, so that one checks the other; where they differ, look at the vendor's page."""
    from nightpress.models.catalogue import CATALOGUE

    assert set(CATALOGUE) <= set(MODELS)
    for name, theirs in CATALOGUE.items():
        if not theirs.offered:
            continue  # retires within days
        mine = MODELS[name]
        long = mine.long_prompt
        assert (theirs.input_usd, theirs.output_usd) == (mine.input_cents / 100, mine.output_cents / 100), (
            name
        )
        assert (theirs.long_prompt is None) == (long is None), name
        if theirs.long_prompt is not None and long is not None:
            dear = theirs.long_prompt
            assert (dear.above_tokens, dear.input_usd, dear.output_usd) == (
                long.above_tokens,
                long.input_cents / 100,
                long.output_cents / 100,
            )
        assert round(theirs.cache_read_multiplier * 1000) == mine.cache_read_permille, name
        assert theirs.thinking_default == mine.thinking, name
        assert set(theirs.thinking_types) == set(THINKING_TYPES) - set(mine.refused_thinking), name
        assert (theirs.off_max_effort or None) == mine.max_effort_without_thinking, name
        assert tuple(theirs.efforts) == mine.efforts, name
        assert (theirs.context_tokens, theirs.max_output_tokens) == (
            mine.context_tokens,
            mine.max_output_tokens,
        )
        assert theirs.min_cached_tokens == mine.min_cached_tokens, name
        assert (theirs.forced_tools, theirs.sampling, theirs.geography) == (
            mine.forced_tools,
            mine.sampling,
            mine.geography,
        ), name
