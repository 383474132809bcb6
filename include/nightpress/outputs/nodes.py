"""The structure of an answer: a tree of typed nodes, and its JSON form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "string",
    "integer",
    "number",
    "boolean",
    "decimal",
    "date",
    "date-time",
    "time",
    "enum",
    "array",
    "object",
]
"""The kind of a value; each has one Arrow type (``include/nightpress/outputs/arrow_columns.py``)."""

TEMPORAL = ("date", "date-time", "time")
DECIMAL_PRECISION, DECIMAL_SCALE = 38, 9
"""Digits of a Decimal without bounds: 38 in all, the most that decimal128 holds, 9 after the point."""

Choice: TypeAlias = str | int | bool


class _Absent:
    """Marks a missing default, as opposed to a default of null."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Node:
    """The type of a value and its restrictions.

    :param nullable: null is a valid value.
    :param description: goes to the model.
    :param bounds: JSON schema keywords with their values, e.g. ``{"minimum": 0}``.
    :param choices: of an enum, all of one type, in the schema's order.
    :param item: of an array.
    :param fields: of an object.
    """

    kind: Kind
    nullable: bool = False
    description: str | None = None
    bounds: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    item: Node | None = None
    fields: tuple[Field, ...] = ()

    @property
    def precision_and_scale(self) -> tuple[int, int]:
        """Digits in all and digits after the point, of a decimal's column."""
        digits, places = self.bounds.get("maxDigits"), self.bounds.get("decimalPlaces")
        if digits is None:
            return DECIMAL_PRECISION, DECIMAL_SCALE if places is None else places
        if places is None:
            places = min(digits, DECIMAL_SCALE)
            return min(DECIMAL_PRECISION, digits + places), places
        return max(digits, places), places

    def iter_nodes(self) -> Iterator[Node]:
        """Yield this node and all below it."""
        yield self
        if self.item is not None:
            yield from self.item.iter_nodes()
        for child in self.fields:
            yield from child.node.iter_nodes()


@dataclass(frozen=True, slots=True)
class Field:
    """A named value of an object.

    :param name: as in the answer, and the name of the column.
    :param required: the answer must have it.
    :param default: the JSON value that applies when the answer lacks the field; ``ABSENT`` means null.
    """

    name: str
    node: Node
    required: bool = True
    default: Any = ABSENT

    @property
    def nullable(self) -> bool:
        """Whether the column can be null for an answer that fits."""
        return self.node.nullable or (not self.required and self.default is ABSENT)


def json_form(node: Node) -> dict[str, Any]:
    """Return a node as JSON schema; reading it gives the same node again."""
    schema = _bare_form(node)
    if node.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    if node.description is not None:
        schema["description"] = node.description
    return schema


def _bare_form(node: Node) -> dict[str, Any]:
    schema: dict[str, Any] = {name: _json_bound(value) for name, value in node.bounds.items()}
    if node.kind == "enum":
        return {"enum": list(node.choices)}
    if node.kind in TEMPORAL:
        return {**schema, "type": "string", "format": node.kind}
    if node.kind == "decimal":
        return {**schema, "type": "number", "format": "decimal"}
    schema["type"] = node.kind
    if node.item is not None:
        schema["items"] = json_form(node.item)
    if node.kind == "object":
        schema["properties"] = {child.name: _field_form(child) for child in node.fields}
        schema["required"] = [child.name for child in node.fields if child.required]
        schema["additionalProperties"] = False
    return schema


def _field_form(child: Field) -> dict[str, Any]:
    schema = json_form(child.node)
    return schema if child.default is ABSENT else {**schema, "default": child.default}


def _json_bound(value: Any) -> Any:
    """Return a bound as JSON: a Decimal as text, since a float would not be the same number."""
    return str(value) if isinstance(value, Decimal) else value
