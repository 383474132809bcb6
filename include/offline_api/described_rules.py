"""Rules that a schema states in its descriptions.

The API accepts no bounds of numbers and lengths, so requests put them in descriptions, which the model reads:
``at least 3 items``, as Nightpress writes it, or ``{minItems: 3}``, as the SDK does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_END = r"(?![\w.]*\d)"
_WORDS = {
    "minLength": rf"at least {_NUMBER} characters",
    "maxLength": rf"at most {_NUMBER} characters",
    "minItems": rf"at least {_NUMBER} items",
    "maxItems": rf"at most {_NUMBER} items",
    "maxDigits": rf"at most {_NUMBER} digits in all",
    "decimalPlaces": rf"at most {_NUMBER} digits after the point",
    "minimum": rf"at least {_NUMBER}(?=[;)]|$)",
    "maximum": rf"at most {_NUMBER}(?=[;)]|$)",
    "exclusiveMinimum": rf"more than {_NUMBER}(?=[;)]|$)",
    "exclusiveMaximum": rf"less than {_NUMBER}(?=[;)]|$)",
    "multipleOf": rf"a multiple of {_NUMBER}(?=[;)]|$)",
}
_PATTERNS = {
    name: re.compile(rf"{words}|\b{name}: {_NUMBER}{_END}", re.IGNORECASE) for name, words in _WORDS.items()
}
_OF_TYPE = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": (
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "maxDigits",
        "decimalPlaces",
    ),
}


def with_described_rules(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``schema`` with the rules of its description as keywords; its own keywords come first."""
    description, kind = schema.get("description"), schema.get("type")
    if not isinstance(description, str) or not isinstance(kind, str):
        return schema
    return {**_told(kind, description), **schema}


@lru_cache(maxsize=1_000)
def _told(kind: str, description: str) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for name in _OF_TYPE.get(kind, ()):
        if found := _PATTERNS[name].search(description):
            number = found[1] or found[2]
            whole = name.startswith(("min", "max")) and name not in ("minimum", "maximum")
            rules[name] = int(number) if whole or name == "decimalPlaces" else number
    if kind == "array" and ("no item twice" in description or "uniqueItems: True" in description):
        rules["uniqueItems"] = True
    if "maxDigits" in rules:  # stay well below the limit, as a model would
        places = rules.get("decimalPlaces", 0)
        rules.setdefault("maximum", str(10 ** max(0, rules["maxDigits"] - places) - 1))
    return rules
