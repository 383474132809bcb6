"""Values and usual names inside nested objects and lists of a row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nightpress.articles.content_text import TextObject, text_of_content
from nightpress.articles.field_names import ERROR_NAMES, TEXT_KEYS, is_plain_name, show_names

Path = tuple[str, ...]

_LOCALE = re.compile(r"[a-z]{2}(?:[-_][A-Za-z]{2,4})?")
_MAX_DEPTH = 7
_MAX_OBJECTS = 5_000
_MAX_SHOWN_PATH = 120
_MIN_TEXT = 5


def value_at(row: Mapping[str, Any], path: Path) -> Any:
    """Return the value at a path, or None; a list on the way gives the list of what is at the rest of the path.

    >>> value_at({"body": {"blocks": [{"text": "One."}, {"text": "Two."}]}}, ("body", "blocks", "text"))
    ['One.', 'Two.']
    """
    value: Any = row
    for number, key in enumerate(path):
        if isinstance(value, list):
            return _value_in_list(value, path[number:])
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _value_in_list(values: Sequence[Any], path: Path) -> Any:
    found: list[Any] = []
    for part in values:
        value = value_at(part, path)
        if isinstance(value, list):
            found += value
        elif value is not None:
            found.append(value)
    return found[0] if len(found) == 1 else found or None


def unwrap(rows: Sequence[Mapping[str, Any]], path: Path) -> Path | None:
    """Follow an object that only wraps a text, such as ``{"rendered": …}``; None for any other object.

    Rich text is followed no further, and neither is an XML element with paragraphs.
    """
    values = [value for row in rows if (value := value_at(row, path)) is not None]
    objects = [value for value in values if isinstance(value, Mapping)]
    if len(objects) < len(values) or not objects:
        return path
    if any(isinstance(value, TextObject) for value in objects):
        if any("AbstractText" in value for value in objects):
            return (*path, "AbstractText")  # PubMed has a copyright notice beside it
        return path if any(value.text for value in objects if isinstance(value, TextObject)) else None
    for key in TEXT_KEYS:
        if any(isinstance(value.get(key), str) for value in objects):
            return (*path, key)
    locales = dict.fromkeys(key for value in objects for key in value)
    if locales and all(map(_LOCALE.fullmatch, locales)):
        return (*path, next(iter(locales)))
    return path if any(text_of_content(value) for value in objects) else None


def other_locales(rows: Sequence[Mapping[str, Any]], path: Path) -> list[str]:
    """Return the languages in which a text at a path is available, too."""
    if len(path) < 2 or not _LOCALE.fullmatch(path[-1]):
        return []
    around = (value_at(row, path[:-1]) for row in rows)
    keys = dict.fromkeys(key for value in around if isinstance(value, Mapping) for key in value)
    return [key for key in keys if key != path[-1] and _LOCALE.fullmatch(key)]


def nested_keys(rows: Sequence[Mapping[str, Any]], max_depth: int = _MAX_DEPTH) -> dict[Path, list[str]]:
    """Return the keys of each object inside the rows, by its path, the outer ones first; not those in lists."""
    found: dict[Path, dict[str, None]] = defaultdict(dict)
    level: list[tuple[Path, Mapping[str, Any]]] = [((), row) for row in rows]
    for depth in range(max_depth):
        inner = []
        for path, value in level[:_MAX_OBJECTS]:
            if path:
                found[path].update(dict.fromkeys(value))
            if depth + 1 < max_depth:
                inner += [
                    ((*path, key), part)
                    for key, part in value.items()
                    if isinstance(part, Mapping) and isinstance(key, str) and key.lower() not in ERROR_NAMES
                ]
        level = inner
    return {path: list(keys) for path, keys in found.items()}


def longest_text(rows: Sequence[Mapping[str, Any]]) -> Path | None:
    """Return the path of the field with the longest texts of several words; None if there is none."""
    lengths: dict[Path, int] = defaultdict(int)
    for row in rows[:50]:
        for path, length in _iter_texts(row, ()):
            lengths[path] += length
    return max(lengths, key=lambda path: lengths[path], default=None)


def _iter_texts(value: Any, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(value, str):
        if path and len(value) >= _MIN_TEXT and (" " in value.strip() or not value.isascii()):
            yield path, len(value)
    elif isinstance(value, list) and len(path) < _MAX_DEPTH:
        for part in value[:100]:
            yield from _iter_texts(part, path)
    elif isinstance(value, Mapping) and len(path) < _MAX_DEPTH:
        for key, part in value.items():
            yield from _iter_texts(part, (*path, str(key)))


def message_without_content(rows: Sequence[Mapping[str, Any]], columns: list[str], file: str) -> str:
    """Return the message about rows without a field for the content, which names the most likely one."""
    longest = longest_text(rows)
    name = ".".join(longest) if longest else ""
    words = (
        f"{file} has no field whose name says that it is the content (content, text, body …); it has "
        f"{show_names(columns)}. Say which one it is: fields={{'content': '…'}}; a dotted path leads into objects and "
        "lists"
    )
    if name and len(name) <= _MAX_SHOWN_PATH and all(is_plain_name(key) for key in longest or ()):
        words += f". The longest texts are in {name!r}: fields={{'content': {name!r}}}"
    lists = [key for key in columns if any(_is_list_of_objects(row.get(key)) for row in rows)]
    if lists and is_plain_name(lists[0]):
        words += f". If the articles are in a list inside, say which: record_path={lists[0]!r}"
    empty = [key for key in columns if rows and all(row.get(key) == [] for row in rows)]
    if empty and not lists and is_plain_name(empty[0]):
        words += (
            f". Its list {empty[0]!r} is empty: if articles are there on other days, say record_path={empty[0]!r}, and "
            "this file has none"
        )
    return words


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
