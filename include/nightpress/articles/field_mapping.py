"""Find the fields of a source for the id, the title and the content: as given, or by their usual names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightpress.articles.content_text import TextObject, text_of_content
from nightpress.articles.field_names import (
    BESIDE_NAMES,
    CONTENT_NAMES,
    DOUBTFUL_CONTENT_NAMES,
    ERROR_NAMES,
    ID_NAMES,
    LINK_NAMES,
    PERSON_NAMES,
    TEXT_KEYS,
    TITLE_NAMES,
    WRAPPER_NAMES,
    plain,
    show_names,
    show_path,
)
from nightpress.articles.nested_fields import (
    Path,
    message_without_content,
    nested_keys,
    other_locales,
    unwrap,
    value_at,
)
from nightpress.articles.reading_options import FieldMap
from nightpress.errors import InputError


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
        shown = {"content": _shown(self.content)}
        shown["title"] = _shown(self.title) if self.title else "nothing (there is none)"
        shown["id"] = _shown(self.id) if self.id else made
        if self.id and not self.id_required:
            shown["id"] += f", else {made}"
        return shown


def _shown(path: Path) -> str:
    """Return a field for messages; a column's name was given or is a usual one, but not the keys around a field."""
    return repr(show_path(path) if len(path) > 1 else path[0])


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
    search = _Search(rows, columns, content, wrapper)
    if fields.title is not None:
        title = _given(rows, columns, fields.title, "title", file)
        if columns and title[0] not in columns:
            absent = f"there is no field {fields.title!r}, which fields names as the title"
            warnings.append(f"{absent}, so titles are empty; it has {show_names(columns)}")
    elif (found := search.name(TITLE_NAMES, {content})) is not None:
        title = found
        kept.add(found) if plain(found[-1]) != "title" and len(found) == 1 else None
    if fields.id is not None:
        article_id = _given(rows, columns, fields.id, "id", file)
    elif (found := search.name(ID_NAMES, {content, title or ()})) is not None:
        article_id = found
        kept.add(found) if found[-1] not in ("id", "_id", "$oid") and len(found) == 1 else None
    elif (found := _link(rows, columns, wrapper, {content, title or ()})) is not None:
        article_id, required = found, False
        kept.add(found)
    return FieldPaths(content, article_id, title, required, frozenset(kept)), warnings


@dataclass(frozen=True, slots=True)
class _Search:
    """Looks for the id and the title near the content: beside it, in the row, and in the objects around it.

    In a row of XML a title may be in any object, since records there are deeply nested.
    """

    rows: Sequence[Mapping[str, Any]]
    columns: list[str]
    content: Path
    wrapper: Path

    def name(self, usual: Sequence[str], taken: set[Path]) -> Path | None:
        """Return the field with the most usual of these names."""
        found = _usual(self.rows, self.columns, usual, self.wrapper, taken)
        if found is not None:
            return found
        around = [self.content[:length] for length in range(len(self.content) - 1, 0, -1)]
        around += [(name,) for name in BESIDE_NAMES if name in self.columns]
        if any(isinstance(value, TextObject) for row in self.rows[:20] for value in row.values()):
            around += [path for path in nested_keys(self.rows) if path not in around]
        around = [path for path in around if path == self.content[:1] or not _of_a_person(path)]
        # JATS and PubMed have titles of journals and sections, too.
        for names in ([name for name in usual if name.startswith("article")], usual):
            for path in around:
                found = _usual_inside(self.rows, names, path, taken)
                if found is not None:
                    return found
        return None


def _of_a_person(path: Path) -> bool:
    return any(plain(key) in PERSON_NAMES for key in path)


def _inside_of(content: Path) -> tuple[str, ...]:
    """Return the first key if the rest only unwraps it: ``content.rendered``, but not ``row.text``."""
    return content[:1] if content[-1] in TEXT_KEYS and plain(content[0]) in CONTENT_NAMES else ()


def _content_path(
    rows: Sequence[Mapping[str, Any]], columns: list[str], fields: FieldMap, file: str, warnings: list[str]
) -> Path:
    if fields.content is not None:
        return _given(rows, columns, fields.content, "content", file)
    taken: set[Path] = {(name,) for name in (fields.id, fields.title) if name}
    found, nested = _usual(rows, columns, CONTENT_NAMES, (), taken), False
    if found is None:
        found, nested = _wrapped(rows, columns, taken)
    if nested and found is not None and not _is_doubtful(found):
        warnings.append(
            f"the content is taken from the nested field {show_path(found)!r}; if that is wrong, say which it is with "
            "fields={'content': '…'}"
        )
    if found is None:
        raise InputError(message_without_content(rows, columns, file))
    if others := other_locales(rows, found):
        warnings.append(
            f"the content is in one language, from {show_path(found)!r}, though there is {show_names(others)} too; "
            "say which it is with fields={'content': '…'}"
        )
    if _is_doubtful(found):
        warnings.append(
            f"the content is taken from the field {show_path(found)!r}, for want of a better one; say which it is with "
            "fields={'content': '…'}"
        )
    others = [name for name in columns if plain(name) in CONTENT_NAMES[:12] and (name,) != found[:1]]
    if others and len(found) == 1 and plain(found[0]) != "content":
        warnings.append(
            f"the content is taken from {found[0]!r}, though there is {show_names(others[:3])} too; say which it is "
            "with fields={'content': '…'}"
        )
    return found


def _wrapped(
    rows: Sequence[Mapping[str, Any]], columns: list[str], taken: set[Path]
) -> tuple[Path | None, bool]:
    """Return the content inside an object, and whether the object's name does not say that it is the article."""
    for wrapper in _wrappers(rows, columns):
        found = _usual(rows, columns, CONTENT_NAMES, wrapper, taken)
        if found is not None:
            return found, wrapper[0] not in WRAPPER_NAMES and len(columns) > 1
    return _deeper(rows, taken), True


def _is_doubtful(path: Path) -> bool:
    return plain(path[-1]) in DOUBTFUL_CONTENT_NAMES


def _deeper(rows: Sequence[Mapping[str, Any]], taken: set[Path]) -> Path | None:
    """Return the content inside nested objects: the outermost field with a usual name that has a text."""
    paths = [path for path in nested_keys(rows) if not _of_a_person(path)]
    for doubtful in (False, True):
        names = [name for name in CONTENT_NAMES if doubtful == (name in DOUBTFUL_CONTENT_NAMES)]
        for path in paths:
            found = _usual_inside(rows, names, path, taken)
            if found is not None and any(text_of_content(value_at(row, found)) for row in rows):
                return found
    return None


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
    found = _usual_among(rows, columns if not wrapper else _keys_inside(rows, wrapper), usual, wrapper, taken)
    if found is not None:
        return found
    return None if not wrapper or usual is CONTENT_NAMES else _usual(rows, columns, usual, (), taken)


def _usual_inside(
    rows: Sequence[Mapping[str, Any]], usual: Sequence[str], path: Path, taken: set[Path]
) -> Path | None:
    """Return the field of an object with the most usual name; not of its parts."""
    return _usual_among(rows, _keys_inside(rows, path), usual, path, taken)


def _usual_among(
    rows: Sequence[Mapping[str, Any]], names: list[str], usual: Sequence[str], wrapper: Path, taken: set[Path]
) -> Path | None:
    """Return the field with the most usual name of these; a field that is always empty is the last resort."""
    by_name: dict[str, str] = {}
    for name in names:
        by_name.setdefault(plain(name), name)
        if name in usual:
            by_name[name] = name
    empty: Path | None = None
    for wanted in usual:
        if wanted not in by_name or (*wrapper, by_name[wanted]) in taken:
            continue
        path = unwrap(rows, (*wrapper, by_name[wanted]))
        if (
            path is not None
            and usual
            and usual[0] in CONTENT_NAMES
            and rows
            and not any(text_of_content(value_at(row, path)) for row in rows)
        ):
            empty = empty or path  # the field with the next usual name may hold the text
        elif path is not None:
            return path
    return empty


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
