"""Articles and rejected rows, which the reader makes from a source's rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from nightpress.articles.source_report import SourceReport

REASONS = {
    "not_an_object": "the row is not an object with fields, but a list, a text or a number",
    "bad_row": "a row of a table has more or fewer values than the header has columns",
    "repeated_header": "a row of a table is its header once more, as in files that were joined; nothing is lost",
    "missing_id": "there is no id, or it is empty",
    "bad_id": "the id is neither text nor a number, holds NUL or a lone surrogate, or is over 1,000 characters",
    "missing_content": "there is no text, or only white space",
    "bad_content": "the content is not text",
    "repeated_id": "an earlier article has the same id and other content",
    "duplicate": "an earlier article has the same id and the same content; nothing is lost",
}
"""All reasons why the reader rejects a row. The shard writer adds ``too_large`` and ``missing_field``."""


class Article(msgspec.Struct, frozen=True, gc=False):
    """One article ready for a prompt.

    :param article_id: 1 to 1,000 characters, unique in the source; numbers as decimal text.
    :param title: empty if the source has none.
    :param content: the whole text, not cut.
    :param metadata: every other field: None, bool, int, float, str, date, datetime or Decimal; lists and
        objects as JSON text.
    :param file: the source file, as a user would write it.
    :param position: position of the row in the file, counted from 1: its first line in JSON lines and text
        tables, otherwise the number of the element or row.
    :param record: the number of the row, counted from 1 without the header; 0 if it equals the position.
    """

    article_id: str
    title: str
    content: str
    metadata: dict[str, object]
    file: str
    position: int
    record: int = 0


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """One row that is not sent.

    :param article_id: up to 200 characters of the id; None if the row has none.
    :param reason: one of :data:`REASONS`, ``too_large`` or ``missing_field``.
    :param detail: the cause in words; never text of the article.
    :param record: see :class:`Article`.
    """

    article_id: str | None
    file: str
    position: int
    reason: str
    detail: str
    record: int = 0


@dataclass(slots=True)
class ReadStats:
    """Statistics of reading.

    :param rows: rows read, including rejected rows.
    :param replaced_characters: NUL and lone surrogates, which no API accepts, replaced by U+FFFD.
    :param source: detections, field mapping, skipped files and warnings.
    """

    rows: int = 0
    replaced_characters: int = 0
    source: SourceReport = field(default_factory=SourceReport, compare=False)


def show_position(row: Article | Rejected) -> str:
    """Return the position of a row in its file for messages: ``record 229, line 1,204``, or ``row 7``.

    >>> show_position(Rejected(None, "a.csv", 1204, "missing_id", "", 229))
    'record 229, line 1,204'
    """
    if row.record:
        return f"record {row.record:,}, line {row.position:,}"
    return f"row {row.position:,}"
