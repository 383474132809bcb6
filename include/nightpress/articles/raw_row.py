"""What every format yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from nightpress.articles.article import FieldMap
from nightpress.errors import InputError
from nightpress.storage import StoragePath

MAX_ROW_CHARS = 256 * 1024 * 1024
"""No more of one row is read into memory: a batch holds less (API limit), so it could not be sent."""

Row: TypeAlias = tuple[int, Any]
"""Position counted from 1, and the row: a dict if it is as it should be."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not as wide as its header."""

    values: int
    columns: int


def check_columns(path: StoragePath, columns: list[str], fields: FieldMap) -> None:
    """Raise InputError unless the table has the columns that articles need, each name once."""
    missing = [repr(name) for name in (fields.id, fields.content) if name not in columns]
    if missing:
        raise InputError(
            f"{path} has no column {' and no column '.join(missing)}; it has {show_columns(columns)}. "
            "Map the names (fields: id, content, title), or add a header line"
        )
    if len(set(columns)) < len(columns):
        repeated = next(name for name in columns if columns.count(name) > 1)
        raise InputError(
            f"{path} has the column {show_columns([repeated])} more than once; rename one of them"
        )


def show_columns(columns: list[str]) -> str:
    """Name columns; where the header is missing they are an article's text, which must not be shown."""
    names = [
        name if len(name) <= 40 and len(name.split()) <= 3 else f"<{len(name):,} characters>"
        for name in columns[:30]
    ]
    return ", ".join(names) + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
