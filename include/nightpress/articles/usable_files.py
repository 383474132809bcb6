"""Choose the files of a folder or glob that hold articles, and say why the others are not read."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nightpress.articles.file_kinds import DOCUMENTS, KNOWN_SUFFIXES, format_of, why_unknown
from nightpress.articles.source_report import SourceReport
from nightpress.errors import InputError
from nightpress.storage import StoragePath, is_local

if TYPE_CHECKING:
    from nightpress.articles.source_files import SourceFile


_FEW_DOCUMENTS = 4
"""So many may lie beside data: a licence, notes."""


def choose_usable(
    place: StoragePath, entries: Iterable[SourceFile], globbed: bool, format_: str, report: SourceReport
) -> list[SourceFile]:
    """Return the files that hold articles, and report the others.

    :raises InputError: there are files, but none can be read.
    """
    chosen: dict[str, SourceFile] = {}
    skipped: dict[str, str] = {}
    for file in entries:
        if file.format == "other" or (is_local(file.path) and not _is_regular(file)):
            skipped[str(file.path)] = _why_not_regular(file)
        elif file.format == "ignored":
            skipped[str(file.path)] = (
                "its name, or a folder's, is one that tools use; name it alone to read it"
            )
        elif format_:
            chosen[str(file.path)] = replace(file, format=format_)
        elif file.format:
            chosen[str(file.path)] = file
        else:
            skipped[str(file.path)] = why_unknown(file.path.name)
    if not globbed and not format_ and {file.format for file in chosen.values()} - DOCUMENTS:
        _skip_documents(place, chosen, skipped)
    for name, reason in skipped.items():
        report.skip(name, reason)
    if skipped and not chosen:
        raise InputError(nothing_usable(place, skipped))
    return list(chosen.values())


def _skip_documents(place: StoragePath, chosen: dict[str, SourceFile], skipped: dict[str, str]) -> None:
    """Skip the documents beside data.

    :raises InputError: they may be the articles, and the data something beside them.
    """
    refuse_mostly_documents(place, list(chosen))
    for name in [name for name, file in chosen.items() if file.format in DOCUMENTS]:
        del chosen[name]
        skipped[name] = "it is a document beside data; name it, or use a glob such as *.txt, to read it"


def check_members(archive: StoragePath, kinds: Mapping[str, str]) -> None:
    """Raise InputError if it is unclear which files of an archive are the articles, or which rows are deleted.

    :param kinds: their formats by their names.
    """
    if any("_delta_log/" in name for name in kinds):
        raise InputError(f"{archive} is an archive of a Delta table; unpack it, and name the table's folder")
    refuse_mostly_documents(archive, [name for name, kind in kinds.items() if kind])


def refuse_mostly_documents(place: StoragePath, names: Sequence[str]) -> None:
    """Raise InputError if there are so many documents beside data that they may be the articles.

    :param names: of files whose names show their formats.
    """
    documents = [name for name in names if format_of(name.rsplit("/", 1)[-1]) in DOCUMENTS]
    taken = set(documents)
    data = [name for name in names if name not in taken]
    if data and len(documents) > max(_FEW_DOCUMENTS, len(data)):
        raise InputError(
            f"{place} holds {len(documents):,} documents ({documents[0]!r}, for example) and {len(data):,} file(s) of "
            f"data ({data[0]!r}), so it is unclear which are the articles; say so with a glob of a folder, such as "
            f"**/*.{documents[0].rpartition('.')[2]}, or name the data. No article is sent until then"
        )


def _is_regular(file: SourceFile) -> bool:
    if file.format in ("delta", "iceberg"):
        return True
    try:
        return stat.S_ISREG(Path(file.path.path).stat().st_mode)
    except OSError:
        return False


def _why_not_regular(file: SourceFile) -> str:
    if Path(file.path.path).is_dir():
        return "it is a link to a folder, which is not followed; name that folder too, to read it"
    return "it is a link to nothing" if Path(file.path.path).is_symlink() else "it is not a regular file"


def nothing_usable(place: StoragePath, skipped: dict[str, str]) -> str:
    if not skipped:
        return f"{place} is empty: there is no file in it or in its subfolders; name the folder that holds the articles"
    shown = "; ".join(f"{name.rsplit('/', 1)[-1]!r}: {why}" for name, why in list(skipped.items())[:5])
    more = f"; and {len(skipped) - 5:,} more" if len(skipped) > 5 else ""
    held = f"{place} holds {len(skipped):,} file(s), none of which can be read"
    return f"{held}: {shown}{more}. Known are {KNOWN_SUFFIXES}"
