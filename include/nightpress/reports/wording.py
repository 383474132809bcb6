"""Format counts, amounts, shares and times, the same for the page and Markdown."""

from __future__ import annotations

from datetime import date, datetime

OFFLINE = (
    "These answers came from the offline API: no model was called and nothing was billed. Amounts are what the real "
    "API would have cost."
)


def count(number: int | None) -> str:
    """Write a count; None means that it was not recorded."""
    return "–" if number is None else f"{number:,}"


def counted(number: int, thing: str, things: str = "") -> str:
    """Write a count with its noun."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def share(part: float, whole: float) -> str:
    """Write a share in percent; only the whole is written as 100 %, and only nothing as 0 %."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in {0, 100} else f"{percent:.1f} %"


def duration(seconds: float | None) -> str:
    """Write a time span by its two largest units."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def long_day(day: str) -> str:
    """Write a day in full: Sunday, 22 November 2026."""
    parsed = date.fromisoformat(day)
    return f"{parsed:%A}, {parsed.day} {parsed:%B} {parsed.year}"


def short_day(day: str) -> str:
    """Write a day for a column heading: 22 Nov."""
    parsed = date.fromisoformat(day)
    return f"{parsed.day} {parsed:%b}"


def moment(at: datetime) -> str:
    """Write an instant to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
