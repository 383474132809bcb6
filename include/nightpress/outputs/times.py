"""Readers of dates and times as JSON has them: RFC 3339 text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from nightpress.outputs.problems import MisfitError

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

    A moment is read in UTC, also one without an offset, and cut to microseconds; a time of day is in UTC.
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
