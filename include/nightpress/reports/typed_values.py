"""Show values of typed answers: lists as lists, models as labelled fields, in HTML and on one line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from nightpress.plain_text import Html

NOTHING = "–"
_SHORT = 60


def value_html(value: Any) -> Html:
    """Return a value as HTML."""
    if isinstance(value, dict):
        return fields_html(value.items())
    if isinstance(value, list):
        if not value:
            return Html('<span class="soft">none</span>')
        if not _all_short(value):
            items = (Html("<li>{}</li>").format(value_html(item)) for item in value)
            return Html("<ul>{}</ul>").format(Html("").join(items))
    if value is None:
        return Html('<span class="soft">{}</span>').format(NOTHING)
    return Html("<bdi>{}</bdi>").format(as_text(value))


def fields_html(fields: Iterable[tuple[str, Any]], marked: Iterable[str] = ()) -> Html:
    """Return named values as an HTML description list.

    :param marked: names of fields to emphasize.
    """
    stand_out = set(marked)
    terms = (
        Html('<div{}><dt>{}</dt><dd dir="auto">{}</dd></div>').format(
            Html(" class=differs") if name in stand_out else "", name, value_html(value)
        )
        for name, value in fields
    )
    return Html('<dl class="fields">{}</dl>').format(Html("").join(terms))


def as_text(value: Any) -> str:
    """Return a value on one line."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {as_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        if not value:
            return "none"
        return (", " if _all_short(value) else " | ").join(map(as_text, value))
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return str(value)


def _all_short(values: list[Any]) -> bool:
    return not any(isinstance(value, (dict, list)) or len(str(value)) > _SHORT for value in values)
