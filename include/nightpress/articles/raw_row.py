"""The rows that the reader of every format yields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nightpress.articles.field_names import (
    CONTENT_NAMES,
    ID_NAMES,
    LINK_NAMES,
    TITLE_NAMES,
    plain,
    show_names,
)
from nightpress.articles.reading_options import Reading
from nightpress.errors import InputError

Row: TypeAlias = tuple[int, Any]
"""Position counted from 1, and the row: a dict if it is valid."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row with another number of values than the header, or a repeated header."""

    values: int
    columns: int


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of a file, and facts about the file that are known before reading them.

    :param shown: the file's name for messages; for a file in an archive, with the archive's name.
    :param columns: columns of a table; None if each row has its own fields.
    :param by_lines: True if positions are line numbers, so that records are numbered separately.
    :param schema: the Arrow schema of a table that has one.
    """

    shown: str
    rows: Iterator[Row]
    columns: Sequence[str] | None = None
    by_lines: bool = False
    schema: Any = None


def check_columns(file: str, columns: Sequence[str], reading: Reading) -> None:
    """Raise InputError if a table has a repeated column name or too many columns.

    If only some fields are kept, the others may be many, and repeated if their names are not usual ones.
    """
    fields, limits, kept = reading.fields, reading.options.limits, reading.options.metadata
    named = {*(kept or ()), *(name for name in (fields.id, fields.content, fields.title) if name)}
    searched = {
        *(() if fields.content else CONTENT_NAMES),
        *(() if fields.id else (*ID_NAMES, *LINK_NAMES)),
        *(() if fields.title else TITLE_NAMES),
    }

    def used(name: str) -> bool:
        return kept is None or name in named or plain(name) in searched

    if kept is None and len(columns) > limits.max_columns:
        raise InputError(
            f"{file} has {len(columns):,} columns, more than max_columns={limits.max_columns:,}; raise it if that is "
            "right, or say which ones to keep with metadata="
        )
    repeated = next((name for name, count in Counter(columns).items() if count > 1 and used(name)), None)
    if repeated is not None:
        raise InputError(
            f"{file} has the column {show_names([repeated])} more than once; rename one of them, or say which "
            "fields to keep with metadata= (and which are the id, title and content with fields=)"
        )
