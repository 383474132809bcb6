"""Whatever a request holds, it is refused or answered in the SDK's own types, billed once, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from anthropic._models import construct_type_unchecked
from anthropic.types.messages import MessageBatchIndividualResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offline_api.account import Change
from offline_api.answer_kinds import KINDS
from offline_api.api_errors import ApiError
from offline_api.body_checks import decode_body, decode_params
from offline_api.faults import Faults
from offline_api.model_catalog import MODELS
from offline_api.outcomes import ANSWERED, ERRORED, SUCCEEDED
from offline_api.parameter_checks import Circumstances, count_refusal, refusal
from offline_api.results_writer import ResultMaker
from offline_api.store import Record
from offline_api.token_counts import count_input, tokenizer
from tests.support.typed_answers import type_errors

NOW = 1_795_600_000.0
RECORD = Record(
    id="msgbatch_local_1",
    created_at=NOW,
    ends_at=NOW,
    expires_at=NOW,
    listed_at=NOW,
    requests=1,
    succeeded=1,
    errored=0,
    canceled=0,
    expired=0,
)
text = st.text(st.characters(codec="utf-8"), max_size=30)
scalar = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
anything = st.recursive(
    scalar, lambda part: st.lists(part, max_size=3) | st.dictionaries(text, part, max_size=3), max_leaves=6
)
mark = st.fixed_dictionaries({"type": st.just("ephemeral")}, optional={"ttl": st.sampled_from(["5m", "1h"])})
words = text.filter(str.strip)
source = st.fixed_dictionaries({"type": st.sampled_from(["text", "base64", "url"]), "data": text})
block = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": words}, optional={"cache_control": mark}),
    st.fixed_dictionaries({"type": st.sampled_from(["image", "document"]), "source": source}),
)
user = st.fixed_dictionaries(
    {"role": st.just("user"), "content": words | st.lists(block, min_size=1, max_size=3)}
)
schema = st.sampled_from(
    [
        {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "string"}}},
        {"type": "array", "items": {"type": "integer"}},
    ]
)
tool = st.fixed_dictionaries(
    {"name": words, "input_schema": schema},
    optional={"type": st.just("web_search_20250305"), "max_uses": st.integers(1, 5)},
)
choice = st.fixed_dictionaries({"type": st.sampled_from(["auto", "any", "tool"])}, optional={"name": words})
thinking = st.sampled_from(
    [
        {"type": "enabled", "budget_tokens": 1024},
        {"type": "disabled"},
        {"type": "adaptive", "display": "summarized"},
        {"type": "between_tools"},
    ]
)
wanted = st.fixed_dictionaries({"type": st.just("json_schema"), "schema": schema})
config = st.fixed_dictionaries(
    {}, optional={"effort": st.sampled_from(["low", "high", "max"]), "format": wanted}
)
well_formed = st.fixed_dictionaries(
    {
        "model": st.sampled_from(list(MODELS)),
        "max_tokens": st.integers(1, 3_000),
        "messages": st.lists(user, min_size=1, max_size=3),
    },
    optional={
        "system": words | st.lists(block, max_size=2),
        "tools": st.lists(tool, max_size=2),
        "tool_choice": choice,
        "thinking": thinking,
        "output_config": config,
        "stop_sequences": st.lists(words, max_size=2),
        "temperature": st.floats(0, 1),
        "cache_control": mark,
        "inference_geo": st.sampled_from(["us", "global"]),
    },
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place within a value: what holds it, and its name or index there."""
    names = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in list(names):
        yield value, name
        yield from places(value[name])


@st.composite
def any_params(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request, half of the time with anything at some of its places."""
    params = json.loads(json.dumps(draw(well_formed)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        holder, name = draw(st.sampled_from(list(places(params))))
        holder[name] = draw(anything)
    return {"model": None, "max_tokens": None, "messages": None} | params


relaxed = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@relaxed
@given(any_params(), st.integers(-1, len(KINDS) - 1))
def test_any_request_is_refused_or_answered(params: dict[str, Any], kind: int) -> None:
    raw = msgspec.Raw(json.dumps(params).encode())
    refused = refusal(decode_params(0, raw), Circumstances(NOW), len(raw))
    code = ERRORED if refused else SUCCEEDED if kind < 0 else ANSWERED + kind
    result, bill = ResultMaker(RECORD).result(0, code, raw)
    line = msgspec.json.decode(msgspec.json.encode({"custom_id": "a", "result": result}))
    parsed = cast(
        MessageBatchIndividualResponse,
        construct_type_unchecked(value=line, type_=MessageBatchIndividualResponse),
    )
    assert not list(type_errors(parsed))
    assert (result["type"] == "errored") == (refused is not None) == (bill is None)
    if bill is not None:
        usage = result["message"]["usage"]
        assert bill.requests + bill.free_refusals == 1
        assert bill.cost_picodollars >= 0
        assert usage["output_tokens"] <= params["max_tokens"] or kind >= 0 or params["max_tokens"] < 2
        assert 0 <= usage["output_tokens_details"]["thinking_tokens"] <= usage["output_tokens"]


MARKED = {"cache_control": {"type": "ephemeral", "ttl": "5m"}}
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    0.5,
    "",
    "x",
    [],
    ["x"],
    [[]],
    {},
    {"x": {}},
    {"type": {}},
    {"type": []},
]
WHOLE: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 2_000,
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "A. B.", **MARKED}],
        }
    ],
    "system": [{"type": "text", "text": "S.", "cache_control": {"type": "ephemeral"}}],
    "tools": [
        {
            "name": "t",
            "input_schema": {"type": "object", "required": ["a"]},
            "cache_control": {"type": "ephemeral"},
        }
    ],
    "tool_choice": {"type": "tool", "name": "t"},
    "thinking": {"type": "disabled", "display": None},
    "output_config": {
        "effort": None,
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"a": {"type": "string", "enum": ["x"]}, "b": {"anyOf": [{"type": "null"}]}},
                "required": ["a"],
            },
        },
    },
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "cache_control": {"type": "ephemeral", "ttl": "1h"},
    "service_tier": "auto",
    "temperature": 1,
}


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-5", "claude-fable-5-1"])
def test_every_odd_value_at_every_place(model: str) -> None:
    """Every place of a request with many parameters gets every odd value once."""
    whole = {**WHOLE, "model": model}
    for number in range(len(list(places(whole)))):
        for value in ODD:
            params = json.loads(json.dumps(whole))
            holder, name = list(places(params))[number]
            holder[name] = value
            raw = msgspec.Raw(json.dumps(params).encode())
            try:
                decoded = decode_params(0, raw)
            except ApiError:
                continue
            refused = refusal(decoded, Circumstances(NOW), len(raw))
            ResultMaker(RECORD).result(0, ERRORED if refused else SUCCEEDED, raw)
            count_refusal(decoded, NOW)


def test_a_good_part_of_them_is_answered() -> None:
    answered = []

    @relaxed
    @given(any_params())
    def count(params: dict[str, Any]) -> None:
        answered.append(refusal(params, Circumstances(NOW)) is None)

    count()
    assert 0.2 < sum(answered) / len(answered) < 0.9


@relaxed
@given(any_params())
def test_counting_any_request(params: dict[str, Any]) -> None:
    if count_refusal(params, NOW) is None:
        assert count_input(params, tokenizer(MODELS[params["model"]].new_tokenizer)) >= 1


@relaxed
@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_of_a_create(data: bytes) -> None:
    try:
        items = decode_body(data)
    except ApiError as error:
        assert error.status == 400
    else:
        assert items


@relaxed
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from([*Change.__struct_fields__, "x"]), anything).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_rule(data: bytes) -> None:
    faults = Faults()
    try:
        faults.add(data)
    except ApiError as error:
        assert error.status == 400
        assert faults.show() == []
