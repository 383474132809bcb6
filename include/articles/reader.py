"""Read and check the articles of a source, one by one, in bounded memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from include.articles.files import find_files
from include.articles.formats import RaggedRow, iter_rows
from include.articles.model import Article, FieldMap, ReadStats, Rejected
from include.articles.seen import SeenIds
from include.storage import StoragePath

__all__ = ["Article", "FieldMap", "ReadStats", "Rejected", "find_files", "iter_articles"]

_MAX_ID_CHARS = 1_000
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_PLAIN = (bool, int, Decimal, date, datetime)


def iter_articles(
    source: StoragePath | Sequence[StoragePath],
    *,
    fields: FieldMap | None = None,
    limit: int | None = None,
    encoding: str = "utf-8",
    stats: ReadStats | None = None,
) -> Iterator[Article | Rejected]:
    """Yield every row of a source as an article, or as rejected with the reason.

    :param source: a file, folder or glob, or the files that :func:`find_files` found.
    :param limit: stop after so many articles; rejected rows do not count.
    :param encoding: of CSV files; JSON and JSONL are UTF-8.
    :param stats: filled on the way.
    :raises InputError: a file cannot be found, opened or parsed.
    """
    fields = fields or FieldMap()
    stats = stats if stats is not None else ReadStats()
    count = 0
    with SeenIds() as seen:
        for path in find_files(source):
            check = _Checker(str(path), fields, seen, stats)
            for position, row in iter_rows(path, fields, encoding):
                if limit is not None and count >= limit:
                    return
                stats.rows += 1
                checked = check(row, position)
                count += isinstance(checked, Article)
                yield checked


class _Checker:
    """Checks the rows of one file."""

    def __init__(self, file: str, fields: FieldMap, seen: SeenIds, stats: ReadStats) -> None:
        self.file, self.fields, self.seen, self.stats = file, fields, seen, stats
        self._ours = {fields.id, fields.content, fields.title}

    def __call__(self, row: Any, position: int) -> Article | Rejected:
        if isinstance(row, RaggedRow):
            detail = f"{row.values} values where the header has {row.columns} columns"
            return Rejected(None, self.file, position, "not_an_object", detail)
        if not isinstance(row, dict):
            return Rejected(None, self.file, position, "not_an_object", f"it is a {type(row).__name__}")
        article_id, problem = _read_id(row.get(self.fields.id), self.fields.id)
        if problem is not None:
            return Rejected(article_id, self.file, position, *problem)
        content = row.get(self.fields.content)
        if content is not None and not isinstance(content, str):
            detail = f"the field {self.fields.content!r} is a {type(content).__name__}"
            return Rejected(article_id, self.file, position, "bad_content", detail)
        if not content or content.isspace():
            return Rejected(article_id, self.file, position, "missing_content", "")
        content = self._clean(content)
        known = self.seen.add(article_id or "", content)
        if known is not None:
            return Rejected((article_id or "")[:200], self.file, position, known, "")
        title = row.get(self.fields.title)
        metadata = {
            self._clean(name): self._plain(value) for name, value in row.items() if name not in self._ours
        }
        title = "" if title is None else self._clean(title if isinstance(title, str) else str(title))
        return Article(article_id or "", title, content, metadata, self.file, position)

    def _clean(self, text: str) -> str:
        if text.isascii() and "\x00" not in text:
            return text
        cleaned, replaced = _NO_TEXT.subn("\ufffd", text)
        self.stats.replaced_characters += replaced
        return cleaned

    def _plain(self, value: object) -> object:
        """Return a value that a column can hold."""
        if isinstance(value, str):
            return self._clean(value)
        if value is None or isinstance(value, _PLAIN):
            return value
        if isinstance(value, float):
            return None if math.isnan(value) else value
        if isinstance(value, bytes):
            return self._clean(value.decode("utf-8", "replace"))
        return self._clean(msgspec.json.encode(value, enc_hook=str).decode("utf-8", "replace"))


def _read_id(value: object, name: str) -> tuple[str | None, tuple[str, str] | None]:
    """Return the id as text, or what is wrong with it: reason and detail."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None, ("missing_id", f"the field {name!r} is empty or not there")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None, ("bad_id", f"the field {name!r} is a {type(value).__name__}; text or a number is needed")
    article_id = str(value).strip()
    if not article_id:
        return None, ("missing_id", f"the field {name!r} is empty")
    if len(article_id) > _MAX_ID_CHARS:
        return article_id[:200].encode("utf-8", "replace").decode(), (
            "bad_id",
            f"{len(article_id):,} characters",
        )
    if _NO_TEXT.search(article_id):
        return None, ("bad_id", "it has characters that are no text (NUL or a lone surrogate)")
    return article_id, None
