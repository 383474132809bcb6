"""Check one row of a source: its id, its content and its other fields."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from nightpress.articles.article import Article, ReadStats, Rejected
from nightpress.articles.article_ids import NO_TEXT, NO_VALUES, UnusableRowError, has_id, is_no_text, read_id
from nightpress.articles.content_text import TextObject, text_of_content
from nightpress.articles.field_mapping import FieldPaths
from nightpress.articles.field_names import is_plain_name
from nightpress.articles.nested_fields import longest_text, value_at
from nightpress.articles.raw_row import BadRow
from nightpress.articles.reading_options import ReadOptions
from nightpress.articles.seen_ids import SeenIds
from nightpress.errors import InputError

_MAX_SHOWN_ID = 200


@dataclass(frozen=True, slots=True)
class CheckContext:
    """State that is shared by the rows of all files of a source."""

    options: ReadOptions
    seen: SeenIds
    stats: ReadStats


class RowChecker:
    """Checks the rows of one file."""

    def __init__(
        self, file: str, mapping: FieldPaths, columns: Mapping[str, str | None], context: CheckContext
    ) -> None:
        self._file, self._mapping, self._columns = file, mapping, dict(columns)
        self._remember, self._stats = context.seen.add, context.stats
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

    def check(self, row: Any, position: int, record: int) -> Article | Rejected:
        """Return the article of a row, or why it cannot be sent."""
        try:
            return self._article(row, position, record)
        except UnusableRowError as problem:
            shown = problem.article_id and NO_TEXT.sub("\ufffd", problem.article_id[:_MAX_SHOWN_ID])
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
            article_id = read_id(given_id, self._id_name)
        else:
            article_id = read_id(given_id, "") if has_id(given_id) else ""
        if type(content) is not str:
            text = text_of_content(content)
            content = content if text is None else text
        if type(content) is not str or content.isspace() or (len(content) < 16 and is_no_text(content)):
            raise _without_text(content, ".".join(mapping.content), article_id or None)
        if not content.isascii() or "\x00" in content:
            content = self._clean(content)
        if not article_id:
            article_id = blake2b(content.encode(), digest_size=16).hexdigest()
            self._stats.source.derived_ids += 1
        repeat = self._remember(article_id, content)
        if repeat is not None:
            what = "id" if mapping.id is not None and has_id(given_id) else "content"
            raise UnusableRowError(repeat, f"an earlier row has this {what}", article_id)
        path = mapping.title or ()
        title = "" if not path else row.get(path[0]) if len(path) == 1 else value_at(row, path)
        title = self._clean(title) if type(title) is str else self._title(title)
        if not self._simple or len(row) > self._max_fields:
            return Article(article_id, title, content, self._other_fields(row), self._file, position, record)
        top, names, clean = self._top, self._clean_names, self._clean  # here, since a call takes time
        metadata = {
            names.get(name) or self._clean_name(name): clean(value)
            if type(value) is str
            else self._plain(value)
            for name, value in row.items()
            if name not in top
        }
        return Article(article_id, title, content, metadata, self._file, position, record)

    def _other_fields(self, row: dict[str, Any]) -> dict[str, object]:
        if len(row) > self._max_fields and self._metadata is None:
            raise InputError(
                f"{self._file}: a row has {len(row):,} fields, more than max_columns={self._max_fields:,}; raise it "
                "if that is right, or say which ones to keep with metadata="
            )
        fields: dict[str, Any] = dict(self._columns)
        for name, value in row.items():
            if name in self._opened and isinstance(value, Mapping):
                fields.update(self._inside(name, value, row))
            elif name not in self._top:
                fields[name] = value
        kept = self._metadata
        return {
            self._clean(name): self._clean(value) if type(value) is str else self._plain(value)
            for name, value in fields.items()
            if kept is None or name in kept
        }

    def _inside(self, name: str, value: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields beside a nested id, content or title; dotted names where plain ones are taken."""
        used = [path[1:] for path in self._nested if path[0] == name]
        left = _without(value, used)
        return {f"{name}.{key}" if key in row else key: inner for key, inner in left.items()}

    def _clean_name(self, name: str) -> str:
        cleaned = self._clean(name)
        if len(self._clean_names) < self._max_fields:
            self._clean_names[name] = cleaned
        return cleaned

    def _title(self, value: object) -> str:
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return self._clean("; ".join(value))  # Solr and CrossRef write a list of one
        if isinstance(value, TextObject) and value.text:
            return self._clean(value.text)
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
        cleaned, replaced = NO_TEXT.subn("\ufffd", text)
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


def _without(value: Mapping[str, Any], paths: list[tuple[str, ...]]) -> dict[str, Any]:
    """Return a copy of an object without what is at these paths; the objects around it stay, unless empty."""
    left = {key: inner for key, inner in value.items() if (key,) not in paths}
    for key in dict.fromkeys(path[0] for path in paths if len(path) > 1):
        if isinstance(inner := left.get(key), Mapping):
            left[key] = _without(inner, [path[1:] for path in paths if path[0] == key])
            if not left[key]:
                del left[key]
    return left


def _not_a_row(row: object) -> UnusableRowError:
    if isinstance(row, BadRow):
        if row.values == row.columns:
            return UnusableRowError(
                "repeated_header",
                "the names of the columns once more (were files joined?), or a line under them",
            )
        return UnusableRowError("bad_row", f"{row.values} values where the header has {row.columns} columns")
    return UnusableRowError("not_an_object", f"it is of type {type(row).__name__}")


def _without_text(content: object, name: str, article_id: str | None) -> UnusableRowError:
    if content is None or (isinstance(content, float) and math.isnan(content)):
        return UnusableRowError("missing_content", f"the field {name!r} is absent or empty", article_id)
    if isinstance(content, str):
        what = "is empty" if not content else "is only white space"
        what = what if not content or content.isspace() else "has no visible character"
        what = f"has the word {content} for no value" if content and content in NO_VALUES else what
        return UnusableRowError("missing_content", f"the field {name!r} {what}", article_id)
    detail = f"the field {name!r} is of type {type(content).__name__}"
    inside = longest_text([{name: content}]) if isinstance(content, (list, Mapping)) else None
    if inside is not None and all(map(is_plain_name, inside[1:])):
        detail += f"; a text in it is read with fields={{'content': {'.'.join(inside)!r}}}"
    return UnusableRowError("bad_content", detail, article_id)
