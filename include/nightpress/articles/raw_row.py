"""What every format yields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nightpress.articles.field_mapping import show_names
from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import InputError

Row: TypeAlias = tuple[int, Any]
"""Position counted from 1, and the row: a dict if it is as it should be."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not as wide as its header, or is the header once more."""

    values: int
    columns: int


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of a file, and what is known of it without them.

    :param shown: the file, for people; a file of an archive with the archive's name.
    :param columns: of a table; None when each row has its own fields.
    :param by_lines: positions are lines, so records have a number of their own.
    :param schema: the Arrow schema of a table that has one.
    """

    shown: str
    rows: Iterator[Row]
    columns: Sequence[str] | None = None
    by_lines: bool = False
    schema: Any = None


def check_columns(file: str, columns: Sequence[str], limits: ReadLimits) -> None:
    """Raise InputError unless a table has each name once, and not too many of them."""
    if len(columns) > limits.max_columns:
        raise InputError(
            f"{file} has {len(columns):,} columns, more than max_columns={limits.max_columns:,}; raise it if that is "
            "right, or say which ones to keep with metadata="
        )
    if len(set(columns)) < len(columns):
        seen: set[str] = set()
        repeated = next(name for name in columns if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"{file} has the column {show_names([repeated])} more than once; rename one of them")
