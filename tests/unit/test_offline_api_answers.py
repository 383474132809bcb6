"""What stands in for the model."""

from __future__ import annotations

import enum
import json
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from offline_api.canned_answers import Answer
from offline_api.canned_answers import answer as answer_of
from offline_api.excerpts import leading_sentences
from offline_api.model_catalog import MODELS
from offline_api.schema_examples import example
from offline_api.token_counts import NEW, OLD, Tokenizer
from tests.support.batch_requests import params


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two. Three.", "One. Two."),
        ("  What? Yes! No.", "What? Yes!"),
        ('He said "Stop." Then he left. End.', 'He said "Stop." Then he left.'),
        ("Version 3.11 is out. Get it. Now.", "Version 3.11 is out. Get it."),
        ("今天下雨。明天晴!后天?", "今天下雨。明天晴!"),
        ("他说:“好。”然后走了。完。", "他说:“好。”然后走了。"),
        ("no end", "no end"),
        ("", ""),
    ],
)
def test_leading_sentences(text: str, expected: str) -> None:
    assert leading_sentences(text) == expected


def answer(wanted: dict[str, Any]) -> Answer:
    return answer_of(wanted, MODELS[wanted["model"]])


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [("", 0, 0), ("a", 1, 1), ("abc", 1, 2), ("a" * 34, 10, 14), ("中文", 2, 3), ("中ab", 2, 3)],
)
def test_count_tokens(text: str, old: int, new: int) -> None:
    assert (OLD.count(text), NEW.count(text)) == (old, new)


@pytest.mark.parametrize("text", ["plain words " * 9, "中文 mixed 文字 " * 9])
@pytest.mark.parametrize("limit", [1, 7, 20, 1000])
@pytest.mark.parametrize("counter", [OLD, NEW])
def test_a_cut_is_the_longest_that_fits(text: str, limit: int, counter: Tokenizer) -> None:
    cut = counter.cut(text, limit)
    assert text.startswith(cut)
    assert counter.count(cut) <= limit
    assert cut == text or counter.count(text[: len(cut) + 1]) > limit


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Sum up:\n<article>One. Two. Three.</article>", "One. Two."),
        ("<article>A </article> B. C. D.</article>", "A </article> B. C."),
        ("</article> One. <article> Two. Three.", "</article> One. <article> Two."),
        (
            [{"type": "text", "text": "One."}, {"type": "image"}, {"type": "text", "text": "Two. Three."}],
            "One.\nTwo.",
        ),
    ],
)
def test_the_article_is_found(content: Any, expected: str) -> None:
    messages = [{"role": "user", "content": "Old. Older."}, {"role": "assistant", "content": "Hm."}]
    found = answer(params(messages=[*messages, {"role": "user", "content": content}]))
    assert found.content == [{"type": "text", "text": expected}]
    assert found.stop_reason == "end_turn"


def test_max_tokens_cuts() -> None:
    found = answer(params("One long sentence of many words.", max_tokens=3))
    assert found.text == "One long s"
    assert found.stop_reason == "max_tokens"


class Colour(enum.Enum):
    RED = "red"


class Inner(BaseModel):
    score: float = Field(ge=0.5, le=1)
    steps: int = Field(gt=3, multiple_of=5)
    again: Inner | None = None


class Outer(BaseModel):
    title: str = Field(min_length=3, max_length=10)
    colour: Colour
    tags: list[str] = Field(min_length=2)
    inner: Inner
    maybe: int | None
    day: Any = None


@pytest.mark.parametrize("kind", [Outer, list[Inner], int, dict[str, int], Inner | None])
def test_a_value_fits_its_schema(kind: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.validate_python(example(adapter.json_schema(), "A text."))


def test_structured_answers() -> None:
    schema = Outer.model_json_schema()
    wanted = {"format": {"type": "json_schema", "schema": schema}}
    Outer.model_validate_json(answer(params(output_config=wanted, max_tokens=999)).text)
    tool = {"name": "out", "input_schema": schema}
    found = answer(params(tools=[tool], tool_choice={"type": "tool", "name": "out"}))
    assert found.stop_reason == "tool_use"
    assert found.content[0]["type"] == "tool_use"
    Outer.model_validate(found.content[0]["input"])
    assert json.loads(found.text) == found.content[0]["input"]


@pytest.mark.parametrize(
    "schema", [None, [], {"type": 3}, {"anyOf": ["x"]}, {"$ref": "#"}, {"properties": 5, "type": "object"}]
)
def test_what_is_no_schema_does_no_harm(schema: Any) -> None:
    example(schema, "text")
