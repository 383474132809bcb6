"""Find the fields of a source for the id, the title and the content: as given, or by their usual names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightpress.articles.field_names import (
    CONTENT_NAMES,
    DOUBTFUL_CONTENT_NAMES,
    ERROR_NAMES,
    ID_NAMES,
    LINK_NAMES,
    METADATA_NAMES,
    TEXT_KEYS,
    TITLE_NAMES,
    WRAPPER_NAMES,
)
from nightpress.articles.reading_options import FieldMap
from nightpress.errors import InputError

_KNOWN = frozenset({*CONTENT_NAMES, *ID_NAMES, *LINK_NAMES, *TITLE_NAMES, *METADATA_NAMES})
NO_RANK = len(CONTENT_NAMES)
"""Rank of a name that is not usual for the content."""
_RANKS = {name: rank for rank, name in enumerate(CONTENT_NAMES)}
_PLAIN_NAME = re.compile(r"[A-Za-z_$@#][A-Za-z0-9_.$@#-]{0,39}")
_MAX_SHOWN = 30
_MIN_LINKS = 2

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldPaths:
    """Paths of keys to the id, title and content of a row.

    :param id: None means that the id is made from the content.
    :param id_required: True rejects a row without an id; False makes its id from its content.
    :param title: None means that there is no title.
    :param kept: fields used as title or id that the user did not name; they also stay metadata fields.
    """

    content: Path
    id: Path | None = None
    title: Path | None = None
    id_required: bool = True
    kept: frozenset[Path] = frozenset()

    def shown(self) -> dict[str, str]:
        """Return the mapping for messages: id, title and content to the source's names."""
        made = "the content (a hash of it)"
        shown = {"content": repr(".".join(self.content))}
        shown["title"] = repr(".".join(self.title)) if self.title else "nothing (there is none)"
        shown["id"] = repr(".".join(self.id)) if self.id else made
        if self.id and not self.id_required:
            shown["id"] += f", else {made}"
        return shown


def plain(name: str) -> str:
    """Return a name without case, spaces and punctuation: ``Article_Body`` is ``articlebody``."""
    return "".join(character for character in name.casefold() if character.isalnum())


def known_name(name: str) -> bool:
    """Return whether this is a usual name for a field of articles."""
    return plain(name) in _KNOWN


def content_rank(name: str) -> int:
    """Return the rank of a name for the content; smaller is more usual, :data:`NO_RANK` is not usual."""
    return _RANKS.get(plain(name), NO_RANK)


def show_names(names: Iterable[str]) -> str:
    """Return names of fields for messages; text that may be personal data is replaced by its length.

    >>> show_names(["id", "anna@example.org", "Anna was here"])
    'id, <16 characters>, <13 characters>'
    """
    listed = list(names)
    if not listed:
        return "none at all"
    shown = [
        name if _PLAIN_NAME.fullmatch(name) and "@" not in name[1:] else f"<{len(name):,} characters>"
        for name in listed[:_MAX_SHOWN]
    ]
    return ", ".join(shown) + (f" and {len(listed) - _MAX_SHOWN:,} more" if len(listed) > _MAX_SHOWN else "")


def value_at(row: Mapping[str, Any], path: Path) -> Any:
    """Return the value at a path, or None."""
    if len(path) == 1:
        return row.get(path[0])
    value: Any = row
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def map_fields(
    rows: Sequence[Mapping[str, Any]], fields: FieldMap, file: str, names: Sequence[str] | None = None
) -> tuple[FieldPaths, list[str]]:
    """Return where id, title and content are, and warnings about doubtful choices.

    :param rows: the first rows of the file.
    :param names: the columns of a table, which are known without rows.
    :raises InputError: there is no field for the content, or a given name does not exist.
    """
    columns = list(names) if names is not None else list(dict.fromkeys(key for row in rows for key in row))
    warnings: list[str] = []
    content = _content_path(rows, columns, fields, file, warnings)
    wrapper = content[:1] if len(content) > 1 and content[0] not in _inside_of(content) else ()
    title: Path | None = None
    article_id: Path | None = None
    required, kept = True, set[Path]()
    if fields.title is not None:
        title = _given(rows, columns, fields.title, "title", file)
    elif (found := _usual(rows, columns, TITLE_NAMES, wrapper, taken={content})) is not None:
        title = found
        kept.add(found) if plain(found[-1]) != "title" and len(found) == 1 else None
    if fields.id is not None:
        article_id = _given(rows, columns, fields.id, "id", file)
    elif (found := _usual(rows, columns, ID_NAMES, wrapper, taken={content, title or ()})) is not None:
        article_id = found
        kept.add(found) if found[-1] not in ("id", "_id", "$oid") and len(found) == 1 else None
    elif (found := _link(rows, columns, wrapper, {content, title or ()})) is not None:
        article_id, required = found, False
        kept.add(found)
    return FieldPaths(content, article_id, title, required, frozenset(kept)), warnings


def _inside_of(content: Path) -> tuple[str, ...]:
    """Return the first key if the rest only unwraps it: ``content.rendered``, but not ``row.text``."""
    return content[:1] if content[-1] in TEXT_KEYS and plain(content[0]) in CONTENT_NAMES else ()


def _content_path(
    rows: Sequence[Mapping[str, Any]], columns: list[str], fields: FieldMap, file: str, warnings: list[str]
) -> Path:
    if fields.content is not None:
        return _given(rows, columns, fields.content, "content", file)
    taken: set[Path] = {(name,) for name in (fields.id, fields.title) if name}
    found = _usual(rows, columns, CONTENT_NAMES, (), taken)
    if found is None:
        for wrapper in _wrappers(rows, columns):
            found = _usual(rows, columns, CONTENT_NAMES, wrapper, taken)
            if found is not None:
                break
    if found is None:
        raise InputError(
            f"{file} has no field whose name says that it is the content (content, text, body …); it has "
            f"{show_names(columns)}. Say which one it is: fields={{'content': '…'}}; a dotted path leads into objects"
        )
    if plain(found[-1]) in DOUBTFUL_CONTENT_NAMES:
        warnings.append(
            f"the content is taken from the field {'.'.join(found)!r}, for want of a better one; say which it is with "
            "fields={'content': '…'}"
        )
    others = [name for name in columns if plain(name) in CONTENT_NAMES[:12] and (name,) != found[:1]]
    if others and len(found) == 1 and plain(found[0]) != "content":
        warnings.append(
            f"the content is taken from {found[0]!r}, though there is {show_names(others[:3])} too; say which it is "
            "with fields={'content': '…'}"
        )
    return found


def _given(rows: Sequence[Mapping[str, Any]], columns: list[str], name: str, ours: str, file: str) -> Path:
    """Return the path of a name that the user gave; a title may be absent.

    :raises InputError: the field does not exist.
    """
    path = tuple(name.split("."))
    if name in columns:
        return (name,)
    if path[0] in columns and (
        len(path) > 1 and (not rows or any(value_at(row, path) is not None for row in rows))
    ):
        return path
    near = [column for column in columns if plain(column) == plain(name)]
    if len(near) == 1:
        return (near[0],)
    if ours == "title":
        return (name,)
    raise InputError(
        f"{file} has no column {name!r}, which fields names as the {ours}; it has {show_names(columns)}. Map the names "
        "(fields: id, content, title), or add a header line"
    )


def _usual(
    rows: Sequence[Mapping[str, Any]],
    columns: list[str],
    usual: Sequence[str],
    wrapper: Path,
    taken: set[Path],
) -> Path | None:
    """Return the field with the most usual name: exact names first, then ignoring case and punctuation."""
    names = columns if not wrapper else _keys_inside(rows, wrapper)
    by_name: dict[str, str] = {}
    for name in names:
        by_name.setdefault(plain(name), name)
        if name in usual:
            by_name[name] = name
    empty: Path | None = None
    for wanted in usual:
        if wanted not in by_name or (*wrapper, by_name[wanted]) in taken:
            continue
        path = _unwrap(rows, (*wrapper, by_name[wanted]))
        if (
            path is not None
            and usual is CONTENT_NAMES
            and rows
            and not any(value_at(row, path) for row in rows)
        ):
            empty = empty or path  # the field with the next usual name may hold the text
        elif path is not None:
            return path
    if empty is not None:
        return empty
    return None if not wrapper or usual is CONTENT_NAMES else _usual(rows, columns, usual, (), taken)


def _unwrap(rows: Sequence[Mapping[str, Any]], path: Path) -> Path | None:
    """Follow an object that only wraps a value, such as ``{"rendered": …}``; None for any other object."""
    values = [value for row in rows if (value := value_at(row, path)) is not None]
    objects = [value for value in values if isinstance(value, Mapping)]
    if not objects:
        return path
    if len(objects) < len(values):
        return path
    return next(
        ((*path, key) for key in TEXT_KEYS if any(isinstance(value.get(key), str) for value in objects)), None
    )


def _keys_inside(rows: Sequence[Mapping[str, Any]], path: Path) -> list[str]:
    inside = (value_at(row, path) for row in rows)
    return list(dict.fromkeys(key for value in inside if isinstance(value, Mapping) for key in value))


def _wrappers(rows: Sequence[Mapping[str, Any]], columns: list[str]) -> Iterator[Path]:
    """Yield fields that are objects, the usual wrappers of a whole record first."""
    objects = [name for name in columns if any(isinstance(row.get(name), Mapping) for row in rows)]
    objects = [name for name in objects if plain(name) not in ERROR_NAMES]
    usual = [name for name in WRAPPER_NAMES if name in objects]
    yield from ((name,) for name in usual)
    yield from ((name,) for name in objects if name not in usual)


def _link(
    rows: Sequence[Mapping[str, Any]], columns: list[str], wrapper: Path, taken: set[Path]
) -> Path | None:
    """Return a URL or slug field that can serve as the id: it has values in the first rows, all different."""
    path = _usual(rows, columns, LINK_NAMES, wrapper, taken)
    if path is None:
        return None
    values = [value for row in rows if isinstance(value := value_at(row, path), str) and value.strip()]
    return path if values and len(set(values)) == len(values) else None
