"""Find the files of a source: in folders and their subfolders, in globs, in several sources at once."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fsspec.asyn import AsyncFileSystem
from upath import UPath
from upath.extensions import ProxyUPath

from nightpress.articles.file_kinds import DOCUMENTS, KNOWN_SUFFIXES, format_of
from nightpress.articles.lake_folders import refuse_parts_of_a_table, table_format, tables_among
from nightpress.articles.source_access import check_scheme, no_permission
from nightpress.articles.source_report import SourceReport
from nightpress.articles.usable_files import choose_usable, nothing_usable
from nightpress.errors import InputError
from nightpress.storage import StoragePath, is_local

_FOLDERS_OF_ARTICLES = frozenset({"_posts"})
"""Jekyll's folder of articles, whose name begins like that of a tool's folder."""
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that holds articles, or the folder of a table that is read as a whole.

    :param path: path of the file or folder.
    :param name: its path below the source, for messages and for the ids of documents.
    :param format: format by its name; empty if unknown. ``delta`` and ``iceberg`` are folders.
    :param size_bytes: None if no listing stated it.
    """

    path: StoragePath
    name: str
    format: str
    size_bytes: int | None = None

    def partition_columns(self) -> dict[str, str | None]:
        """Return the fields from the folders above it: ``lang=en`` is the field ``lang``.

        >>> SourceFile(UPath("memory://news/day=2026-11-22/lang=en/a.csv"), "a.csv", "csv").partition_columns()
        {'day': '2026-11-22', 'lang': 'en'}
        """
        columns: dict[str, str | None] = {}
        for part in self.path.parts[:-1]:
            name, equals, value = part.strip("/").partition("=")
            if equals and name:
                columns[unquote(name)] = None if value == _NULL_PARTITION else unquote(value)
        return columns


@dataclass(slots=True)
class SourceFiles(Sequence[SourceFile]):
    """The files of a source, in the order in which they are read.

    :param report: names the skipped files.
    """

    files: list[SourceFile] = field(default_factory=list)
    report: SourceReport = field(default_factory=SourceReport)

    def __getitem__(self, index: Any) -> Any:
        return self.files[index]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def paths(self) -> list[str]:
        """The paths, as a user would write them."""
        return [str(file.path) for file in self.files]


Source = StoragePath | SourceFile | Sequence[StoragePath | SourceFile]
"""One file, folder or glob, or several."""


def find_files(
    source: Source,
    *,
    missing_ok: bool = False,
    format: str | None = None,
) -> SourceFiles:
    """Return the files of a source; those of a folder or a glob are sorted by name.

    A folder means all files in it and its subfolders. Names that begin with a dot, an underscore (``_SUCCESS``)
    or README are ignored; other files without articles are skipped and reported. If a folder holds tables or
    JSON, documents beside them (a licence, notes) are not articles, unless a glob names them.

    :param source: a file, a folder, a glob of files or folders (``**`` descends), or several of them.
    :param missing_ok: True returns no files, without an error, if nothing exists or a glob matches nothing.
    :param format: read every file in this format, whatever its name.
    :raises InputError: the source does not exist, may not be listed, or holds no readable file.
    :raises ConfigurationError: the scheme of the source needs a package that is not installed.
    """
    report = SourceReport()
    found: dict[str, SourceFile] = {}
    for place in [source] if isinstance(source, (UPath, ProxyUPath, SourceFile)) else source:
        files = [place] if isinstance(place, SourceFile) else _find(place, missing_ok, format or "", report)
        # A file that is named twice is read once.
        found.update((str(file.path), file) for file in files if str(file.path) not in found)
    return SourceFiles(list(found.values()), report)


def _find(place: StoragePath, missing_ok: bool, format_: str, report: SourceReport) -> list[SourceFile]:
    check_scheme(place)
    problem = ""
    try:
        listed = _list(place)
    except PermissionError:
        problem = no_permission(place)
    if problem:
        raise InputError(problem)
    if listed is None:
        if missing_ok:
            return []
        raise InputError(
            f"there is nothing at {place}; name a file, a folder or a glob of files ({KNOWN_SUFFIXES}), and check that "
            "this user can see it"
        )
    if isinstance(listed, SourceFile):
        return [listed if not format_ else SourceFile(place, listed.name, format_, listed.size_bytes)]
    entries, globbed = listed
    chosen = choose_usable(place, entries, globbed, format_, report)
    if not chosen and not missing_ok:
        raise InputError(nothing_usable(place, {}))
    return chosen


def _list(place: StoragePath) -> SourceFile | tuple[list[SourceFile], bool] | None:
    """Return a file, or the files of a folder or glob and whether it is a glob; None if nothing exists."""
    if place.is_dir():
        if (table := table_format(place)) is not None:
            return SourceFile(place, place.name, table)
        if "=" in place.name:
            refuse_parts_of_a_table(place, set())
        return list(_walk(place)), False
    if place.exists():
        return SourceFile(place, place.name, format_of(place.name), _size_of_regular(place))
    start = next((n for n, part in enumerate(place.parts) if set("*?[") & set(part)), None)
    if start is None:
        return None
    base = place
    for _ in place.parts[start:]:
        base = base.parent
    if not base.is_dir():
        return None
    found = list(_glob(base, "/".join(place.parts[start:])))
    return (found, True) if found else None


def _walk(folder: StoragePath, base: StoragePath | None = None) -> Iterator[SourceFile]:
    """Yield the files below a folder, in the order of their paths; a Delta or Iceberg table as one."""
    prefix = _bare(folder)
    name_prefix = prefix if base is None else _bare(base)
    listed = sorted(_entries(folder), key=lambda entry: entry[0])
    entries = [(tuple(bare[len(prefix) :].lstrip("/").split("/")), bare, info) for bare, info in listed]
    tables = tables_among(parts for parts, _, _ in entries)
    for parts, bare, info in entries:
        inside = [parts[:length] for length in range(len(parts)) if parts[:length] in tables]
        if not inside:
            name = bare[len(name_prefix) :].lstrip("/")
            if (format_ := _format_unless_hidden(parts, info)) is not None:
                yield SourceFile(folder.joinpath(*parts), name, format_, info.get("size"))
        elif kind := tables[inside[0]]:
            tables[inside[0]] = ""  # it is yielded once
            table = folder.joinpath(*inside[0])
            yield SourceFile(table, table.name, kind)


def _entries(folder: StoragePath) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and description of each file, from one recursive listing if the store offers it.

    Otherwise list folder by folder, because fsspec's own walk silently skips folders that may not be listed.
    """
    fs = folder.fs
    if isinstance(fs, AsyncFileSystem):  # object stores
        yield from fs.find(folder.path, detail=True).items()
        return
    waiting = [folder.path]
    while waiting:
        for info in fs.ls(waiting.pop(), detail=True):
            name = str(info["name"]).rstrip("/")
            if info.get("type") != "directory":
                yield name, info
            elif not name.rsplit("/", 1)[-1].startswith("."):
                waiting.append(name)


def _glob(base: StoragePath, pattern: str) -> Iterator[SourceFile]:
    prefix = _bare(base)
    found = base.fs.glob(f"{prefix}/{pattern}", detail=True)
    named = [part for part in pattern.split("/") if part.startswith("_")]
    folders: set[StoragePath] = set()
    for name, info in sorted(found.items(), key=lambda entry: str(entry[0])):
        relative = str(name).rstrip("/")[len(prefix) :].lstrip("/")
        parts = tuple(relative.split("/"))
        if not relative:
            continue
        path = base.joinpath(*parts)
        if info.get("type") == "directory":
            if not pattern.endswith("**") and _format_unless_hidden(parts, info, named) not in (
                None,
                "ignored",
            ):
                refuse_parts_of_a_table(path, folders)
                yield from _walk(path, base)  # a pattern with ** at its end also finds the files inside
        elif (format_ := _format_unless_hidden(parts, info, named)) is not None:
            if format_ == "parquet":
                refuse_parts_of_a_table(path, folders)
            yield SourceFile(path, relative, format_, info.get("size"))


def _bare(path: StoragePath) -> str:
    return str(path.fs._strip_protocol(path.path)).rstrip("/")


def _format_unless_hidden(
    parts: Sequence[str], info: dict[str, Any], named: Sequence[str] = ()
) -> str | None:
    """Return the format by the name; None for what is no data by its name: hidden, of a tool, or a README.

    ``other`` is anything but a file or a link, such as a pipe; ``ignored`` a file that may be data after all.

    :param named: patterns of a glob that names files or folders whose names begin with an underscore.
    """
    last = parts[-1]
    if any(part.startswith((".", "~$")) and "=" not in part for part in parts):
        return None
    if last.lower() in ("thumbs.db", "desktop.ini"):
        return None
    format_ = format_of(last)
    of_a_tool = any(
        part.startswith("_") and "=" not in part and part not in _FOLDERS_OF_ARTICLES
        for part in parts
        if not any(fnmatchcase(part, pattern) for pattern in named)
    )
    if of_a_tool or last.startswith("README"):
        return "ignored" if format_ and not (format_ in DOCUMENTS and last.startswith("README")) else None
    # Of a link, the target is checked later.
    return format_ if info.get("type") in {"file", "link", "directory"} or info.get("islink") else "other"


def _size_of_regular(path: StoragePath) -> int | None:
    """Return the size of a regular file; reading a pipe or a device would block forever.

    :raises InputError: it is not a regular file.
    """
    if not is_local(path):
        return None
    status = Path(path.path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{path} is not a regular file but a pipe, a socket or a device; name a file or a folder"
        )
    return status.st_size
