"""Readers of numbers, dates and times in JSON; times are RFC 3339 text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from nightpress.outputs.nodes import Node
from nightpress.outputs.problems import MisfitError

_INT64 = 2**63
_LONGEST_EXACT = 20
_DECIMAL_TEXT = re.compile(r"-?\d{1,60}(?:\.\d{1,60})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def _wrong(wanted: str) -> MisfitError:
    return MisfitError("wrong_type", f"{wanted} is needed")


def integer_reader(node: Node) -> Callable[[Any], int]:
    """Return the reader of whole numbers of 64 bits; 3.0 counts as one, as in JSON schema."""
    check = _bounds_check(node)

    def read(value: Any) -> int:
        if (
            type(value) is Decimal
            and value.adjusted() < _LONGEST_EXACT
            and value == value.to_integral_value()
        ):
            value = int(value)
        if type(value) is not int:
            raise _wrong("a whole number")
        if not -_INT64 <= value < _INT64:
            raise MisfitError("out_of_range", "the number is too large for 64 bits")
        if check is not None:
            check(value)
        return value

    return read


def number_reader(node: Node) -> Callable[[Any], float]:
    """Return the reader of floating point numbers."""
    check = _bounds_check(node)

    def read(value: Any) -> float:
        if type(value) is not int and type(value) is not Decimal:
            raise _wrong("a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise MisfitError("out_of_range", "the number is too large")
        if check is not None:
            check(value)
        return number

    return read


def decimal_reader(node: Node) -> Callable[[Any], Decimal]:
    """Return the reader of decimals: a JSON number or a text with one; every digit is kept."""
    check = _bounds_check(node)
    precision, scale = node.precision_and_scale
    most_digits = node.bounds.get("maxDigits", precision)

    def read(value: Any) -> Decimal:
        if type(value) is str and _DECIMAL_TEXT.fullmatch(value):
            value = Decimal(value)
        elif type(value) is int:
            if abs(value) >= 10**precision:
                raise MisfitError(
                    "out_of_range", f"at most {precision - scale} digits before the point are possible"
                )
            value = Decimal(value)
        if type(value) is not Decimal:
            raise _wrong("a decimal number")
        number = _stripped(value)
        places = max(0, -_exponent(number))
        whole = max(0, number.adjusted() + 1)
        if places > scale:
            raise MisfitError("out_of_range", f"at most {scale} digits after the point are possible")
        if whole > precision - scale:
            raise MisfitError(
                "out_of_range", f"at most {precision - scale} digits before the point are possible"
            )
        if whole + places > most_digits:
            raise MisfitError("out_of_range", f"at most {most_digits} digits in all are possible")
        if check is not None:
            check(number)
        return number

    return read


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "JSON has no infinities here"
    return exponent


def _stripped(number: Decimal) -> Decimal:
    """Return the same number without zeros at its end; ``normalize`` would round to 28 digits."""
    if not number:
        return Decimal(0)
    sign, digits, exponent = number.as_tuple()
    if digits[-1] != 0:
        return number
    kept = len(digits)
    while kept > 1 and digits[kept - 1] == 0:
        kept -= 1
    assert isinstance(exponent, int), "JSON has no infinities here"
    return Decimal((sign, digits[:kept], exponent + len(digits) - kept))


def _bounds_check(node: Node) -> Callable[[int | Decimal], None] | None:
    """Return a function that raises for a number outside the node's bounds; None when it has none."""
    words: dict[str, tuple[str, Callable[[Decimal, Decimal], bool]]] = {
        "minimum": ("at least {}", lambda number, bound: number >= bound),
        "maximum": ("at most {}", lambda number, bound: number <= bound),
        "exclusiveMinimum": ("more than {}", lambda number, bound: number > bound),
        "exclusiveMaximum": ("less than {}", lambda number, bound: number < bound),
        "multipleOf": ("a multiple of {}", _is_multiple),
    }
    rules = [
        (words[name][0].format(bound), words[name][1], Decimal(str(bound)))
        for name, bound in node.bounds.items()
        if name in words
    ]
    if not rules:
        return None

    def check(value: int | Decimal) -> None:
        number = Decimal(value)
        for wanted, holds, bound in rules:
            if not holds(number, bound):
                raise MisfitError("out_of_range", f"{wanted} is needed")

    return check


def _is_multiple(number: Decimal, step: Decimal) -> bool:
    if number.adjusted() - step.adjusted() > 27:  # beyond the digits of a remainder
        return False
    return number % step == 0


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OFFSET = r"[Zz]|[+-]\d{2}:?\d{2}"
_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_MOMENT = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}[Tt ]{_CLOCK}(?:{_OFFSET})?", re.ASCII)
_TIME = re.compile(rf"{_CLOCK}(?:{_OFFSET})?", re.ASCII)
_TOO_FINE = re.compile(r"(\.\d{6})\d+")
_WANTED = {
    "date": "a date such as 2026-11-22 is needed",
    "date-time": "a date and time such as 2026-11-22T08:30:00Z is needed",
    "time": "a time of day in UTC such as 08:30:00Z is needed",
}


def time_reader(kind: str) -> Callable[[Any], date | datetime | time]:
    """Return the reader of ``date``, ``date-time`` or ``time``.

    A ``date-time`` is converted to UTC (without an offset it is UTC) and cut to microseconds; a ``time`` is in UTC.
    """
    pattern, parse = _FORMS[kind]
    wanted = _WANTED[kind]

    def read(value: Any) -> date | datetime | time:
        if type(value) is not str:
            raise MisfitError("wrong_type", wanted)
        try:
            if pattern.fullmatch(value):
                return parse(value)
        except (ValueError, OverflowError):
            pass
        raise MisfitError("bad_date", wanted)

    return read


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(_TOO_FINE.sub(r"\1", text).upper())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _time(text: str) -> time:
    clock = time.fromisoformat(_TOO_FINE.sub(r"\1", text).upper())
    if clock.utcoffset() not in (None, timedelta(0)):
        raise ValueError("an offset from UTC")
    return clock.replace(tzinfo=None)


_FORMS: dict[str, tuple[re.Pattern[str], Callable[[str], date | datetime | time]]] = {
    "date": (_DATE, date.fromisoformat),
    "date-time": (_MOMENT, _moment),
    "time": (_TIME, _time),
}
