"""Why the API refuses the schema of a structured request (API documentation, "Structured outputs")."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

MAX_UNIONS = 16
MAX_OPTIONAL = 24
_REFUSED = {
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength"),
    "array": ("maxItems", "uniqueItems"),
    "object": ("minProperties", "maxProperties", "patternProperties"),
}
_TYPES = {*_REFUSED, "boolean", "null"}
_encode = msgspec.json.Encoder(order="sorted").encode


def schema_refusal(schema: object) -> str | None:
    """Return why a schema is refused, or None."""
    if not isinstance(schema, dict):
        return "Input should be a valid dictionary"
    try:
        return _refusal(_encode(schema))
    except RecursionError:
        return "Schema is too complex"


@lru_cache(maxsize=64)
def _refusal(text: bytes) -> str | None:
    schema = msgspec.json.decode(text)
    check = _Check(schema)
    found = check.refusal(schema, ())
    if found is None and check.unions > MAX_UNIONS:
        found = f"Schema has {check.unions} parameters with union types; at most {MAX_UNIONS} are supported"
    if found is None and check.optional > MAX_OPTIONAL:
        found = f"Schema has {check.optional} optional parameters; at most {MAX_OPTIONAL} are supported"
    return found


class _Check:
    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.unions = self.optional = 0

    def refusal(self, schema: Any, within: tuple[str, ...]) -> str | None:
        if not isinstance(schema, dict):
            return "Input should be a valid dictionary"
        if isinstance(reference := schema.get("$ref"), str):
            if reference in within:
                return f"Recursive schemas are not supported: {reference}"
            return self.refusal(self._referenced(reference), (*within, reference))
        choices = schema.get("anyOf") or schema.get("allOf")
        if isinstance(choices, list):
            self.unions += "anyOf" in schema
            return self._first(choices, within)
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            complex_ones = not isinstance(values, list) or any(
                isinstance(value, dict | list) for value in values
            )
            return "Complex types within enums are not supported" if complex_ones else None
        return self._of_type(schema, within)

    def _of_type(self, schema: dict[str, Any], within: tuple[str, ...]) -> str | None:
        kind = schema.get("type")
        if isinstance(kind, list):
            self.unions += 1
            return self._first([{**schema, "type": name} for name in kind], within)
        if not isinstance(kind, str) or kind not in _TYPES:
            return f"Schema type {str(kind)[:40]!r} is not supported"
        if refused := [name for name in _REFUSED.get(kind, ()) if name in schema]:
            return f"For '{kind}' type, properties {', '.join(refused)} are not supported"
        if kind == "array":
            if schema.get("minItems", 0) not in (0, 1):
                return "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
            return self.refusal(schema["items"], within) if "items" in schema else None
        return self._object(schema, within) if kind == "object" else None

    def _object(self, schema: dict[str, Any], within: tuple[str, ...]) -> str | None:
        if schema.get("additionalProperties") is not False:
            return "For 'object' type, 'additionalProperties' must be explicitly set to false"
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            return "properties: Input should be a valid dictionary"
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            return "required: Input should be a list of strings"
        self.optional += len(set(properties) - set(required))
        return self._first(list(properties.values()), within)

    def _first(self, schemas: list[Any], within: tuple[str, ...]) -> str | None:
        found = (self.refusal(schema, within) for schema in schemas)
        return next((refusal for refusal in found if refusal is not None), None)

    def _referenced(self, reference: str) -> Any:
        found: Any = self.root if reference.startswith("#") else None
        for step in filter(None, reference.removeprefix("#").split("/")):
            found = found.get(step) if isinstance(found, dict) else None
        return found
