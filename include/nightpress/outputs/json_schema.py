"""Convert a JSON schema to nodes. What the API or Parquet cannot express is refused, with the field's path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nightpress.outputs.nodes import ABSENT, Field, Kind, Node
from nightpress.outputs.pydantic_schema import UNSUPPORTED
from nightpress.outputs.schema_rules import (
    BOUNDS,
    check_name,
    read_bounds,
    read_choices,
    refuse,
    refuse_repeated,
)

MAX_DEPTH = 8
MAX_FIELDS = 250

_NOTES = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "example",
        "$comment",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$schema",
        "$id",
        "$defs",
        "definitions",
        "contentMediaType",
        "contentEncoding",
    }
)
_SHAPE: dict[Kind, tuple[str, ...]] = {
    "array": ("items",),
    "object": ("properties", "required", "additionalProperties"),
}
_TYPES: dict[str, Kind] = {
    name: name for name in ("string", "integer", "number", "boolean", "array", "object")
}
_OF_FORMAT: dict[str, Kind] = {"date": "date", "date-time": "date-time", "time": "time"}
_UNREADABLE_FORMATS = {
    "duration": "a duration; a number of seconds is needed",
    "binary": "bytes; text is needed",
}


def read_nodes(schema: Mapping[str, Any]) -> Node:
    """Return the top object of a JSON schema.

    :raises ConfigurationError: it is not an object, or a part of it cannot be a column; names the path.
    """
    try:
        top = _Reader(schema).node(schema, (), ())
    except RecursionError:
        raise refuse((), "nested too deeply") from None
    if top.kind != "object" or top.nullable:
        raise refuse(
            (), f"the top is {'nullable' if top.nullable else top.kind}; an object with fields is needed"
        )
    return top


class _Reader:
    """Walks a schema once, and replaces each reference by its target.

    :param root: the schema that references point into.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.fields = 0

    def node(self, schema: object, path: tuple[str, ...], within: tuple[str, ...]) -> Node:
        """Return a schema's node.

        :param within: the references that led here; a repeated one would never end.
        """
        if not isinstance(schema, Mapping):
            raise refuse(path, f"a schema is needed, not {type(schema).__name__}")
        schema, within = self._resolved(schema, path, within)
        if UNSUPPORTED in schema:
            raise refuse(path, f"no column holds {schema[UNSUPPORTED]}")
        if "allOf" in schema:
            raise refuse(path, "allOf of several schemas; write them as one")
        schema, nullable = self._without_null(schema, path)
        if any(word in schema for word in ("$ref", "allOf", "anyOf", "oneOf")) or isinstance(
            schema.get("type"), list
        ):
            inner = self.node(schema, path, within)
            return replace(inner, nullable=nullable or inner.nullable)
        return self._bare(schema, path, within, nullable)

    def _resolved(
        self, schema: Mapping[str, Any], path: tuple[str, ...], within: tuple[str, ...]
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        while True:
            if "$ref" in schema:
                reference = str(schema["$ref"])
                if reference in within:
                    raise refuse(
                        path, f"it holds itself ({reference}); neither the API nor Parquet has recursion"
                    )
                within = (*within, reference)
                rest = {name: value for name, value in schema.items() if name != "$ref"}
                schema = {**self._referenced(reference, path), **rest}
            elif isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
                rest = {name: value for name, value in schema.items() if name != "allOf"}
                schema = {**schema["allOf"][0], **rest}
            else:
                return schema, within

    def _referenced(self, reference: str, path: tuple[str, ...]) -> Mapping[str, Any]:
        found: Any = self.root if reference.startswith("#") else None
        for step in filter(None, reference.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise refuse(path, f"the reference {reference!r} leads nowhere in this schema")
        return {name: value for name, value in found.items() if name != "$defs"}

    def _without_null(
        self, schema: Mapping[str, Any], path: tuple[str, ...]
    ) -> tuple[Mapping[str, Any], bool]:
        """Remove null from a choice, a list of types or an enum, and return whether it was allowed."""
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return self._chosen(schema, word, path)
        kind, values = schema.get("type"), schema.get("enum")
        if isinstance(kind, list):
            others = [name for name in kind if name != "null"]
            if len(others) != 1:
                raise refuse(path, f"a column has one type, not {' or '.join(map(str, kind))}")
            return self._without_null_value({**schema, "type": others[0]}, values)[0], "null" in kind
        return self._without_null_value(schema, values)

    @staticmethod
    def _without_null_value(schema: Mapping[str, Any], values: Any) -> tuple[Mapping[str, Any], bool]:
        if isinstance(values, list) and None in values:
            return {**schema, "enum": [value for value in values if value is not None]}, True
        return schema, False

    @staticmethod
    def _chosen(
        schema: Mapping[str, Any], word: str, path: tuple[str, ...]
    ) -> tuple[Mapping[str, Any], bool]:
        choices = schema[word]
        if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
            raise refuse(path, f"{word} is not a list of schemas")
        others = [choice for choice in choices if choice.get("type") != "null"]
        rest = {name: value for name, value in schema.items() if name != word}
        nullable = len(others) < len(choices)
        if len(others) == 1:
            return {**others[0], **rest}, nullable
        if [choice.get("type") for choice in others] == ["number", "string"] and word == "anyOf":
            # Pydantic's own form of a Decimal; it does not say how many digits.
            return {**others[0], **rest, "type": "number", "format": "decimal"}, nullable
        names = (
            " or ".join(str(choice.get("type", choice.get("$ref", "?"))) for choice in others) or "nothing"
        )
        raise refuse(path, f"a column has one type, not {names}; only a union with null is possible")

    def _bare(
        self, schema: Mapping[str, Any], path: tuple[str, ...], within: tuple[str, ...], nullable: bool
    ) -> Node:
        if len(path) > MAX_DEPTH:
            raise refuse(path, f"deeper than {MAX_DEPTH} levels")
        description = schema.get("description")
        common = {"nullable": nullable, "description": description if isinstance(description, str) else None}
        if "enum" in schema or "const" in schema:
            return Node("enum", choices=read_choices(schema, path), **common)  # type: ignore[arg-type]
        kind = _kind(schema, path)
        _refuse_unknown(schema, kind, path)
        node = Node(kind, bounds=read_bounds(schema, kind, path), **common)  # type: ignore[arg-type]
        if kind == "array":
            if not isinstance(schema.get("items"), Mapping):
                raise refuse(path, "a list needs one type for its items (items)")
            return replace(node, item=self.node(schema["items"], (*path, "[]"), within))
        if kind == "object":
            return replace(node, fields=self._fields(schema, path, within))
        return node

    def _fields(
        self, schema: Mapping[str, Any], path: tuple[str, ...], within: tuple[str, ...]
    ) -> tuple[Field, ...]:
        properties, required = schema.get("properties"), schema.get("required", [])
        if not properties or not isinstance(properties, Mapping):
            hint = (
                "; a list of objects with a key and a value can be"
                if schema.get("additionalProperties")
                else ""
            )
            raise refuse(path, f"an object without named fields cannot be a column{hint}")
        if not isinstance(required, list) or (
            unknown := [name for name in required if name not in properties]
        ):
            raise refuse(
                path,
                f"required is not a list of its fields: {unknown if isinstance(required, list) else required!r}",
            )
        refuse_repeated(properties, path)
        found = []
        for name, schema_of_field in properties.items():
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise refuse((*path, name), f"more than {MAX_FIELDS} fields in all")
            check_name(name, path)
            node = self.node(schema_of_field, (*path, name), within)
            default = schema_of_field.get("default", ABSENT)
            if default is None and not node.nullable:
                raise refuse((*path, name), "its default is null, but null is no answer; make it Optional")
            default = ABSENT if default is None else default
            found.append(Field(name, node, name in required, ABSENT if name in required else default))
        return tuple(found)


def _kind(schema: Mapping[str, Any], path: Sequence[str]) -> Kind:
    name = schema.get("type", "object" if "properties" in schema else None)
    if name is None:
        raise refuse(path, "it has no type (Any?); a column needs one")
    if name not in _TYPES:
        raise refuse(path, f"no column holds the type {name!r}; there are {', '.join(sorted(_TYPES))}")
    form = schema.get("format")
    if name == "string" and form in _UNREADABLE_FORMATS:
        raise refuse(path, f"no column holds {_UNREADABLE_FORMATS[form]}")
    if name == "string" and form in _OF_FORMAT:
        return _OF_FORMAT[form]
    if name in ("string", "number") and form == "decimal":
        return "decimal"
    return _TYPES[name]


def _refuse_unknown(schema: Mapping[str, Any], kind: Kind, path: Sequence[str]) -> None:
    known = {"type", "format", *BOUNDS.get(kind, ()), *_SHAPE.get(kind, ())}
    for word in schema:
        if word not in known and word not in _NOTES and not word.startswith("x-"):
            raise refuse(path, f"the JSON schema keyword {word!r} cannot be held for a column of type {kind}")
