"""What is in the (truncated) text of a JSON value: the keys of its top object, and its lists of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nightpress.articles.field_names import WRAPPER_NAMES

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_MANY_KEYS = 50_000
_MAX_DEPTH = 20

Path = tuple[str, ...]


def parse_value(text: str) -> Any:
    """Return the value of a text, or None if it is not valid JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@dataclass(slots=True)
class JsonSurvey:
    """What is in the (truncated) text of one value.

    :param top: the kinds of the top object's values.
    :param lists: the lists of objects, by their path without the lists on the way, with the objects' keys; keys in
        a wrapper (``attributes``) count as the object's own.
    :param objects: the keys of the objects that are in no list, by their path.
    :param several: True if another value follows.
    """

    top: dict[str, str] = field(default_factory=dict)
    lists: dict[Path, set[str]] = field(default_factory=dict)
    objects: dict[Path, set[str]] = field(default_factory=dict)
    several: bool = False


def survey_json(text: str) -> JsonSurvey:
    """Return the keys and lists of a value."""
    survey = JsonSurvey()
    top = survey.top
    for path, kind in _events(text):
        if kind == "again":
            survey.several = True
            break
        if len(path) == 1 and path[0] != "[]":
            top[path[0]] = kind
        elif len(path) == 2 and path[1] == "[]":
            top[path[0]] = {"object": "objects", "text": "texts", "list": "lists"}.get(kind, "list")
        elif 1 < len(path) < 4 and "[]" not in path:
            survey.objects.setdefault(path[:-1], set()).add(path[-1])
        if "[]" in path:
            _add_to_lists(survey.lists, path, kind)
        if len(top) > _MANY_KEYS:
            break
    return survey


def _add_to_lists(lists: dict[Path, set[str]], path: Path, kind: str) -> None:
    """Add a value to the innermost list around it."""
    last = len(path) - 1 - path[::-1].index("[]")
    below = path[last + 1 :]
    if last and path[last - 1] == "[]":
        return  # a list of lists
    where = tuple(key for key in path[:last] if key != "[]")
    if not below and kind == "object":
        lists.setdefault(where, set())
    elif len(below) == 1 or (len(below) == 2 and below[0].lower() in WRAPPER_NAMES):
        lists.setdefault(where, set()).add(below[-1])


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
            yield tuple(stack[:_MAX_DEPTH]), "object" if part == "{" else "list"
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
            yield tuple(stack[:_MAX_DEPTH]), "text" if part[0] == '"' else "other"
        after_key = False


def _text_of(token: str) -> str:
    value = parse_value(token)
    return value if isinstance(value, str) else token
