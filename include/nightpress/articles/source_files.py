"""Find the files of a source, and open one with its compression undone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
from upath import UPath
from upath.extensions import ProxyUPath

from nightpress.errors import InputError
from nightpress.storage import StoragePath

log = logging.getLogger(__name__)

FORMATS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
KNOWN_SUFFIXES = f"{', '.join(FORMATS)} (all but .parquet also with .gz or .zst)"

_COMPRESSION_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def format_of(path: StoragePath) -> str | None:
    """Return the format that a file's name stands for, or None."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    if compressed:
        suffixes.pop()
    kind = FORMATS.get(suffixes[-1]) if suffixes else None
    return None if compressed and kind == "parquet" else kind


def find_files(source: StoragePath | Sequence[StoragePath], *, missing_ok: bool = False) -> list[StoragePath]:
    """Return the files of a source: sorted by name where a folder or a glob is meant.

    A folder means the files directly in it. In folders and globs, names that begin with a dot, an
    underscore (``_SUCCESS``) or README are ignored, and files of an unknown suffix are skipped with a warning.

    :param source: a file, a folder, a glob (``**`` descends into folders), or several of them.
    :param missing_ok: an absent file or folder and a glob without a match mean no files, not an error.
    :raises InputError: there is no such source, it may not be listed, or a named file is of no known format.
    """
    if not isinstance(source, (UPath, ProxyUPath)):
        return [file for one in source for file in find_files(one, missing_ok=missing_ok)]
    try:
        found = _find(source)
    except PermissionError:
        raise InputError(_no_permission(source)) from None
    if found is None:
        if missing_ok:
            return []
        raise InputError(
            f"there is nothing at {source}; name a file, a folder or a glob of {KNOWN_SUFFIXES} files, and check "
            "that this user can see it"
        )
    return found


def _find(source: StoragePath) -> list[StoragePath] | None:
    """Return the files, or None when there is nothing of that name."""
    if source.is_dir():
        return _choose(source.iterdir())
    if source.exists():
        if format_of(source) is None:
            raise InputError(f"{source} is of no known format; its name must end in {KNOWN_SUFFIXES}")
        return [source]
    globbed = next((n for n, part in enumerate(source.parts) if set("*?[") & set(part)), None)
    if globbed is None:
        return None
    base = source
    for _ in source.parts[globbed:]:
        base = base.parent
    if not base.is_dir():
        return None
    return _choose(base.glob("/".join(source.parts[globbed:]))) or None


def _choose(paths: Iterable[StoragePath]) -> list[StoragePath]:
    """Return those that hold articles, sorted."""
    chosen = {}
    for path in paths:
        if path.name.startswith((".", "_", "README")) or not path.is_file():
            continue
        if format_of(path) is None:
            log.warning("%s is skipped: its name does not end in %s", path, KNOWN_SUFFIXES)
            continue
        chosen[str(path)] = path
    return [chosen[name] for name in sorted(chosen)]


def _no_permission(path: StoragePath) -> str:
    return f"{path} may not be read by this user; give it permission to read the file and to list its folder"


@contextmanager
def open_file(path: StoragePath) -> Iterator[tuple[BinaryIO, bytes]]:
    """Open a file, decompressed if its first bytes say so, whatever its name; also give those bytes.

    :raises InputError: it is gone or may not be read; it is compressed and cut off or damaged.
    """
    compression: str | None = None
    problem = ""
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
            stream.seek(0)
            compression = next(
                (kind for magic, kind in _COMPRESSION_MAGIC.items() if head.startswith(magic)), None
            )
            if compression is None:
                yield stream, head
            else:
                with pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), compression) as plain:
                    yield plain, head
    except FileNotFoundError:
        problem = f"{path} is not there any more; restore it, or start again without it"
    except PermissionError:
        problem = _no_permission(path)
    except OSError as error:
        # Arrow's decompressor raises bare OSErrors; one with a number is the store's, and may pass.
        if compression is None or type(error) is not OSError or error.errno is not None:
            raise
        what = "cut off" if "truncated" in str(error).lower() else "damaged"
        problem = f"{path} is {compression}-compressed and {what}; copy it again from where it came"
    if problem:
        raise InputError(problem)
