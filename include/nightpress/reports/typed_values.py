"""Values of typed answers as they are read: lists as lists, models as labelled fields, in HTML and on one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

Escape = Callable[[object], str]

NOTHING = "–"
_SHORT = 60


def as_html(value: Any, shown: Escape) -> str:
    """Return a value as HTML; every text in it goes through ``shown``."""
    if isinstance(value, dict):
        return fields_as_html(value.items(), shown)
    if isinstance(value, list):
        if not value:
            return '<span class="soft">none</span>'
        if _all_short(value):
            return f"<bdi>{shown(as_text(value))}</bdi>"
        return f"<ul>{''.join(f'<li>{as_html(item, shown)}</li>' for item in value)}</ul>"
    if value is None:
        return f'<span class="soft">{NOTHING}</span>'
    return f"<bdi>{shown(as_text(value))}</bdi>"


def fields_as_html(fields: Iterable[tuple[str, Any]], shown: Escape, marked: Iterable[str] = ()) -> str:
    """Return named values as a list of terms.

    :param marked: names of fields that stand out.
    """
    stand_out = set(marked)
    terms = (
        f'<div{" class=differs" if name in stand_out else ""}><dt>{shown(name)}</dt><dd dir="auto">'
        f"{as_html(value, shown)}</dd></div>"
        for name, value in fields
    )
    return f'<dl class="fields">{"".join(terms)}</dl>'


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
