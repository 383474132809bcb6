"""What the reader makes of a source's rows."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from include.errors import ConfigurationError


class Article(msgspec.Struct, frozen=True, gc=False):
    """An article ready for a prompt.

    :param title: empty when the source has none.
    :param content: the whole text, not cut.
    :param metadata: every other field of the row; lists and objects as JSON text.
    :param position: row, line or element in ``file``, counted from 1.
    """

    article_id: str
    title: str
    content: str
    metadata: dict[str, object]
    file: str
    position: int


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A row that is not sent.

    :param reason: one of :data:`REASONS`, or ``too_large``.
    :param detail: more about it; never the article's text.
    """

    article_id: str | None
    file: str
    position: int
    reason: str
    detail: str


REASONS = {
    "not_an_object": "the row is not an object with fields",
    "missing_id": "the row has no id",
    "bad_id": "the id is no text or number, has characters that are no text, or over 1,000 characters",
    "missing_content": "there is no text, or only white space",
    "bad_content": "the content is not text",
    "repeated_id": "an earlier row has the same id and other content",
    "duplicate": "an earlier row has the same id and the same content; nothing is lost",
}


@dataclass(frozen=True, slots=True)
class FieldMap:
    """The source's names of the fields.

    :param id: required in every row.
    :param content: required in every row.
    :param title: used when there is one.
    """

    id: str = "id"
    content: str = "content"
    title: str = "title"

    def __post_init__(self) -> None:
        names = (self.id, self.content, self.title)
        if not all(names) or len(set(names)) < len(names):
            raise ConfigurationError(f"fields must be three different names, not {names}")


@dataclass(slots=True)
class ReadStats:
    """Counted while reading.

    :param replaced_characters: NUL and lone surrogates, which are no text, replaced by U+FFFD.
    """

    rows: int = 0
    replaced_characters: int = 0
