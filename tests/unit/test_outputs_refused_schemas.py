"""What the API or Parquet cannot express is refused when the schema is made, with the field's path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from nightpress.errors import ConfigurationError
from nightpress.outputs.output_schema import OutputSchema
from nightpress.results.answers_schema import HEAD, TAIL

OURS = [field.name for field in (*HEAD, *TAIL)]


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Ping(BaseModel):
    pong: Pong | None


class Pong(BaseModel):
    ping: Ping


class Empty(BaseModel):
    pass


class Inner(BaseModel):
    value: dict[str, int]


class InnerBytes(BaseModel):
    raw: bytes


class AnyValue(BaseModel):
    value: Any


class Alike(BaseModel):
    one: str = Field(alias="value")
    two: str = Field(alias="value")


class AlikeBelow(BaseModel):
    inner: list[Alike]


class AlikeToSql(BaseModel):
    Price: int
    price: int


class Status(BaseModel):
    status: str


class Aliased(BaseModel):
    mine: str = Field(alias="Day")


class Union(BaseModel):
    value: int | str


class OuterUnion(BaseModel):
    rows: list[int | list[str]]


class Pair(BaseModel):
    pair: tuple[int, str]


class Wait(BaseModel):
    wait: timedelta


class Mixed(BaseModel):
    value: Literal["a", 1]


class WideDecimal(BaseModel):
    value: Decimal = Field(max_digits=50)


class NoneDefault(BaseModel):
    value: int = None  # type: ignore[assignment]


class BadDefault(BaseModel):
    value: Literal["a", "b"] = "c"  # type: ignore[assignment]


class BadPattern(BaseModel):
    value: Annotated[str, Field(json_schema_extra={"pattern": "("})]


class Rows(RootModel[list[int]]):
    pass


class Function(BaseModel):
    call: Callable[[], int]


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def wide(fields: int, kind: Any = "string") -> dict[str, Any]:
    properties = {f"f{index}": {"type": kind} for index in range(fields)}
    return {"type": "object", "properties": properties, "required": list(properties)}


def one(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"value": schema}, **more}


BILLION = one({"$ref": "#/$defs/a3"}) | {
    "$defs": {
        f"a{level}": {"properties": {str(name): {"$ref": f"#/$defs/a{level - 1}"} for name in range(20)}}
        for level in range(1, 4)
    }
}
BILLION["$defs"]["a0"] = {"type": "string"}


@pytest.mark.parametrize(
    ("source", "path", "words"),
    [
        (Tree, "children[]", "holds itself"),
        (Ping, "pong.ping", "holds itself"),
        (one({"$ref": "#"}), "value.value", "holds itself"),
        (Empty, "", "without named fields"),
        (one({"type": "object", "properties": {}}), "value", "without named fields"),
        (Inner, "value", "a key and a value"),
        (InnerBytes, "raw", "bytes"),
        (AnyValue, "value", "no type"),
        (Alike, "", "2 fields are called 'value'"),
        (AlikeBelow, "", "2 fields are called 'value'"),
        (AlikeToSql, "", "'Price' and 'price' are one column"),
        (Status, "status", "of its own"),
        (Aliased, "Day", "'day' of its own"),
        (Union, "value", "integer or string"),
        (OuterUnion, "rows[]", "integer or array"),
        (Pair, "pair", "prefixItems"),
        (Wait, "wait", "number of seconds"),
        (Mixed, "value", "int, str"),
        (WideDecimal, "value", "maxDigits is 50"),
        (NoneDefault, "value", "make it Optional"),
        (BadDefault, "value", "default does not fit"),
        (BadPattern, "", "pattern '('"),
        (Rows, "", "the top is array"),
        (Function, "call", "Callable"),
        (int, "", "a Pydantic model's class or a JSON schema"),
        (Status(status="x"), "", "a Pydantic model's class or a JSON schema"),
        ({}, "", "no type"),
        ({"type": "object"}, "", "without named fields"),
        ({"type": ["object", "null"], "properties": {"a": {"type": "string"}}}, "", "nullable"),
        (one({"type": "string", "not": {}}), "value", "'not'"),
        (one({"type": "nothing"}), "value", "'nothing'"),
        (one({"type": "null"}), "value", "'null'"),
        (one({"type": ["string", "integer"]}), "value", "string or integer"),
        (one({"allOf": [{"type": "string"}, {"minLength": 1}]}), "value", "allOf"),
        (one({"$ref": "#/$defs/nothing"}), "value", "leads nowhere"),
        (one({"$ref": "https://example.com/schema"}), "value", "leads nowhere"),
        (one({"type": "array"}), "value", "one type for its items"),
        (one({"enum": []}), "value", "at least one value"),
        (one({"enum": [{"a": 1}]}), "value", "dict"),
        (one({"enum": [1.5]}), "value", "float"),
        (one({"enum": [2**63]}), "value", "64 bits"),
        (one({"enum": ["\ud800"]}), "value", "cannot be shown"),
        (one({"enum": [str(number) for number in range(501)]}), "value", "501 values"),
        (one({"type": "integer", "minimum": "x"}), "value", "minimum is 'x'"),
        (one({"type": "integer", "minimum": 3, "maximum": 2}), "value", "no answer fits"),
        (one({"type": "integer", "multipleOf": 0}), "value", "multipleOf is 0"),
        (one({"type": "string", "maxLength": -1}), "value", "maxLength is -1"),
        (one({"type": "string", "format": "duration"}), "value", "number of seconds"),
        (one("string"), "value", "not str"),
        (one({"type": "string"}, required=["other"]), "", "'other'"),
        ({"properties": {"": {"type": "string"}}}, "", "field name ''"),
        ({"properties": {"a\nb": {"type": "string"}}}, "", "visible"),
        ({"properties": {"a" * 200: {"type": "string"}}}, "", "128"),
        (deep(20), "a.a.a.a.a.a.a.a.a", "deeper than 8"),
        (deep(5000), "", "deep"),
        (wide(300), "f250", "more than 250"),
        (wide(20, ["string", "null"]), "", "the API takes 16"),
        (BILLION, "", "more than 250"),
        (one({"type": "string", "description": "x" * 70_000}), "", "the most is 65,536"),
    ],
    ids=lambda value: (
        getattr(value, "__name__", None) or (value if isinstance(value, str) else "schema")[:30]
    ),
)
def test_refused(source: Any, path: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OutputSchema.of(source, OURS)
    message = str(caught.value)
    assert words in message
    assert not path or f"field {path}" in message
    assert len(message) < 400


def test_more_optional_fields_than_unions_may_be_left_out() -> None:
    source = wide(20, ["string", "null"]) | {"required": []}
    schema = OutputSchema.of(source)
    assert schema.request_schema["required"] == []
    assert schema.reader().read("{}") == dict.fromkeys(source["properties"])
    with pytest.raises(ConfigurationError, match="25 may be left out"):
        OutputSchema.of(wide(25, ["string", "null"]) | {"required": []})


def test_reserved_names_are_free_below_the_top() -> None:
    class Below(BaseModel):
        inner: Status

    assert [field.name for field in OutputSchema.of(Below, OURS).fields] == ["inner"]


def test_a_model_that_is_not_finished() -> None:
    class Unfinished(BaseModel):
        value: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigurationError, match="Unfinished cannot be read as a schema"):
        OutputSchema.of(Unfinished)


def test_pydantics_own_json_schema_of_a_decimal_is_read() -> None:
    class Price(BaseModel):
        price: Decimal | None = Field(ge=0)

    (field,) = OutputSchema.of(Price.model_json_schema()).fields
    assert (field.node.kind, field.node.nullable, field.node.precision_and_scale) == (
        "decimal",
        True,
        (38, 9),
    )


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "{}"])
def test_a_damaged_kept_schema(text: str) -> None:
    with pytest.raises(ConfigurationError):
        OutputSchema.from_json(text)


def test_a_default_stands_in_for_an_absent_field_and_only_for_that() -> None:
    class Rated(BaseModel):
        name: str
        rating: int = 3
        tags: list[str] = ["none"]
        made: list[str] = Field(default_factory=list)

    reader = OutputSchema.of(Rated).reader()
    first, second = (reader.read('{"name": "a", "made": []}') for _ in range(2))
    assert first == second == {"name": "a", "rating": 3, "tags": ["none"], "made": []}
    assert first["tags"] is not second["tags"]  # type: ignore[index]
    null = reader.read('{"name": "a", "rating": null, "made": []}')
    assert null.message == "rating: a whole number is needed"  # type: ignore[union-attr]
    missing = reader.read('{"name": "a"}')
    assert missing.message == "made: the field is missing"  # type: ignore[union-attr]
