"""Answers that do not fit their schema, for fault rules: what models do when it is not enforced."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MISFITS = (
    "wrong_type",
    "missing_field",
    "extra_field",
    "unknown_value",
    "too_large",
    "duplicate_key",
    "prose",
    "cut",
    "refusal",
    "empty",
)
"""Ways not to fit; a rule that names none takes them in turn."""

_TOO_LARGE = 10**40


def misfit_text(misfit: str, value: Any, schema: Any) -> tuple[str, str]:
    """Return a text that does not fit, and its stop reason.

    :param value: a value that fits; a schema without an enum or a number gets a value of the wrong type instead.
    """
    text = json.dumps(value, ensure_ascii=False)
    if misfit == "refusal":
        return "", "refusal"
    if misfit == "empty":
        return "", "end_turn"
    if misfit == "cut":
        return text[: len(text) // 2], "max_tokens"
    if misfit == "prose":
        return f"Here is the answer you asked for:\n\n{text}\n\nTell me if you need more.", "end_turn"
    if not isinstance(value, dict) or not value:
        return json.dumps([value, 1]), "end_turn"
    if misfit == "duplicate_key":
        name = next(iter(value))
        return f"{{{json.dumps(name)}: {json.dumps(value[name])}, {text[1:]}", "end_turn"
    changed = _CHANGES[misfit](value, schema) or _wrong_type(value, schema)
    return json.dumps(changed, ensure_ascii=False), "end_turn"


def with_other_capitals(value: Any, schema: Any) -> Any:
    """Return a fitting value with the capitals of its enum values changed, which the vendor says may happen."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        return {name: with_other_capitals(given, properties.get(name)) for name, given in value.items()}
    if isinstance(value, list):
        return [with_other_capitals(given, schema.get("items")) for given in value]
    choices = schema.get("anyOf") or [schema]
    listed = any(isinstance(choice, dict) and value in choice.get("enum", ()) for choice in choices)
    return value.swapcase() if listed and isinstance(value, str) else value


def _wrong_type(value: dict[str, Any], _schema: Any) -> dict[str, Any]:
    name = next(iter(value))
    return {**value, name: {"value": value[name], "unit": "none"}}


def _missing_field(value: dict[str, Any], _schema: Any) -> dict[str, Any]:
    # Remove all fields: a single one might be optional.
    return {"note": "none of the fields"} if value else {}


def _extra_field(value: dict[str, Any], _schema: Any) -> dict[str, Any]:
    return {**value, "explanation": "because the article says so"}


def _unknown_value(value: dict[str, Any], schema: Any) -> dict[str, Any] | None:
    return _changed(value, schema, lambda rule: bool(rule.get("enum")), "none of these")


def _too_large(value: dict[str, Any], schema: Any) -> dict[str, Any] | None:
    return _changed(value, schema, lambda rule: rule.get("type") == "integer", _TOO_LARGE)


def _changed(
    value: dict[str, Any], schema: Any, picks: Callable[[dict[str, Any]], bool], other: Any
) -> dict[str, Any] | None:
    """Return ``value`` with another value in the first field whose schema ``picks`` accepts."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, rule in (properties or {}).items():
        choices = rule.get("anyOf", [rule]) if isinstance(rule, dict) else []
        if name in value and any(isinstance(choice, dict) and picks(choice) for choice in choices):
            return {**value, name: other}
    return None


_CHANGES: dict[str, Callable[[dict[str, Any], Any], dict[str, Any] | None]] = {
    "wrong_type": _wrong_type,
    "missing_field": _missing_field,
    "extra_field": _extra_field,
    "unknown_value": _unknown_value,
    "too_large": _too_large,
}
