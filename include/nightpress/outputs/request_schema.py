"""Convert nodes to the schema of a request: the rules that the API can enforce, and the others in words.

The API takes objects without additional properties, lists with ``minItems`` 0 or 1, enums and the string formats
below; it refuses bounds of numbers and lengths (the SDK's ``transform_schema`` moves them into descriptions,
as is done here) and recursion. It allows 16 fields that are a union, null included, and 24 that may be left
out (API documentation, "Structured outputs": "Schema complexity limits").
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nightpress.errors import ConfigurationError
from nightpress.outputs.nodes import TEMPORAL, Field, Node

MAX_UNIONS = 16
MAX_LEFT_OUT = 24
MAX_BYTES = 64 * 1024
"""Our own limit, since a schema is sent with every request."""

_FORMATS = frozenset({*TEMPORAL, "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_WORDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "multipleOf": "a multiple of {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "uniqueItems": "no item twice",
    "pattern": "matching the regular expression {}",
    "format": "in the format {}",
    "maxDigits": "at most {} digits in all",
    "decimalPlaces": "at most {} digits after the point",
}
_KINDS = {"decimal": "exact decimal number", "date-time": "with its offset from UTC", "time": "in UTC"}


def request_schema(top: Node) -> dict[str, Any]:
    """Return the schema for ``output_config.format``.

    Every field is required, and an optional one may be null, so that the model decides on each. If these are
    more unions than the API takes, optional fields may be left out instead.

    :raises ConfigurationError: more fields that may be null, or left out, than the API takes.
    """
    leave_out = _unions(top, False) > MAX_UNIONS
    unions, left_out = _unions(top, leave_out), _left_out(top) if leave_out else 0
    if unions > MAX_UNIONS or left_out > MAX_LEFT_OUT:
        raise ConfigurationError(
            f"output: {unions} fields that must be there may be null, and {left_out} may be left out; the API takes "
            f"{MAX_UNIONS} and {MAX_LEFT_OUT}: make some of them required, or put them in a second pipeline"
        )
    return _schema(top, leave_out)


def _may_be_left_out(field: Field, leave_out: bool) -> bool:
    return leave_out and not field.required


def _is_union(field: Field, leave_out: bool) -> bool:
    return field.nullable and not _may_be_left_out(field, leave_out)


def _fields(top: Node) -> list[Field]:
    return [field for node in top.iter_nodes() for field in node.fields]


def _unions(top: Node, leave_out: bool) -> int:
    of_items = sum(node.item is not None and node.item.nullable for node in top.iter_nodes())
    return of_items + sum(_is_union(field, leave_out) for field in _fields(top))


def _left_out(top: Node) -> int:
    return sum(not field.required for field in _fields(top))


def _schema(node: Node, leave_out: bool) -> dict[str, Any]:
    schema = _kind(node)
    if node.item is not None:
        schema["items"] = _item(node.item, leave_out)
        if node.bounds.get("minItems") == 1:
            schema["minItems"] = 1
    if node.kind == "object":
        schema["properties"] = {child.name: _field(child, leave_out) for child in node.fields}
        schema["additionalProperties"] = False
        schema["required"] = [child.name for child in node.fields if not _may_be_left_out(child, leave_out)]
    description = _description(node)
    return {**schema, "description": description} if description else schema


def _item(node: Node, leave_out: bool) -> dict[str, Any]:
    schema = _schema(node, leave_out)
    return {"anyOf": [schema, {"type": "null"}]} if node.nullable else schema


def _field(field: Field, leave_out: bool) -> dict[str, Any]:
    schema = _schema(field.node, leave_out)
    return {"anyOf": [schema, {"type": "null"}]} if _is_union(field, leave_out) else schema


def _kind(node: Node) -> dict[str, Any]:
    if node.kind == "enum":
        return {"enum": list(node.choices)}
    if node.kind in TEMPORAL:
        return {"type": "string", "format": node.kind}
    if node.kind == "decimal":
        return {"type": "number"}
    form = node.bounds.get("format")
    return {"type": node.kind, **({"format": form} if node.kind == "string" and form in _FORMATS else {})}


def _description(node: Node) -> str:
    """Return the description with the rules that the API does not enforce."""
    rules = [_KINDS[node.kind]] if node.kind in _KINDS else []
    for name, value in node.bounds.items():
        enforced = (name == "format" and (node.kind != "string" or value in _FORMATS)) or (
            name == "minItems" and value <= 1
        )
        if not enforced:
            rules.append(_WORDS[name].format(f"{value:f}" if isinstance(value, Decimal) else value))
    words = "; ".join(rules)
    if node.description is None:
        return words[:1].upper() + words[1:]
    return f"{node.description.rstrip()} ({words})" if words else node.description
