"""Detect the shape of a JSON file from its first bytes: array, lines, consecutive objects, or nested list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from nightpress.articles.field_names import (
    DOUBTFUL_CONTENT_NAMES,
    ID_NAMES,
    LINK_NAMES,
    NO_RANK,
    TEXT_KEYS,
    TITLE_NAMES,
    content_rank,
    plain,
    show_names,
    show_path,
)
from nightpress.articles.json_survey import JsonSurvey, Path, parse_value, survey_json
from nightpress.articles.reading_options import FieldMap, Reading
from nightpress.errors import InputError

Kind = Literal["array", "lines", "objects", "list", "columns", "split", "mapping", "empty"]
_SAMPLE_LINES = 500
_NAMED = frozenset({*ID_NAMES, *LINK_NAMES, *TITLE_NAMES})


@dataclass(frozen=True, slots=True)
class Shape:
    """The layout of the articles.

    :param kind: ``array`` of objects; ``lines`` with one object each; ``objects``: one or more in sequence;
        ``list``: in an object, at ``path``; ``columns``, ``split``, ``mapping``: a table as pandas writes it.
    :param shown: the shape, for messages.
    :param name: the path, for messages; of keys that may be personal data only the length.
    :param doubt: another reading that is possible, and how to choose it; empty if there is none.
    :param unsure: True if the sample has no text and is not the whole file, so that a longer sample may decide.
    """

    kind: Kind
    shown: str
    path: tuple[str, ...] = ()
    doubt: str = ""
    unsure: bool = False
    name: str = ""


def detect_shape(sample: str, whole: bool, by_lines: bool, reading: Reading, file: str) -> Shape:
    """Return the shape of a JSON file.

    :param sample: the beginning of its text.
    :param whole: True if the sample is the whole file.
    :param by_lines: True if its name shows that it has one value per line.
    :raises InputError: it is unclear where the articles are.
    """
    text = sample.lstrip("\ufeff \t\r\n")
    if not text and whole:
        return Shape("empty", "empty")
    if not text:
        return Shape("lines", "JSON lines")  # the sample has only blank lines
    given = reading.options.record_path
    if given is not None:
        return Shape("list", f"JSON, articles at {given!r}", tuple(given.split(".")), name=given)
    first, newline, rest = text.partition("\n")
    value = parse_value(first) if newline or whole else None
    if text[0] == "[":
        lines_of_lists = by_lines and isinstance(value, list) and not (value and isinstance(value[0], dict))
        return Shape("lines", "JSON lines") if lines_of_lists else _shape_of_array(text, reading.fields, file)
    if text[0] != "{":
        return Shape("lines", "JSON lines") if by_lines else Shape("array", "JSON array")
    rest = rest.strip()
    if isinstance(value, dict) and (rest or by_lines):
        return _shape_of_lines(text, reading.fields, file)
    if value is None and by_lines and not _is_pretty(first):
        return Shape("lines", "JSON lines")  # the first line is broken or very long; its parser says so
    return _shape_of_object(text, whole, reading.fields, file)


def _is_pretty(first_line: str) -> bool:
    return len(first_line) < 1000 and first_line.rstrip().endswith(("{", "[", ",", ":"))


def _shape_of_array(text: str, fields: FieldMap, file: str) -> Shape:
    """An array of articles, or of objects that have lists of articles, such as the pages of an API."""
    lists = survey_json(text).lists
    own = lists.pop((), set())
    if fields.content is None and not any(map(_is_content, own)):
        shape = _shape_of_lists(_only_named(lists), lists, file)
        if shape is not None:
            return shape
    return Shape("array", "JSON array")


def _shape_of_lines(text: str, fields: FieldMap, file: str) -> Shape:
    """An object a line: an article, or the page of an API with a list of articles.

    An article may lack its text or its title, so the first line alone does not decide.
    """
    survey = survey_json(text.partition("\n")[0])
    if fields.content is None and not any(map(_is_content, survey.top)):
        shape = _shape_of_lists(_only_named(survey.lists), survey.lists, file)
        if shape is not None and not _is_article(names := _names_in_lines(text)):
            return Shape("lines", "JSON lines") if any(map(_is_content, names)) else shape
    return Shape("lines", "JSON lines")


def _names_in_lines(text: str) -> set[str]:
    """Return the fields of the objects in the first lines."""
    values = map(parse_value, text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES])
    return {name for value in values if isinstance(value, dict) for name in value}


def _shape_of_object(text: str, whole: bool, fields: FieldMap, file: str) -> Shape:
    survey = survey_json(text)
    top, wanted = survey.top, fields.content
    if survey.several:
        return Shape("objects", "JSON objects one after the other")
    if wanted is not None and wanted.split(".")[0] in top:
        return Shape("objects", "one JSON object")
    good = {
        path: keys for path, keys in survey.lists.items() if wanted in keys or any(map(_is_content, keys))
    }
    if _has_own_text(survey, good):
        others = [path for path in good if not _is_content(path[0])]
        doubt = _other_lists(others, "the object is read as one article") if others else ""
        return Shape("objects", "one JSON object", doubt=doubt)
    if (table := _table_of_objects(survey)) is not None:
        return table
    shape = _shape_of_lists(good, survey.lists, file)
    if shape is not None:
        return shape
    outer = [path for path in survey.lists if not any(path[:n] in survey.lists for n in range(1, len(path)))]
    if len(outer) == 1:
        return _list_at(outer[0], unsure=not whole)
    return Shape("objects", "one JSON object", unsure=not whole)


def _has_own_text(survey: JsonSurvey, good: dict[Path, set[str]]) -> bool:
    """Return whether the object itself is an article; a message beside a list of articles is none."""
    for name, kind in survey.top.items():
        if not _is_content(name):
            continue
        doubtful = plain(name) in DOUBTFUL_CONTENT_NAMES and bool(good)
        parts = any(
            path[0] == name and not _has_names(keys) and (path in good or len(path) > 1)
            for path, keys in survey.lists.items()
            if path
        )
        wrapped = bool(survey.objects.get((name,), set()) & set(TEXT_KEYS))
        if parts or ((kind in {"text", "texts"} or wrapped) and not doubtful):
            return True
    return False


def _shape_of_lists(good: dict[Path, set[str]], every: Collection[Path], file: str) -> Shape | None:
    """Return the list whose objects most look like articles; None if there is no list.

    :param good: lists of objects with a text; without an id, a link or a title, they may be parts of an article.
    :param every: all lists of objects.
    :raises InputError: several of them do.
    """
    parts = {
        path
        for path, keys in good.items()
        if not _has_names(keys) and any(path[:n] in every for n in range(len(path)))
    }
    good = {path: keys for path, keys in good.items() if path not in parts}
    outer = {
        path: keys for path, keys in good.items() if not any(path[:n] in good for n in range(1, len(path)))
    }
    strong = {path: keys for path, keys in outer.items() if any(map(_is_strong, keys))}
    chosen = strong or outer
    if len(chosen) > 1:
        chosen = {path: keys for path, keys in chosen.items() if _has_names(keys)} or chosen
    if len(chosen) > 1:
        raise InputError(
            f"{file} has several lists of objects that can be the articles: {_show_paths(chosen)}. Say "
            f"which one it is: record_path={show_path(next(iter(chosen)))!r}, for example. No article is sent until "
            "then"
        )
    if not chosen:
        return None
    path = next(iter(chosen))
    others = [other for other in outer if other != path]
    taken = f"the articles are taken from the list {show_path(path)!r}"
    return _list_at(path, _other_lists(others, taken) if others else "")


def _list_at(path: Path, doubt: str = "", *, unsure: bool = False) -> Shape:
    shown = show_path(path)
    return Shape("list", f"JSON, articles at {shown!r}", path, doubt, unsure, shown)


def _other_lists(paths: list[Path], taken: str) -> str:
    return (
        f"{taken}, though other lists have texts too ({_show_paths(paths)}); record_path={show_path(paths[0])!r} reads "
        "such a list instead"
    )


def _show_paths(paths: Collection[Path]) -> str:
    return show_names(map(show_path, paths))


def _only_named(lists: dict[Path, set[str]]) -> dict[Path, set[str]]:
    """Return the lists whose objects have a text, and an id, a link or a title."""
    return {path: keys for path, keys in lists.items() if any(map(_is_content, keys)) and _has_names(keys)}


def _is_article(top: Collection[str]) -> bool:
    """Return whether an object has a title of its own, so that the lists in it are its parts."""
    return any(plain(name) in TITLE_NAMES for name in top)


def _is_content(name: str) -> bool:
    return content_rank(name) < NO_RANK


def _is_strong(name: str) -> bool:
    return _is_content(name) and plain(name) not in DOUBTFUL_CONTENT_NAMES


def _has_names(keys: set[str]) -> bool:
    return any(plain(key) in _NAMED for key in keys)


def _table_of_objects(survey: JsonSurvey) -> Shape | None:
    """Recognize the output of ``DataFrame.to_json``, and objects of articles by their keys."""
    top, objects = survey.top, survey.objects
    if set(top) >= {"columns", "data"} and top["data"] in {"lists", "list"} and ("data",) not in survey.lists:
        return Shape("split", "JSON table (pandas, split)")
    if not top or set(top.values()) != {"object"}:
        return None
    if any(map(_is_content, top)):
        return Shape("columns", "JSON table (pandas, columns)")
    if any(any(map(_is_content, objects.get((name,), ()))) for name in top):
        return Shape("mapping", "JSON object of articles by key") if len(top) > 1 or "0" in top else None
    by_key = dict.fromkeys(
        path[0] for path, keys in objects.items() if len(path) == 2 and any(map(_is_content, keys))
    )
    if len(by_key) == 1 and not survey.lists:
        name = next(iter(by_key))
        shown = show_path([name])
        return Shape("list", f"JSON, articles by key at {shown!r}", (name,), name=shown)
    return None
