"""A value that fits a JSON schema, derived from the schema and a text; another text gives another value.

Another model or system prompt changes about one field in four, so that a comparison shows differences.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from offline_api.described_rules import with_described_rules
from offline_api.excerpts import Excerpts

_DEEP = 6
_BUSHY = 2
_MAX_ITEMS = 3
_NULL_EVERY = 5
_ASKED_EVERY = 4
_LAST_MOMENT = datetime(2026, 11, 22, tzinfo=UTC)
_YEAR_SECONDS = 365 * 86_400


def _mix(data: bytes, seed: int) -> int:
    return (zlib.crc32(data, seed) * 0x9E3779B1 & 0xFFFFFFFF) >> 8


def _moment(number: int) -> datetime:
    return _LAST_MOMENT - timedelta(seconds=number * 31 % _YEAR_SECONDS)


_FORMATS: dict[str, Callable[[int], str]] = {
    "date": lambda number: _moment(number).date().isoformat(),
    "date-time": lambda number: f"{_moment(number):%Y-%m-%dT%H:%M:%SZ}",
    "time": lambda number: f"{_moment(number):%H:%M:%SZ}",
    "duration": lambda number: f"PT{number}S",
    "email": lambda number: f"reader{number}@example.com",
    "hostname": lambda _number: "example.com",
    "uri": lambda number: f"https://example.com/{number}",
    "ipv4": lambda number: f"192.0.2.{number % 255}",
    "ipv6": lambda number: f"2001:db8::{number % 9999}",
    "uuid": lambda number: f"00000000-0000-4000-8000-{number:012d}",
}


def example(schema: object, text: str, asked: str = "") -> Any:
    """Return a value that fits ``schema``: always the same one for the same text and way of asking.

    :param text: strings are taken from it; it is also the value when the schema is not valid.
    :param asked: identifies the model and the way of asking.
    """
    try:
        return _Example(schema, text, asked).value(schema, "", 0)
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        return text


class _Example:
    def __init__(self, root: object, text: str, asked: str) -> None:
        self.root, self.excerpts, self.asked = root, Excerpts(text), asked.encode("utf-8", "replace")
        self.seed = zlib.crc32(text.encode("utf-8", "replace"))

    def draw(self, path: str, below: int) -> int:
        """Return a number from 0 to ``below - 1`` that depends on the text, the place and ``asked``."""
        own = _mix(path.encode("utf-8", "replace"), self.seed)
        if self.asked and (other := _mix(self.asked, own)) % _ASKED_EVERY == 0:
            own = other
        return own % below

    def value(self, schema: object, path: str, depth: int) -> Any:
        if not isinstance(schema, dict):
            return self.excerpts.sentence(self.draw(path, 8))
        schema = with_described_rules(self._chosen(schema, path, depth))
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self.draw(path, len(schema["enum"]))]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[0]
        return self._of_kind(kind, schema, path, depth)

    def _chosen(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        """Follow references and choose one alternative; at a great depth, null ends a recursion."""
        for _ in range(20):
            choices = schema.get("anyOf") or schema.get("oneOf")
            if isinstance(schema.get("$ref"), str):
                rest = {name: rule for name, rule in schema.items() if name != "$ref"}
                schema = {**self._referenced(schema["$ref"]), **rest}
            elif choices:
                schema = self._one_of(choices, path, depth)
            elif schema.get("allOf"):
                rest = {name: rule for name, rule in schema.items() if name != "allOf"}
                schema = {name: rule for part in (*schema["allOf"], rest) for name, rule in part.items()}
            else:
                break
        return schema

    def _one_of(self, choices: list[dict[str, Any]], path: str, depth: int) -> dict[str, Any]:
        nulls = [choice for choice in choices if choice.get("type") == "null"]
        others = [choice for choice in choices if choice.get("type") != "null"]
        if nulls and (depth > _DEEP or not others or self.draw(f"{path}?", _NULL_EVERY) == 0):
            return nulls[0]
        return others[self.draw(f"{path}|", len(others))]

    def _referenced(self, reference: str) -> dict[str, Any]:
        found: Any = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(step, {}) if step and isinstance(found, dict) else found
        return found if isinstance(found, dict) else {}

    def _of_kind(self, kind: str, schema: dict[str, Any], path: str, depth: int) -> Any:
        if kind == "object":
            properties = schema.get("properties", {})
            names = schema.get("required", []) if depth > _DEEP else properties
            return {name: self.value(properties.get(name), f"{path}.{name}", depth + 1) for name in names}
        if kind == "array":
            return self._list(schema, path, depth)
        if kind in {"integer", "number"}:
            return self._number(schema, kind, path)
        if kind in {"boolean", "null"}:
            return self.draw(path, 2) == 1 if kind == "boolean" else None
        return self._string(schema, path)

    def _list(self, schema: dict[str, Any], path: str, depth: int) -> list[Any]:
        least = schema.get("minItems", 0)
        wanted = least if depth > _DEEP else max(least, 1)
        if depth <= _BUSHY:
            wanted = least + self.draw(f"{path}#", _MAX_ITEMS)
        wanted = min(wanted, schema.get("maxItems", wanted))
        found: list[Any] = []
        for index in range(4 * wanted + 40 if wanted else 0):
            item = self.value(schema.get("items"), f"{path}[]{index}", depth + 1)
            if not schema.get("uniqueItems") or item not in found:
                found.append(item)
            if len(found) == wanted:
                break
        return found

    def _string(self, schema: dict[str, Any], path: str) -> str:
        number = self.draw(path, 1_000_000)
        if make := _FORMATS.get(schema.get("format", "")):
            return make(number)
        # Items of a list are tags more often than sentences.
        text = self.excerpts.phrase(number) if "[]" in path.rpartition(".")[2] else ""
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        return self.excerpts.fitted(text or self.excerpts.sentences(number, least), least, most)

    def _number(self, schema: dict[str, Any], kind: str, path: str) -> int | float:
        """Return a multiple of the step within the bounds; 0 to 100 when there are none."""
        step = Decimal(str(schema.get("multipleOf", 1 if kind == "integer" else self._step(schema))))
        firsts = [
            *_steps(schema, "minimum", step, ROUND_CEILING, 0),
            *_steps(schema, "exclusiveMinimum", step, ROUND_FLOOR, 1),
        ]
        lasts = [
            *_steps(schema, "maximum", step, ROUND_FLOOR, 0),
            *_steps(schema, "exclusiveMaximum", step, ROUND_CEILING, -1),
        ]
        first, last = max(firsts, default=None), min(lasts, default=None)
        span = int(100 / step) or 1
        if first is None:
            first = Decimal(0) if last is None or last >= 0 else last - span
        last = first + span if last is None else min(last, first + 10**9)
        number = (first + self.draw(path, max(1, int(last - first) + 1))) * step
        return int(number) if number == int(number) else float(number)

    @staticmethod
    def _step(schema: dict[str, Any]) -> Decimal:
        return Decimal(1).scaleb(-min(2, int(schema.get("decimalPlaces", 2))))


def _steps(schema: dict[str, Any], name: str, step: Decimal, rounding: str, more: int) -> list[Decimal]:
    """Return a bound counted in steps, in a list; an empty list when the schema has no such bound."""
    if name not in schema:
        return []
    return [(Decimal(str(schema[name])) / step).to_integral_value(rounding) + more]
