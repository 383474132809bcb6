"""Read and check the articles of a source, one by one, in bounded memory."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from nightpress.articles.article import Article, FieldMap, ReadStats, Rejected
from nightpress.articles.file_rows import iter_rows
from nightpress.articles.raw_row import BadRow
from nightpress.articles.seen_ids import SeenIds
from nightpress.articles.source_files import find_files
from nightpress.errors import ConfigurationError
from nightpress.storage import StoragePath

__all__ = ["Article", "FieldMap", "ReadStats", "Rejected", "find_files", "iter_articles"]

_DEFAULT_FIELDS = FieldMap()
_MAX_ID_CHARS = 1_000
_MAX_SHOWN_ID = 200
_EXACT_FLOAT = 2**53
_no_text = re.compile("[\x00\ud800-\udfff]")


def iter_articles(
    source: StoragePath | Sequence[StoragePath],
    *,
    fields: FieldMap = _DEFAULT_FIELDS,
    limit: int | None = None,
    encoding: str = "utf-8",
    stats: ReadStats | None = None,
) -> Iterator[Article | Rejected]:
    """Yield every row of a source, in order, as an article or as rejected with its reason.

    :param source: what :func:`find_files` takes, or what it returned.
    :param fields: the source's names of id, content and title.
    :param limit: stop after so many articles; rejected rows do not count. None reads all.
    :param encoding: of CSV and TSV files; JSON and JSONL are UTF-8 by their standards.
    :param stats: is filled on the way, if given.
    :raises InputError: a file cannot be found, opened or parsed; names it, the place and the remedy.
    :raises ConfigurationError: Python knows no such encoding.
    """
    _check_encoding(encoding)
    stats = ReadStats() if stats is None else stats
    seen = SeenIds()
    left = math.inf if limit is None else limit
    for path in find_files(source) if left > 0 else ():
        check = _Checker(str(path), fields, seen, stats)
        for position, row in iter_rows(path, fields, encoding):
            stats.rows += 1
            checked = check(row, position)
            yield checked
            if isinstance(checked, Article):
                left -= 1
                if left <= 0:
                    return


def _check_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ConfigurationError(
            f"encoding is {encoding!r}, which Python does not know; try 'utf-8', 'cp1252', 'gb18030' or 'utf-16'"
        ) from None


class _Unusable(Exception):  # noqa: N818 - it never leaves this module
    """A row is to be rejected.

    :param article_id: as much as is known of it.
    """

    def __init__(self, reason: str, detail: str, article_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.article_id = reason, detail, article_id


class _Checker:
    """Checks the rows of one file."""

    def __init__(self, file: str, fields: FieldMap, seen: SeenIds, stats: ReadStats) -> None:
        self._file, self._fields, self._seen, self._stats = file, fields, seen, stats
        self._ours = frozenset((fields.id, fields.content, fields.title))

    def __call__(self, row: Any, position: int) -> Article | Rejected:
        try:
            return self._article(row, position)
        except _Unusable as problem:
            shown = problem.article_id and _no_text.sub("\ufffd", problem.article_id[:_MAX_SHOWN_ID])
            return Rejected(shown, self._file, position, problem.reason, problem.detail)

    def _article(self, row: Any, position: int) -> Article:
        if type(row) is not dict:
            raise _not_a_row(row)
        fields = self._fields
        article_id = _read_id(row.get(fields.id), fields.id)
        content = row.get(fields.content)
        if type(content) is not str or not content or content.isspace():
            raise _without_text(content, fields.content, article_id)
        content = self._clean(content)
        title = row.get(fields.title)
        repeat = self._seen.add(article_id, content)
        if repeat is not None:
            raise _Unusable(repeat, "an earlier row has this id", article_id)
        ours = self._ours
        metadata = {
            self._clean(name): self._clean(value) if type(value) is str else self._plain(value)
            for name, value in row.items()
            if name not in ours
        }
        return Article(article_id, self._title(title), content, metadata, self._file, position)

    def _title(self, value: object) -> str:
        if type(value) is str:
            return self._clean(value)
        plain = self._plain(value)
        return "" if plain is None else str(plain)

    def _clean(self, text: str) -> str:
        """Replace what cannot be sent; checking is nearly free, replacing is rare."""
        if "\x00" not in text:
            if text.isascii():
                return text
            try:
                text.encode()
            except UnicodeEncodeError:
                pass
            else:
                return text
        cleaned, replaced = _no_text.subn("\ufffd", text)
        self._stats.replaced_characters += replaced
        return cleaned

    def _plain(self, value: object) -> object:
        """Return a value that a column can hold."""
        if value is None or isinstance(value, (int, date, Decimal)):
            return value
        if isinstance(value, float):
            return None if math.isnan(value) else value
        if isinstance(value, (time, timedelta)):
            return str(value)
        if isinstance(value, bytes):
            return self._clean(value.decode("utf-8", "replace"))
        try:
            return msgspec.json.encode(value, enc_hook=str).decode()
        except (UnicodeEncodeError, TypeError, OverflowError):
            return self._clean(json.dumps(value, ensure_ascii=False, default=str))


def _not_a_row(row: object) -> _Unusable:
    if isinstance(row, BadRow):
        return _Unusable("bad_row", f"{row.values} values where the header has {row.columns} columns")
    return _Unusable("not_an_object", f"it is of type {type(row).__name__}")


def _without_text(content: object, name: str, article_id: str) -> _Unusable:
    if content is None or (isinstance(content, float) and math.isnan(content)):
        return _Unusable("missing_content", f"the field {name!r} is absent or empty", article_id)
    if isinstance(content, str):
        what = "is only white space" if content else "is empty"
        return _Unusable("missing_content", f"the field {name!r} {what}", article_id)
    return _Unusable("bad_content", f"the field {name!r} is of type {type(content).__name__}", article_id)


def _read_id(value: object, name: str) -> str:
    """Return an id as text: stripped, numbers in decimal (1.0 is ``1``)."""
    if type(value) is str:
        article_id = value.strip()
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        article_id = ""
    else:
        article_id = _number_id(value, name)
    if not article_id:
        raise _Unusable("missing_id", f"the field {name!r} is absent or empty")
    if len(article_id) > _MAX_ID_CHARS:
        raise _Unusable(
            "bad_id", f"it has {len(article_id):,} characters; {_MAX_ID_CHARS:,} are allowed", article_id
        )
    if not article_id.isprintable() and _no_text.search(article_id):
        raise _Unusable("bad_id", "it holds NUL or a lone surrogate", article_id)
    return article_id


def _number_id(value: object, name: str) -> str:
    whole = isinstance(value, (float, Decimal)) and math.isfinite(value) and value == math.floor(value)
    if whole and abs(value) < _EXACT_FLOAT:  # type: ignore[arg-type]
        return str(int(value))  # type: ignore[call-overload]
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
        kind = type(value).__name__
        raise _Unusable(
            "bad_id", f"the field {name!r} is of type {kind} or not finite; text or a number is needed"
        )
    return str(value)
