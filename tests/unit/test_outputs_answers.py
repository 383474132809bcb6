"""Each way not to fit: a short reason, the field's path, the rule; and what is taken anyway."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from time import process_time
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model, field_validator

from nightpress.errors import ConfigurationError, ResultsError
from nightpress.outputs.arrow_columns import answer_columns
from nightpress.outputs.output_schema import OutputSchema
from nightpress.outputs.problems import Problem, is_repair, repair_params


class Line(BaseModel):
    price: Decimal = Field(max_digits=6, decimal_places=2, ge=0)
    sizes: list[int] = Field(default=[], max_length=2)


class Product(BaseModel):
    name: str = Field(min_length=1, max_length=10)
    kind: Literal["book", "toy"]
    count: int = Field(ge=0)
    weight: float
    new: bool
    day: date
    at: datetime
    opens: time
    code: str | None = Field(pattern="^[A-Z]+$")
    lines: list[Line]
    note: str | None = None
    rating: int = 3

    @field_validator("name")
    @classmethod
    def check_name(cls, name: str) -> str:
        if name == "broken":
            raise KeyError(name)
        if name == "wrong":
            raise ValueError("a real name is needed")
        return name


GOOD: dict[str, Any] = {
    "name": "Ball",
    "kind": "toy",
    "count": 3,
    "weight": 1.5,
    "new": True,
    "day": "2026-11-22",
    "at": "2026-11-22T10:00:00+02:00",
    "opens": "08:30:00Z",
    "code": None,
    "lines": [{"price": 12.30}],
}
READ = {
    **GOOD,
    "day": date(2026, 11, 22),
    "at": datetime(2026, 11, 22, 8, tzinfo=UTC),
    "opens": time(8, 30),
    "lines": [{"price": Decimal("12.3"), "sizes": []}],
    "note": None,
    "rating": 3,
}
TEXT = json.dumps(GOOD)
SCHEMA = OutputSchema.of(Product)
READER = SCHEMA.reader()


def changed(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"```\n{json.dumps(GOOD, indent=2)}```\n",
        f"\ufeff \n{TEXT}\n",
        changed(count=3.0),
        changed(weight=1.5e0, note=None, rating=3),
        changed(lines=[{"price": "12.30"}]),
        changed(lines=[{"price": 12.3}]).replace("12.3", "12.3000"),
        changed(at="2026-11-22T08:00:00Z"),
        changed(at="2026-11-22 08:00"),
        changed(opens="08:30"),
        changed(kind="Toy"),
        f"```json\n{changed(kind='TOY')}\n```",
    ],
)
def test_taken(text: str) -> None:
    assert READER.read(text) == READ


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("", "empty", "empty"),
        (" \n", "empty", "empty"),
        (None, "empty", "empty"),
        (TEXT[:40], "not_json", "it is not valid JSON"),
        (TEXT[:-1], "not_json", "Expecting"),
        (f"Here it is: {TEXT}", "not_json", "without text before or after"),
        (f"{TEXT} I hope this helps.", "not_json", "without text before or after"),
        (f"{TEXT}{TEXT}", "not_json", "without text before or after"),
        ("I will not do that.", "not_json", "not valid JSON"),
        ("[1]", "not_an_object", "not a list"),
        ("null", "not_an_object", "not null"),
        ('"text"', "not_an_object", "not text"),
        ("{}", "missing_field", "name: the field is missing"),
        (TEXT.replace('"count": 3, ', ""), "missing_field", "count: the field is missing"),
        (changed(lines=[{}]), "missing_field", "lines[0].price: the field is missing"),
        (changed(more=1), "extra_field", "the field 'more' is not in the schema"),
        (changed(**{"x" * 500: 1}), "extra_field", "x…'"),
        (changed(lines=[{"price": 1, "more": 1}]), "extra_field", "lines[0]: the field 'more'"),
        (TEXT[:-1] + ', "kind": "book"}', "duplicate_key", "'kind' is there twice"),
        (changed(name=3), "wrong_type", "name: text is needed, not a number"),
        (changed(name=None), "wrong_type", "name: text is needed, not null"),
        (changed(count="3"), "wrong_type", "count: a whole number"),
        (changed(count=True), "wrong_type", "count: a whole number"),
        (changed(count=3.5), "wrong_type", "count: a whole number"),
        (changed(new="true"), "wrong_type", "new: true or false is needed, not text"),
        (changed(new=1), "wrong_type", "new: true or false is needed, not a number"),
        (changed(weight="1"), "wrong_type", "weight: a number"),
        (changed(lines={}), "wrong_type", "lines: a list is needed, not an object"),
        (changed(lines=[3]), "wrong_type", "lines[0]: an object is needed, not a number"),
        (changed(lines=[{"price": "12,30"}]), "wrong_type", "lines[0].price: a decimal number"),
        (changed(lines=[{"price": True}]), "wrong_type", "lines[0].price: a decimal number"),
        (changed(day=20261122), "wrong_type", "day: a date such as"),
        (changed(kind="car"), "unknown_value", "kind: one of these is needed: 'book', 'toy'"),
        (changed(kind=None), "unknown_value", "kind"),
        (changed(kind=["book"]), "unknown_value", "kind"),
        (changed(count=2**63), "out_of_range", "count: the number is too large for 64 bits"),
        (changed(count=-1), "out_of_range", "count: at least 0 is needed"),
        (TEXT.replace("1.5", "1e999"), "out_of_range", "weight: the number is too large"),
        (TEXT.replace("1.5", "1" + "0" * 400), "out_of_range", "weight: the number is too large"),
        (TEXT.replace("1.5", "1e" + "9" * 30), "not_json", "too long"),
        (TEXT.replace("1.5", "1" * 5000), "not_json", "too long"),
        (TEXT.replace("1.5", "NaN"), "not_json", "NaN is not JSON"),
        (TEXT.replace("1.5", "-Infinity"), "not_json", "Infinity is not JSON"),
        (changed(lines=[{"price": 12.345}]), "out_of_range", "at most 2 digits after the point"),
        (changed(lines=[{"price": 12345}]), "out_of_range", "at most 4 digits before the point"),
        (changed(lines=[{"price": 10**60}]), "out_of_range", "at most 4 digits before the point"),
        (changed(lines=[{"price": -1}]), "out_of_range", "lines[0].price: at least 0"),
        (changed(lines=[{"price": 1, "sizes": [1, 2, 3]}]), "bad_list", "sizes: 3 items, but at most 2"),
        (changed(day="2026-02-30"), "bad_date", "day: a date such as"),
        (changed(day="22.11.2026"), "bad_date", "day: a date such as"),
        (changed(day="2026-W47-7"), "bad_date", "day: a date such as"),
        (changed(day="1700000000"), "bad_date", "day: a date such as"),
        (changed(at="0001-01-01T00:00:00+05:00"), "bad_date", "at: a date and time"),
        (changed(at="2026-11-22"), "bad_date", "at: a date and time"),
        (changed(opens="08:30:00+02:00"), "bad_date", "opens: a time of day in UTC"),
        (changed(opens="25:00"), "bad_date", "opens: a time of day in UTC"),
        (changed(name=""), "bad_text", "name: 0 characters, but at least 1"),
        (changed(name="x" * 11), "bad_text", "name: 11 characters, but at most 10"),
        (changed(code="abc"), "bad_text", "code: it does not match"),
        (TEXT.replace("Ball", "\\ud800"), "bad_text", "name: the text holds half"),
        (TEXT.replace("Ball", "\ud800"), "bad_text", "name: the text holds half"),
        (TEXT[:-1] + ', "\\udfff": 1}', "bad_text", "field name holds half"),
        (changed(name="wrong"), "model_check", "name: Value error, a real name is needed"),
        (changed(name="broken"), "model_check", "KeyError"),
    ],
)
def test_refused(text: str | None, reason: str, words: str) -> None:
    found = READER.read(text)
    assert isinstance(found, Problem)
    assert (found.reason, words in found.message) == (reason, True), found
    found.message.encode()


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (f"```json\n{TEXT}\n```", True),
        (f"```\r\n{TEXT}```", True),
        (f"```JSON  \n{TEXT} \t```\n", True),
        (f"```json\n{TEXT}", False),
        (f"```python\n{TEXT}\n```", False),
        ("```" + " " * 400_000 + "\n" * 400_000 + "``", False),
        ("```json\n" + "\n \t" * 400_000 + "x", False),
    ],
)
def test_a_fence_is_taken_off_in_linear_time(text: str, fits: bool) -> None:
    started = process_time()
    assert isinstance(READER.read(text), dict) == fits
    assert process_time() - started < 2


def test_no_problem_quotes_a_value() -> None:
    secret = "secret-secret"
    for name in GOOD:
        found = READER.read(changed(**{name: secret}))
        assert isinstance(found, Problem)
        assert secret not in found.message


@pytest.mark.parametrize("step", [0.1, 0.01])
def test_multiples_are_exact(step: float) -> None:
    schema = {"properties": {"a": {"type": "number", "multipleOf": step}}, "required": ["a"]}
    reader = OutputSchema.of(schema).reader()
    assert reader.read('{"a": 0.3}') == {"a": 0.3}
    assert isinstance(reader.read('{"a": 0.305}'), Problem)
    assert isinstance(reader.read('{"a": 1e300}'), Problem)


def test_a_slow_pattern_costs_no_time() -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}, "required": ["a"]}
    assert isinstance(OutputSchema.of(schema).reader().read(json.dumps({"a": "a" * 5_000 + "!"})), Problem)


def test_unique_items() -> None:
    schema = {"properties": {"a": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}}}
    reader = OutputSchema.of(schema).reader()
    assert reader.read('{"a": [1, 2]}') == {"a": [1, 2]}
    assert isinstance(reader.read('{"a": [1, 1]}'), Problem)


PARAMS: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 200,
    "output_config": SCHEMA.output_config,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Describe this."}],
}


def test_repair() -> None:
    problem = READER.read(changed(kind="car"))
    assert isinstance(problem, Problem)
    repaired = repair_params(PARAMS, changed(kind="car"), problem)
    assert [message["role"] for message in repaired["messages"]] == ["user", "assistant", "user"]
    assert repaired["messages"][1]["content"] == changed(kind="car")
    assert problem.message in repaired["messages"][2]["content"]
    assert {**repaired, "messages": PARAMS["messages"]} == PARAMS
    assert (is_repair(PARAMS), is_repair(repaired)) == (False, True)
    with pytest.raises(ResultsError, match="not repaired again"):
        repair_params(repaired, "{}", problem)


@pytest.mark.parametrize("answer", [None, "", " \n"])
def test_an_empty_answer_is_no_turn(answer: str | None) -> None:
    problem = READER.read(answer)
    assert isinstance(problem, Problem)
    repaired = repair_params(PARAMS, answer, problem)
    assert [message["role"] for message in repaired["messages"]] == ["user", "user"]
    assert is_repair(repaired)


@pytest.mark.parametrize(
    ("choices", "given", "read"),
    [
        (["Low", "HIGH", "Straße"], "low", "Low"),
        (["Low", "HIGH", "Straße"], "High", "HIGH"),
        (["Low", "HIGH", "Straße"], "STRASSE", "Straße"),
        (["Low", "HIGH"], "low ", None),
        (["Low", "HIGH"], "lo", None),
        (["us", "US"], "us", "us"),
        (["us", "US"], "Us", None),  # which of the two is not known
    ],
)
def test_the_capitals_of_a_choice_may_differ(choices: list[str], given: str, read: str | None) -> None:
    """The vendor says so; a paid answer is not asked again for that."""
    kind = {"enum": choices}
    schema = OutputSchema.of(
        {
            "type": "object",
            "properties": {
                "kind": kind,
                "all": {"type": "array", "items": {"anyOf": [kind, {"type": "null"}]}},
                "size": {"type": "number"},
            },
            "required": ["kind", "all", "size"],
            "additionalProperties": False,
        }
    )
    found = schema.reader().read(json.dumps({"kind": given, "all": [given, None], "size": 0.1}))
    if read is None:
        assert isinstance(found, Problem)
        assert found.reason == "unknown_value"
    else:
        assert found == {"kind": read, "all": [read, None], "size": 0.1}


class Tone(Enum):
    CALM = "calm"


class Size(BaseModel):
    width: float = 0.25
    price: Decimal | None = Decimal("1.5")


SIZE = {"width": 0.25, "price": Decimal("1.5")}
DEFAULTS: list[tuple[Any, Any, Any]] = [
    (float, 1.5, 1.5),
    (float, 1, 1.0),
    (float, 1e300, 1e300),
    (float | None, 2.5, 2.5),
    (list[float], [1.5, 2], [1.5, 2.0]),
    (list[list[float]], [[0.5]], [[0.5]]),
    (Decimal, Decimal("1.50"), Decimal("1.5")),
    (list[Decimal], [Decimal("0.1")], [Decimal("0.1")]),
    (int, 3, 3),
    (bool, False, False),
    (str, "", ""),
    (Tone, Tone.CALM, "calm"),
    (list[Tone], [Tone.CALM], ["calm"]),
    (date, date(2026, 1, 2), date(2026, 1, 2)),
    (datetime, datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2, 3, tzinfo=UTC)),
    (time, time(3, 4), time(3, 4)),
    (Size, Size(), SIZE),
    (Size | None, Size(width=2.5, price=None), {"width": 2.5, "price": None}),
    (list[Size], [Size()], [SIZE]),
]


@pytest.mark.parametrize(("kind", "default", "expected"), DEFAULTS)
def test_a_default_of_any_type_is_the_value_of_an_answer_without_the_field(
    kind: Any, default: Any, expected: Any
) -> None:
    schema = OutputSchema.of(create_model("Answer", value=(kind, default), other=(int, ...)))
    for each in (schema, OutputSchema.from_json(schema.to_json())):
        values = each.reader().read('{"other": 1}')
        assert not isinstance(values, Problem)
        assert answer_columns(each, [values])["value"].to_pylist() == [expected]


@pytest.mark.parametrize("default", ["x", float("inf"), True, object()])
def test_a_default_that_does_not_fit_is_refused(default: Any) -> None:
    field = {"type": "number", "default": default}
    with pytest.raises(ConfigurationError, match="value: its default does not fit"):
        OutputSchema.of({"type": "object", "properties": {"value": field}, "required": []})
