"""Structured requests and prompt caching over the wire: what fits, what does not on demand, what is refused."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

import anthropic
import pytest
from pydantic import BaseModel, Field

from nightpress.outputs.output_schema import OutputSchema
from nightpress.outputs.problems import Problem, repair_params
from offline_api.canned_answers import Answer
from offline_api.canned_answers import answer as answer_of
from offline_api.misfits import MISFITS
from offline_api.model_catalog import MODELS
from offline_api.schema_examples import example
from tests.support.batch_requests import params
from tests.support.offline_api_server import LocalApiServer

END = 1000.0


class Part(BaseModel):
    name: str = Field(max_length=12)
    share: float = Field(ge=0.25, le=0.75)


class Review(BaseModel):
    verdict: Literal["accept", "reject", "unsure"]
    score: int = Field(ge=1, le=5)
    reason: str
    parts: list[Part] = Field(min_length=2)


SCHEMA = OutputSchema.of(Review)
READER = SCHEMA.reader()


def answer(wanted: dict[str, Any]) -> Answer:
    return answer_of(wanted, MODELS[wanted["model"]])


def article(index: int) -> str:
    return f"<article>Article {index} is about {index * 7919} things. It has a second sentence. And more.</article>"


def item(index: int, **changes: Any) -> dict[str, Any]:
    whole = params(article(index), **{"output_config": SCHEMA.output_config, "max_tokens": 2000, **changes})
    return {"custom_id": f"a-{index}", "params": whole}


def run(server: LocalApiServer, client: anthropic.Anthropic, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of a batch by custom_id."""
    batch = client.messages.batches.create(requests=items)  # type: ignore[arg-type]
    server.advance_clock(END)
    return {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}


def text_of(result: Any) -> str:
    return "".join(block.text for block in result.message.content if block.type == "text")


def read(result: Any) -> Any:
    return READER.read(text_of(result))


def test_answers_fit_and_vary(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    found = [read(result) for result in run(server, client, [item(index) for index in range(60)]).values()]
    assert not [row for row in found if isinstance(row, Problem)]
    assert set(Counter(row["verdict"] for row in found)) == {"accept", "reject", "unsure"}
    assert {row["score"] for row in found} == {1, 2, 3, 4, 5}
    assert len({row["parts"][0]["share"] for row in found}) > 10
    for index in range(60):
        assert READER.read(answer(item(index)["params"]).text)["reason"] in article(index)  # type: ignore[index]


def test_a_long_answer_is_cut_in_the_middle_of_its_json() -> None:
    found = answer(item(1, max_tokens=9)["params"])
    assert isinstance(READER.read(found.text), Problem)
    assert found.stop_reason == "max_tokens"


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfits_and_their_repair(server: LocalApiServer, client: anthropic.Anthropic, misfit: str) -> None:
    server.faults({"endpoint": "create", "kind": "misfits", "misfit": misfit, "share": 0.5, "seed": 3})
    items = [item(index) for index in range(10)] + [{"custom_id": "plain", "params": params("One. Two.")}]
    results = run(server, client, items)
    assert text_of(results.pop("plain")) == "One. Two."
    wrong = {name: found for name, result in results.items() if isinstance(found := read(result), Problem)}
    assert len(wrong) == 5
    assert {problem.reason for problem in wrong.values()} != {"model_check"}
    repairs = [
        {
            "custom_id": f"r-{name}",
            "params": repair_params(items[int(name[2:])]["params"], text_of(results[name]), problem),
        }
        for name, problem in wrong.items()
        if results[name].message.stop_reason == "end_turn"
    ]
    assert len(repairs) == (0 if misfit in ("cut", "refusal") else 5)
    if repairs:
        again = run(server, client, repairs)
        assert not [result for result in again.values() if isinstance(read(result), Problem)]
        for name, result in again.items():
            first = items[int(name.removeprefix("r-a-"))]["params"]
            assert read(result) == READER.read(answer(first).text), (
                "drawn from the article, not from the repair"
            )


def test_misfits_in_turn_are_billed(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults({"endpoint": "create", "kind": "misfits", "count": 1})
    results = run(server, client, [item(index) for index in range(2 * len(MISFITS))])
    reasons = Counter(
        found.reason for result in results.values() if isinstance(found := read(result), Problem)
    )
    assert reasons.total() == 2 * len(MISFITS)
    assert len(reasons) >= 7
    (billed,) = server.billing()["by_batch"].values()
    assert billed["succeeded"] == len(results)
    assert billed["bill"]["free_refusals"] == 2
    assert billed["output_tokens"] == sum(result.message.usage.output_tokens for result in results.values())


def test_a_repair_fails_too_when_asked_for(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    server.faults({"endpoint": "create", "kind": "misfits", "misfit": "wrong_type", "repairs": True})
    first = item(0)["params"]
    repair = repair_params(first, "{}", Problem("missing_field", "verdict: the field is missing"))
    assert isinstance(read(run(server, client, [{"custom_id": "r", "params": repair}])["r"]), Problem)


def test_an_enums_capitals_may_differ_and_the_answer_fits(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    items = [item(index) for index in range(8)]
    plain = {name: read(result) for name, result in run(server, client, items).items()}
    server.faults({"endpoint": "create", "kind": "answers", "answer": "other_capitals", "count": 1})
    results = run(server, client, items)
    assert {json.loads(text_of(result))["verdict"] for result in results.values()} <= {
        "ACCEPT",
        "REJECT",
        "UNSURE",
    }
    assert {name: read(result) for name, result in results.items()} == plain


def test_an_unknown_misfit_is_refused(server: LocalApiServer) -> None:
    answer = server.post("/local/faults", {"endpoint": "create", "kind": "misfits", "misfit": "odd"})
    assert "misfit is one of wrong_type" in answer["error"]["message"]


MANY_OPTIONAL = {
    "type": "object",
    "additionalProperties": False,
    "properties": {str(number): {"type": "null"} for number in range(25)},
}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "object", "properties": {}}, "additionalProperties"),
        ({"type": "integer", "minimum": 3}, "minimum are not supported"),
        ({"type": "string", "maxLength": 3}, "maxLength are not supported"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, "other than 0 or 1"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, "Recursive"),
        ({"enum": [{"a": 1}]}, "Complex types"),
        ({"type": "anything"}, "'anything' is not supported"),
        ({"anyOf": [{"anyOf": [{"type": "null"}] * 2}] * 17}, "union types"),
        (MANY_OPTIONAL, "25 optional"),
        ([], "valid dictionary"),
    ],
)
def test_schemas_that_the_api_refuses(
    server: LocalApiServer, client: anthropic.Anthropic, schema: Any, words: str
) -> None:
    wanted = {"format": {"type": "json_schema", "schema": schema}}
    error = run(server, client, [item(0, output_config=wanted)])["a-0"].error.error
    assert error.type == "invalid_request_error"
    assert error.message.startswith("output_config.format.schema: ")
    assert words in error.message


def test_rules_told_as_the_sdk_tells_them() -> None:
    schema = {"type": "integer", "description": "How many\n\n{minimum: 7, maximum: 9}"}
    assert {example(schema, f"text {index}") for index in range(50)} == {7, 8, 9}


def system(words: int, **mark: Any) -> list[dict[str, Any]]:
    block = {"type": "text", "text": "rule " * words}
    return [{**block, "cache_control": {"type": "ephemeral", **mark}}] if mark else [block]


def usages(
    server: LocalApiServer, client: anthropic.Anthropic, count: int = 50, **changes: Any
) -> list[dict[str, Any]]:
    results = run(server, client, [item(index, **changes) for index in range(count)])
    return [result.message.usage.to_dict() for result in results.values()]


@pytest.mark.parametrize(("ttl", "least", "most"), [("1h", 40, 49), ("5m", 12, 38)])
def test_the_prefix_is_written_and_read(
    server: LocalApiServer, client: anthropic.Anthropic, ttl: str, least: int, most: int
) -> None:
    found = usages(server, client, system=system(4000, ttl=ttl))
    read = [usage for usage in found if usage["cache_read_input_tokens"]]
    written = [usage for usage in found if usage["cache_creation_input_tokens"]]
    assert least <= len(read) <= most
    assert len(read) + len(written) == 50
    assert {usage["cache_read_input_tokens"] for usage in read} == {5883}
    for usage in written:
        assert usage["cache_creation"] == {
            "ephemeral_5m_input_tokens": 0,
            "ephemeral_1h_input_tokens": 0,
            f"ephemeral_{ttl}_input_tokens": 5883,
        }
    assert all(0 < usage["input_tokens"] < 400 for usage in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"system": system(4000)},
        {"system": "rule " * 4000},
        {"system": system(2700, ttl="1h")},  # 3,971 tokens; Haiku 4.5 needs 4,096
    ],
)
def test_without_a_mark_or_too_short_nothing_is_cached(
    server: LocalApiServer, client: anthropic.Anthropic, changes: dict[str, Any]
) -> None:
    found = usages(server, client, 5, **changes)
    assert {usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"] for usage in found} == {0}
    assert all(usage["input_tokens"] > 3000 for usage in found)


def test_prefixes_of_models_and_texts_are_their_own(
    server: LocalApiServer, client: anthropic.Anthropic
) -> None:
    short = system(500, ttl="1h")
    found = usages(server, client, 5, system=short, model="claude-haiku-5-5")
    assert max(usage["cache_read_input_tokens"] for usage in found) == 1000
    results = run(server, client, [item(index, system=system(4000 + index, ttl="1h")) for index in range(5)])
    assert not any(result.message.usage.cache_read_input_tokens for result in results.values())


def test_two_prefixes_are_written_and_read_apart(server: LocalApiServer, client: anthropic.Anthropic) -> None:
    """A shared rule for an hour, and after it one of three texts for five minutes."""
    prefixes = [[*system(4000, ttl="1h"), *system(3000 + index, ttl="5m")] for index in range(3)]
    results = run(server, client, [item(index, system=prefixes[index % 3]) for index in range(60)])
    seen = Counter()
    for result in results.values():
        usage = result.message.usage
        made, read = usage.cache_creation, usage.cache_read_input_tokens
        second = made.ephemeral_5m_input_tokens
        assert made.ephemeral_1h_input_tokens in (0, 5883)
        assert usage.cache_creation_input_tokens == second + made.ephemeral_1h_input_tokens
        assert read + usage.cache_creation_input_tokens in (10295, 10297, 10298), "both prefixes, every time"
        seen[read > 5883, second > 0, made.ephemeral_1h_input_tokens > 0] += 1
    assert seen[True, False, False] > 0 < seen[False, True, False], seen


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (system(9, ttl="2h"), "ttl"),
        ([{"type": "text", "text": "a", "cache_control": {"type": "forever"}}], "ephemeral"),
        (system(9, ttl="1h") * 5, "maximum of 4"),
        ([*system(9, ttl="5m"), *system(9, ttl="1h")], "must not come after"),
    ],
)
def test_marks_that_the_api_refuses(
    server: LocalApiServer, client: anthropic.Anthropic, blocks: Any, words: str
) -> None:
    error = run(server, client, [item(0, system=blocks)])["a-0"].error.error
    assert (error.type, words in error.message) == ("invalid_request_error", True)


def test_answers_are_json_of_the_schema_alone() -> None:
    assert set(json.loads(answer(item(0)["params"]).text)) == {"verdict", "score", "reason", "parts"}
