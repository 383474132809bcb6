"""The digest of the day, which is at the top of a report if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from nightpress.layout import DataRoot
from nightpress.reports.stored_days import is_published, open_answers

PIPELINE = "digest_of_the_day"
_MAX_THEMES = 12


@dataclass(frozen=True, slots=True)
class DigestTheme:
    """A theme that several articles share."""

    name: str
    articles: int | None
    gist: str


@dataclass(frozen=True, slots=True)
class DayDigest:
    """A summary of a day, as the model wrote it: text to be shown, never markup."""

    headline: str
    lead: str
    themes: Sequence[DigestTheme]


def read_digest(root: DataRoot, day: str) -> DayDigest | None:
    """Return the digest that was published for a day, or None.

    Any pipeline of that name is used if its answers have the columns ``headline`` and ``lead``.
    """
    if not is_published(root, PIPELINE, day):
        return None
    with open_answers(root.answers(PIPELINE, day)) as file:
        schema = file.schema_arrow
        if not {"headline", "lead"} <= {field.name for field in schema if pa.types.is_string(field.type)}:
            return None
        columns = [name for name in ("headline", "lead", "themes") if name in schema.names]
        for batch in file.iter_batches(1, columns=columns):
            for row in batch.to_pylist():
                if row["headline"] and row["lead"]:
                    return DayDigest(row["headline"], row["lead"], _themes(row.get("themes")))
    return None


def _themes(given: Any) -> list[DigestTheme]:
    themes = [theme for theme in given if isinstance(theme, dict)] if isinstance(given, list) else []
    return [
        DigestTheme(str(theme.get("name") or ""), _count(theme.get("articles")), str(theme.get("gist") or ""))
        for theme in themes[:_MAX_THEMES]
    ]


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None
