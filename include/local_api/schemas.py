"""A value that fits a JSON schema, made of nothing but the schema and one text."""

from __future__ import annotations

from typing import Any

_DEEP = 6
_FORMATS = {
    "date": "2026-11-22",
    "date-time": "2026-11-22T00:00:00Z",
    "time": "00:00:00Z",
    "email": "nobody@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: object, text: str) -> Any:
    """Return a value that fits ``schema``.

    :param text: what strings without a rule of their own become, and the value of what is no schema.
    """
    try:
        return _Example(schema, text).value(schema, 0)
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        return text


class _Example:
    def __init__(self, root: object, text: str) -> None:
        self.root, self.text = root, text

    def value(self, schema: object, depth: int) -> Any:
        if not isinstance(schema, dict):
            return self.text
        schema = self._chosen(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[0]
        return self._of_kind(kind, schema, depth)

    def _chosen(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Follow references and choose the first of several; deep down, null ends a recursion."""
        for _ in range(20):
            choices = schema.get("anyOf") or schema.get("oneOf")
            if isinstance(schema.get("$ref"), str):
                schema = self._referenced(schema["$ref"])
            elif choices:
                nulls = [choice for choice in choices if choice.get("type") == "null"]
                schema = nulls[0] if nulls and depth > _DEEP else choices[0]
            elif schema.get("allOf"):
                rest = {name: rule for name, rule in schema.items() if name != "allOf"}
                schema = {name: rule for part in (*schema["allOf"], rest) for name, rule in part.items()}
            else:
                break
        return schema

    def _referenced(self, reference: str) -> dict[str, Any]:
        found: Any = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(step, {}) if step and isinstance(found, dict) else found
        return found if isinstance(found, dict) else {}

    def _of_kind(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        if kind == "object":
            properties = schema.get("properties", {})
            names = schema.get("required", []) if depth > _DEEP else properties
            return {name: self.value(properties.get(name), depth + 1) for name in names}
        if kind == "array":
            count = schema.get("minItems", 0) if depth > _DEEP else max(1, schema.get("minItems", 1))
            return [self.value(schema.get("items"), depth + 1) for _ in range(count)]
        if kind in {"integer", "number"}:
            return _number(schema)
        if kind in {"boolean", "null"}:
            return True if kind == "boolean" else None
        return self._string(schema)

    def _string(self, schema: dict[str, Any]) -> str:
        text = _FORMATS.get(schema.get("format", ""), self.text)
        text = text.ljust(schema.get("minLength", 0), ".")
        return text[: schema.get("maxLength", len(text))]


def _number(schema: dict[str, Any]) -> int | float:
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum", -step if "maximum" in schema else 0))
    value: int | float = -(-least // step) * step
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        value += step
    most = schema.get("maximum", schema.get("exclusiveMaximum", value + step))
    return max(least, most) if value > most else value
