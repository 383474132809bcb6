"""Rules for names, choices and bounds in an output schema, and the error that names a place in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from nightpress.errors import ConfigurationError
from nightpress.outputs.nodes import Choice, Kind

MAX_CHOICES = 500
MAX_NAME = 128
_MAX_DIGITS = 38

NUMBER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
BOUNDS: dict[Kind, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "integer": (*NUMBER_BOUNDS, "format"),
    "number": (*NUMBER_BOUNDS, "format"),
    "decimal": (*NUMBER_BOUNDS, "maxDigits", "decimalPlaces"),
    "array": ("minItems", "maxItems", "uniqueItems"),
}
"""JSON schema keywords that restrict a value, by kind."""


def refuse(path: Sequence[str], what: str) -> ConfigurationError:
    """Return the error for a place in a schema.

    :param path: names from the top, ``[]`` for the items of a list.
    """
    place = ".".join(path).replace(".[]", "[]")
    return ConfigurationError(f"output field {place}: {what}" if place else f"output: {what}")


def check_name(name: str, path: Sequence[str]) -> None:
    """Refuse a name that a column cannot have.

    :raises ConfigurationError: it is empty, long, or has characters that cannot be shown.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise refuse(
            path, f"the field name {name[:40]!r} cannot be a column: 1 to {MAX_NAME} visible characters"
        )


def refuse_repeated(names: Iterable[str], path: Sequence[str]) -> None:
    """Refuse names that differ by case only: SQL takes them for one column.

    :raises ConfigurationError: two are alike.
    """
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.casefold(), name)) != name:
            raise refuse(path, f"the fields {other!r} and {name!r} are one column to SQL; rename one (alias)")


def read_bounds(schema: Mapping[str, Any], kind: Kind, path: Sequence[str]) -> dict[str, Any]:
    """Return the bounds of a value of ``kind``.

    :raises ConfigurationError: one is not usable, or no value is within them.
    """
    bounds = {name: _bound(name, schema[name], kind, path) for name in BOUNDS.get(kind, ()) if name in schema}
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")):
        if low in bounds and high in bounds and bounds[low] > bounds[high]:
            raise refuse(path, f"{low} {bounds[low]} is above {high} {bounds[high]}: no answer fits")
    return {name: value for name, value in bounds.items() if value is not False}


def read_choices(schema: Mapping[str, Any], path: Sequence[str]) -> tuple[Choice, ...]:
    """Return the values of an enum, or the single value of a const.

    :raises ConfigurationError: none, too many, of several types, or too large for a column.
    """
    values = [schema["const"]] if "const" in schema else schema["enum"]
    if not isinstance(values, list) or not values:
        raise refuse(path, "an enum needs at least one value")
    if len(values) > MAX_CHOICES:
        raise refuse(path, f"an enum of {len(values)} values; the most is {MAX_CHOICES}")
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {str, int, bool}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise refuse(path, f"the values of an enum are all text or all whole numbers, not {names}")
    if int in kinds and any(abs(value) >= 2**63 for value in values):
        raise refuse(path, "a value of the enum is too large for 64 bits")
    if str in kinds and any(not value.isprintable() for value in values):
        raise refuse(path, "a value of the enum has characters that cannot be shown")
    return tuple(dict.fromkeys(values))


def _bound(name: str, value: Any, kind: Kind, path: Sequence[str]) -> Any:
    if name in {"pattern", "format"}:
        fits = isinstance(value, str)
    elif name == "uniqueItems":
        fits = isinstance(value, bool)
    elif name in NUMBER_BOUNDS:
        return _number(name, value, kind, path)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        fits = fits and (name not in ("maxDigits", "decimalPlaces") or value <= _MAX_DIGITS)
    if not fits:
        most = f" of at most {_MAX_DIGITS}" if name in ("maxDigits", "decimalPlaces") else ""
        raise refuse(path, f"{name} is {value!r}; that is no usable value{most}")
    return value


def _number(name: str, value: Any, kind: Kind, path: Sequence[str]) -> Any:
    usable = isinstance(value, int | float) or (kind == "decimal" and isinstance(value, str))
    try:
        number = Decimal(str(value)) if usable and not isinstance(value, bool) else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or (name == "multipleOf" and number <= 0):
        raise refuse(path, f"{name} is {value!r}; a number is needed")
    return number if kind == "decimal" else value
