"""Check one row of a source: its id, its content and its other fields."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from nightpress.articles.article import Article, ReadStats, Rejected
from nightpress.articles.field_mapping import FieldPaths, value_at
from nightpress.articles.raw_row import BadRow
from nightpress.articles.reading_options import ReadOptions
from nightpress.articles.seen_ids import SeenIds
from nightpress.errors import InputError

_MAX_ID_CHARS = 1_000
_MAX_SHOWN_ID = 200
_EXACT_FLOAT = 2**53
_no_text = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class CheckContext:
    """State that is shared by the rows of all files of a source."""

    options: ReadOptions
    seen: SeenIds
    stats: ReadStats


class _Unusable(Exception):  # noqa: N818 - it never leaves this module
    """A row must be rejected.

    :param article_id: the id, if it is known.
    """

    def __init__(self, reason: str, detail: str, article_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.article_id = reason, detail, article_id


class RowChecker:
    """Checks the rows of one file."""

    def __init__(
        self, file: str, mapping: FieldPaths, columns: Mapping[str, str | None], context: CheckContext
    ) -> None:
        self._file, self._mapping, self._columns = file, mapping, dict(columns)
        self._seen, self._stats = context.seen, context.stats
        options = context.options
        self._max_fields = options.limits.max_columns
        self._metadata = None if options.metadata is None else frozenset(options.metadata)
        paths = (mapping.id, mapping.content, mapping.title)
        self._top = {
            path[0] for path in paths if path is not None and len(path) == 1 and path not in mapping.kept
        }
        self._nested = {path for path in paths if path is not None and len(path) > 1}
        self._opened = {path[0] for path in self._nested}
        self._simple = not self._nested and not self._columns and self._metadata is None
        self._id_name = "" if mapping.id is None else ".".join(mapping.id)
        # Names are the same in each row, so each is cleaned only once.
        self._clean_names: dict[str, str] = {}

    def __call__(self, row: Any, position: int, record: int) -> Article | Rejected:
        try:
            return self._article(row, position, record)
        except _Unusable as problem:
            shown = problem.article_id and _no_text.sub("\ufffd", problem.article_id[:_MAX_SHOWN_ID])
            return Rejected(shown, self._file, position, problem.reason, problem.detail, record)

    def _article(self, row: Any, position: int, record: int) -> Article:
        if type(row) is not dict:
            raise _not_a_row(row)
        mapping = self._mapping
        path = mapping.content
        content = row.get(path[0]) if len(path) == 1 else value_at(row, path)
        path = mapping.id or ()
        given_id = row.get(path[0]) if len(path) == 1 else value_at(row, path) if path else None
        if mapping.id_required and path:
            article_id = _read_id(given_id, self._id_name)
        else:
            article_id = _read_id(given_id, "") if _has_value(given_id) else ""
        if type(content) is not str:
            content = _joined(content)
        if type(content) is not str or not content or content.isspace():
            raise _without_text(content, ".".join(mapping.content), article_id or None)
        content = self._clean(content)
        if not article_id:
            article_id = blake2b(content.encode(), digest_size=16).hexdigest()
            self._stats.source.derived_ids += 1
        repeat = self._seen.add(article_id, content)
        if repeat is not None:
            raise _Unusable(repeat, "an earlier row has this id", article_id)
        path = mapping.title or ()
        title = self._title(row.get(path[0]) if len(path) == 1 else value_at(row, path)) if path else ""
        return Article(article_id, title, content, self._other_fields(row), self._file, position, record)

    def _other_fields(self, row: dict[str, Any]) -> dict[str, object]:
        if len(row) > self._max_fields and self._metadata is None:
            raise InputError(
                f"{self._file}: a row has {len(row):,} fields, more than max_columns={self._max_fields:,}; raise it "
                "if that is right, or say which ones to keep with metadata="
            )
        top = self._top
        if self._simple:
            names = self._clean_names
            return {
                names.get(name) or self._clean_name(name): self._clean(value)
                if type(value) is str
                else self._plain(value)
                for name, value in row.items()
                if name not in top
            }
        fields: dict[str, Any] = dict(self._columns)
        for name, value in row.items():
            if name in self._opened and isinstance(value, Mapping):
                fields.update(self._inside(name, value, row))
            elif name not in top:
                fields[name] = value
        kept = self._metadata
        return {
            self._clean(name): self._clean(value) if type(value) is str else self._plain(value)
            for name, value in fields.items()
            if kept is None or name in kept
        }

    def _inside(self, name: str, value: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields beside a nested id, content or title; dotted names where plain ones are taken."""
        used = {path[1] for path in self._nested if path[0] == name}
        return {
            f"{name}.{key}" if key in row else key: inner for key, inner in value.items() if key not in used
        }

    def _clean_name(self, name: str) -> str:
        cleaned = self._clean(name)
        if len(self._clean_names) < self._max_fields:
            self._clean_names[name] = cleaned
        return cleaned

    def _title(self, value: object) -> str:
        if type(value) is str:
            return self._clean(value)
        plain = self._plain(value)
        return "" if plain is None else str(plain)

    def _clean(self, text: str) -> str:
        """Replace characters that cannot be sent; the check is cheap, and replacements are rare."""
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
        if isinstance(value, (time, timedelta, UUID)):
            return str(value)
        if isinstance(value, bytes):
            return self._clean(value.decode("utf-8", "replace"))
        try:
            return msgspec.json.encode(value, enc_hook=str).decode()
        except (UnicodeEncodeError, TypeError, OverflowError):
            return self._clean(json.dumps(value, ensure_ascii=False, default=str))


def _has_value(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else value is not None


def _joined(content: object) -> object:
    r"""Return a list of paragraphs as one text; anything else unchanged.

    >>> _joined(["One.", None, {"type": "text", "text": "Two."}])
    'One.\n\nTwo.'
    """
    if not isinstance(content, list) or not content:
        return content
    texts = [part.get("text", part.get("content")) if isinstance(part, Mapping) else part for part in content]
    if any(text is not None and not isinstance(text, str) for text in texts):
        return content
    return "\n\n".join(text for text in texts if text)


def _not_a_row(row: object) -> _Unusable:
    if isinstance(row, BadRow):
        if row.values == row.columns:
            return _Unusable("repeated_header", "the names of the columns once more: were files joined?")
        return _Unusable("bad_row", f"{row.values} values where the header has {row.columns} columns")
    return _Unusable("not_an_object", f"it is of type {type(row).__name__}")


def _without_text(content: object, name: str, article_id: str | None) -> _Unusable:
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
        if article_id[:1] == "\ufeff":  # concatenated files may have byte order marks
            article_id = article_id.lstrip("\ufeff").lstrip()
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
    if isinstance(value, UUID) or type(value) is int:
        return str(value)
    whole = isinstance(value, (float, Decimal)) and math.isfinite(value) and value == math.floor(value)
    if whole and abs(value) < _EXACT_FLOAT:  # type: ignore[arg-type]
        return str(int(value))  # type: ignore[call-overload]
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
        kind = type(value).__name__
        raise _Unusable(
            "bad_id", f"the field {name!r} is of type {kind} or not finite; text or a number is needed"
        )
    return str(value)
