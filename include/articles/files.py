"""Find the files of a source, and open them decompressed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from include.errors import InputError
from include.storage import StoragePath

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
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_KNOWN = ", ".join(FORMATS) + ", each also with .gz or .zst"


def format_of(path: StoragePath) -> str | None:
    """Return the format that a file's name says, or None."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def find_files(source: StoragePath | Sequence[StoragePath], *, missing_ok: bool = False) -> list[StoragePath]:
    """Return the files of a source, sorted by name.

    A folder means the files directly in it whose names end in a known format; hidden ones and those that
    begin with an underscore are left out.

    :param source: a file, a folder or a glob (``**`` goes into folders), or several files.
    :param missing_ok: an absent source has no files, instead of being an error.
    :raises InputError: there is no such source, or it cannot be listed.
    """
    if isinstance(source, (list, tuple)):
        return [file for one in source for file in find_files(one, missing_ok=missing_ok)]
    assert not isinstance(source, Sequence)
    try:
        found = _find(source)
    except PermissionError:
        raise InputError(f"{source} cannot be listed: no permission; allow this user to read it") from None
    if found is None:
        if missing_ok:
            return []
        raise InputError(f"{source} does not exist; give a file, a folder or a glob of {_KNOWN}")
    return found


def _find(source: StoragePath) -> list[StoragePath] | None:
    if any(mark in source.path for mark in "*?[") and not source.exists():
        found = [_sibling(source, name) for name in source.fs.glob(source.path)]
        files = [path for path in found if path.is_file() and not _is_hidden(path)]
        return _known_only(files) or None
    if source.is_dir():
        return _known_only([path for path in source.iterdir() if path.is_file() and not _is_hidden(path)])
    if not source.exists():
        return None
    if format_of(source) is None:
        raise InputError(f"{source} is of no known format; its name must end in {_KNOWN}")
    return [source]


def _sibling(source: StoragePath, path: str) -> StoragePath:
    """Return another path of the same store."""
    sample = source
    while sample.parent != sample:
        sample = sample.parent
    return sample / path.removeprefix(sample.path).lstrip("/")


def _is_hidden(path: StoragePath) -> bool:
    return path.name.startswith((".", "_"))


def _known_only(files: list[StoragePath]) -> list[StoragePath]:
    known = [path for path in files if format_of(path) is not None]
    for path in files:
        if format_of(path) is None:
            log.warning("%s is left out: its name does not end in %s", path, _KNOWN)
    return sorted(known, key=str)


@contextmanager
def open_file(path: StoragePath) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed as its first bytes say.

    :raises InputError: it cannot be opened.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path} has gone since it was found") from None
    except PermissionError:
        raise InputError(f"{path} cannot be read: no permission; allow this user to read it") from None
    with stream:
        head = stream.read(4)
        stream.seek(0)
        compression = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
        if compression is None:
            yield stream
        else:
            with pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), compression) as decompressed:
                yield decompressed
