"""What the reader makes of a source's rows."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from nightpress.errors import ConfigurationError

REASONS = {
    "not_an_object": "the row is no object with fields, but a list, a text or a number",
    "bad_row": "a CSV row has more or fewer values than the header has columns",
    "missing_id": "there is no id, or it is empty",
    "bad_id": "the id is neither text nor a number, holds NUL or a lone surrogate, or is over 1,000 characters",
    "missing_content": "there is no text, or only white space",
    "bad_content": "the content is not text",
    "repeated_id": "an earlier article has the same id and other content",
    "duplicate": "an earlier article has the same id and the same content; nothing is lost",
}
"""Why a row is rejected: the reader's whole set. The shard writer adds ``too_large`` and ``missing_field``."""


class Article(msgspec.Struct, frozen=True, gc=False):
    """One article ready for a prompt.

    :param article_id: 1 to 1,000 characters, unique in the source; numbers as decimal text.
    :param title: empty when the source has none.
    :param content: the whole text, not cut.
    :param metadata: every other field: None, bool, int, float, str, date, datetime or Decimal; lists and
        objects as JSON text.
    :param file: the source file, as a user would write it.
    :param position: row or element of the file, counted from 1; in JSONL and CSV the line it starts on.
    """

    article_id: str
    title: str
    content: str
    metadata: dict[str, object]
    file: str
    position: int


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """One row that is not sent.

    :param article_id: up to 200 characters of it; None when the row has none.
    :param reason: one of :data:`REASONS`, ``too_large`` or ``missing_field``.
    :param detail: what was seen; never text of the article.
    """

    article_id: str | None
    file: str
    position: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class FieldMap:
    """The source's names of the fields.

    :param id: required in every row.
    :param content: required in every row.
    :param title: used when there is one.
    :raises ConfigurationError: the names are not three different ones.
    """

    id: str = "id"
    content: str = "content"
    title: str = "title"

    def __post_init__(self) -> None:
        names = (self.id, self.content, self.title)
        if not all(names) or len(set(names)) < len(names):
            raise ConfigurationError(
                f"fields maps id, content and title to {', '.join(map(repr, names))}; name three different fields"
            )


@dataclass(slots=True)
class ReadStats:
    """Counted while reading.

    :param rows: rows seen, rejected ones included.
    :param replaced_characters: NUL and lone surrogates, which no API takes, replaced by U+FFFD.
    """

    rows: int = 0
    replaced_characters: int = 0
