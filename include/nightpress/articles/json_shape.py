"""Detect the shape of a JSON file from its first bytes: array, lines, consecutive objects, or nested list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from nightpress.articles.field_mapping import content_rank, show_names
from nightpress.articles.reading_options import FieldMap, Reading
from nightpress.errors import InputError

Kind = Literal["array", "lines", "objects", "list", "columns", "split", "mapping", "empty"]
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_MANY_KEYS = 50_000


@dataclass(frozen=True, slots=True)
class Shape:
    """The layout of the articles.

    :param kind: ``array`` of objects; ``lines`` with one object each; ``objects``: one or more in sequence;
        ``list``: in an object, at ``path``; ``columns``, ``split``, ``mapping``: a table as pandas writes it.
    :param shown: the shape, for messages.
    """

    kind: Kind
    shown: str
    path: tuple[str, ...] = ()


def detect_shape(sample: bytes, whole: bool, by_lines: bool, reading: Reading, file: str) -> Shape:
    """Return the shape of a JSON file.

    :param sample: its first bytes, UTF-8.
    :param whole: True if the sample is the whole file.
    :param by_lines: True if its name shows that it has one value per line.
    :raises InputError: it is unclear where the articles are.
    """
    text = sample.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text and whole:
        return Shape("empty", "empty")
    if not text:
        return Shape("lines", "JSON lines")  # the sample has only blank lines
    given = reading.options.record_path
    if given is not None:
        return Shape("list", f"JSON, articles at {given!r}", tuple(given.split(".")))
    first, newline, rest = text.partition("\n")
    value = _value(first) if newline or whole else None
    if text[0] == "[":
        lines_of_lists = by_lines and isinstance(value, list) and not (value and isinstance(value[0], dict))
        return Shape("lines", "JSON lines") if lines_of_lists else Shape("array", "JSON array")
    if text[0] != "{":
        return Shape("lines", "JSON lines") if by_lines else Shape("array", "JSON array")
    rest = rest.strip()
    if isinstance(value, dict) and (rest or by_lines):
        return Shape("lines", "JSON lines")
    if value is None and by_lines and not _is_pretty(first):
        return Shape("lines", "JSON lines")  # the first line is broken or very long; its parser says so
    return _shape_of_object(text, reading.fields, file)


def _is_pretty(first_line: str) -> bool:
    return len(first_line) < 1000 and first_line.rstrip().endswith(("{", "[", ",", ":"))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shape_of_object(text: str, fields: FieldMap, file: str) -> Shape:
    """Distinguish a record from an object with a list of records, by the keys in its first bytes."""
    top, lists, several = _survey(text)
    if several:
        return Shape("objects", "JSON objects one after the other")
    wanted = fields.content
    if (wanted is not None and wanted.split(".")[0] in top) or _has_text(top):
        return Shape("objects", "one JSON object")
    if (table := _table_of_pandas(top, lists)) is not None:
        return table
    good = {path: keys for path, keys in lists.items() if wanted in keys or any(map(_is_content, keys))}
    if len(good) == 1 or (not good and len(lists) == 1):
        path = next(iter(good or lists))
        return Shape("list", f"JSON, articles at {'.'.join(path)!r}", path)
    if good:
        raise InputError(
            f"{file} has several lists of objects that can be the articles: {show_names(map('.'.join, good))}. Say "
            "which one it is: record_path='…'. No article is sent until then"
        )
    return Shape("objects", "one JSON object")


def _is_content(name: str) -> bool:
    return content_rank(name) < content_rank("")


def _has_text(top: dict[str, str]) -> bool:
    """Return whether the object itself has a text, possibly wrapped in an object."""
    return any(_is_content(name) and kind in {"text", "texts"} for name, kind in top.items())


def _table_of_pandas(top: dict[str, str], lists: dict[tuple[str, ...], set[str]]) -> Shape | None:
    """Recognize the output of ``DataFrame.to_json``: the default, and with orient split or index."""
    if set(top) >= {"columns", "data"} and top["data"] in {"lists", "list"} and ("data",) not in lists:
        return Shape("split", "JSON table (pandas, split)")
    if not top or set(top.values()) != {"object"}:
        return None
    if any(map(_is_content, top)):
        return Shape("columns", "JSON table (pandas, columns)")
    return Shape("mapping", "JSON object of articles by key") if len(top) > 1 or "0" in top else None


def _survey(text: str) -> tuple[dict[str, str], dict[tuple[str, ...], set[str]], bool]:
    """Return the kinds of the top object's values, its lists of objects with keys, and if more follows."""
    top: dict[str, str] = {}
    lists: dict[tuple[str, ...], set[str]] = {}
    for path, kind in _events(text):
        if kind == "again":
            return top, lists, True
        if len(path) == 1 and path[0] != "[]":
            top[path[0]] = kind
        elif len(path) == 2 and path[1] == "[]":
            top[path[0]] = {"object": "objects", "text": "texts", "list": "lists"}.get(kind, "list")
        if kind == "object" and path and path[-1] == "[]" and "[]" not in path[:-1]:
            lists.setdefault(path[:-1], set())
        elif "[]" in path[:-1] and path.index("[]") == len(path) - 2 and path[-1] != "[]":
            lists.setdefault(path[:-2], set()).add(path[-1])
        if len(top) > _MANY_KEYS:
            break
    return top, lists, False


def _events(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield path and kind of each value of a (truncated) JSON text; ``again`` for a second top value."""
    stack: list[str] = []  # one element for each open container: the key of its next value, or []
    containers: list[str] = []
    key, after_key, closed = "", False, False
    for match in _TOKEN.finditer(text):
        part = match[0]
        if closed:
            if part in "{[":
                yield (), "again"
            return
        if part in "{[":
            yield tuple(stack), "object" if part == "{" else "list"
            containers.append(part)
            stack.append("" if part == "{" else "[]")
        elif part in "}]":
            if not containers:
                return
            containers.pop()
            stack.pop()
            closed = not containers
        elif part == ":":
            after_key = True
            stack[-1] = key
            continue
        elif part != ",":
            if containers and containers[-1] == "{" and not after_key:
                key = _text_of(part)
                continue
            yield tuple(stack), "text" if part[0] == '"' else "other"
        after_key = False


def _text_of(token: str) -> str:
    value = _value(token)
    return value if isinstance(value, str) else token
