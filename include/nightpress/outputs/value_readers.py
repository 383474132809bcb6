"""Make a function from each node that turns a decoded JSON value into the Python value of its column.

Each function raises :class:`MisfitError` for a value that does not fit. Types are never guessed: a text is not a
number, 1 is not true.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeAlias

from pydantic_core import SchemaError, SchemaValidator, core_schema

from nightpress.errors import ConfigurationError
from nightpress.outputs.nodes import ABSENT, TEMPORAL, Field, Node
from nightpress.outputs.problems import MisfitError, short
from nightpress.outputs.scalar_values import decimal_reader, integer_reader, number_reader, time_reader

Read: TypeAlias = Callable[[Any], Any]
_MISSING = object()


def value_reader(node: Node) -> Read:
    """Return the function that reads values of ``node``.

    :raises ConfigurationError: a pattern or a default of the schema is not usable.
    """
    read = _bare_reader(node)
    if not node.nullable:
        return read
    return lambda value: None if value is None else read(value)


def _bare_reader(node: Node) -> Read:
    if node.kind == "object":
        return _object_reader(node)
    if node.kind == "array":
        return _list_reader(node)
    if node.kind in TEMPORAL:
        return time_reader(node.kind)
    if node.kind == "enum":
        return _enum_reader(node)
    makers: dict[str, Callable[[Node], Read]] = {
        "string": _text_reader,
        "integer": integer_reader,
        "number": number_reader,
        "decimal": decimal_reader,
        "boolean": lambda _node: _read_boolean,
    }
    return makers[node.kind](node)


def type_name(value: object) -> str:
    """Return the JSON name of a value's type."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")


def _wrong(wanted: str, value: object) -> MisfitError:
    return MisfitError("wrong_type", f"{wanted} is needed, not {type_name(value)}")


def _read_boolean(value: Any) -> bool:
    if value is not True and value is not False:
        raise _wrong("true or false", value)
    return bool(value)


def _object_reader(node: Node) -> Read:
    fields = [(field.name, _field_reader(field), _absent_value(field)) for field in node.fields]
    known = {field.name for field in node.fields}

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong("an object", value)
        found = {}
        for name, read_field, absent in fields:
            given = value.get(name, _MISSING)
            if given is _MISSING:
                if absent is _MISSING:
                    raise MisfitError("missing_field", "the field is missing").below(name)
                found[name] = absent() if callable(absent) else absent
                continue
            try:
                found[name] = read_field(given)
            except MisfitError as misfit:
                raise misfit.below(name) from None
        if len(value) > len(known) or not known.issuperset(value):
            more = [name for name in value if name not in known]
            if more:
                raise MisfitError("extra_field", f"the field {short(more[0])} is not in the schema")
        return found

    return read


def _field_reader(field: Field) -> Read:
    return value_reader(field.node if not field.nullable else replace(field.node, nullable=True))


def _absent_value(field: Field) -> Any:
    """Return the value when the field is absent: ``_MISSING`` (an error), None, or a function that makes it."""
    if field.required:
        return _MISSING
    if field.default is ABSENT:
        return None
    read = value_reader(field.node)
    # As it would stand in an answer, where a number with a point is read as a Decimal.
    default = json.loads(json.dumps(field.default, default=str), parse_float=Decimal)
    try:
        read(default)
    except MisfitError as misfit:
        raise ConfigurationError(
            f"output field {field.name}: its default does not fit it: {misfit.problem().message}"
        ) from misfit
    return lambda: read(default)


def _list_reader(node: Node) -> Read:
    assert node.item is not None
    read_item = value_reader(node.item)
    least, most = node.bounds.get("minItems", 0), node.bounds.get("maxItems")
    unique = node.bounds.get("uniqueItems", False)

    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _wrong("a list", value)
        if len(value) < least:
            raise MisfitError("bad_list", f"{len(value)} items, but at least {least} are needed")
        if most is not None and len(value) > most:
            raise MisfitError("bad_list", f"{len(value)} items, but at most {most} are possible")
        found = []
        for index, given in enumerate(value):
            try:
                found.append(read_item(given))
            except MisfitError as misfit:
                raise misfit.below(f"[{index}]") from None
        if unique and len({repr(item) for item in found}) < len(found):
            raise MisfitError("bad_list", "an item is there twice")
        return found

    return read


def _enum_reader(node: Node) -> Read:
    choices = {choice: choice for choice in node.choices}
    kind = type(node.choices[0])
    names = ", ".join(short(choice) for choice in node.choices)

    def read(value: Any) -> Any:
        if kind is int and type(value) is Decimal and value.adjusted() < 20 and value == int(value):
            value = int(value)
        if type(value) is not kind or value not in choices:
            raise MisfitError("unknown_value", f"one of these is needed: {names}")
        return value

    return read


def with_listed_capitals(node: Node, value: Any) -> Any:
    """Return a decoded value in which text that differs from a choice only in capitals is replaced by that choice.

    The API enforces the words of an enum, but not their capitals. Text that matches several choices which differ only
    in capitals is left unchanged.
    """
    if node.kind == "object" and type(value) is dict:
        nodes = {field.name: field.node for field in node.fields}
        return {
            name: with_listed_capitals(nodes[name], given) if name in nodes else given
            for name, given in value.items()
        }
    if node.kind == "array" and node.item is not None and type(value) is list:
        return [with_listed_capitals(node.item, given) for given in value]
    if node.kind == "enum" and isinstance(value, str) and value not in node.choices:
        alike = [
            choice
            for choice in node.choices
            if isinstance(choice, str) and choice.casefold() == value.casefold()
        ]
        return alike[0] if len(alike) == 1 else value
    return value


def _text_reader(node: Node) -> Read:
    least, most = node.bounds.get("minLength", 0), node.bounds.get("maxLength")
    pattern = node.bounds.get("pattern")
    matches = None if pattern is None else _matcher(pattern)

    def read(value: Any) -> str:
        if type(value) is not str:
            raise _wrong("text", value)
        if len(value) < least:
            raise MisfitError("bad_text", f"{len(value)} characters, but at least {least} are needed")
        if most is not None and len(value) > most:
            raise MisfitError("bad_text", f"{len(value)} characters, but at most {most} are possible")
        if matches is not None and not matches(value):
            raise MisfitError("bad_text", f"it does not match the regular expression {pattern}")
        return value

    return read


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that searches for ``pattern`` in linear time, since answers cannot be trusted."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python
    except SchemaError as error:
        raise ConfigurationError(
            f"output: the pattern {pattern!r} cannot be read: {str(error).splitlines()[-1].strip()}"
        ) from None
