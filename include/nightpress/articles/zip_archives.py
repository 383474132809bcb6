"""Read files in a zip archive, each with the same limits as other compressed files."""

from __future__ import annotations

import errno
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeVar, cast

from nightpress.articles.byte_streams import Compressed, Decompressed
from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import InputError
from nightpress.storage import StoragePath

T = TypeVar("T")


def is_zip(head: bytes) -> bool:
    """Return whether the first bytes are those of a zip archive; XLSX files are zip archives too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


@contextmanager
def open_archive(
    stream: BinaryIO, path: StoragePath
) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """Open a zip archive and list its files, without folders and files that macOS adds.

    :raises InputError: the archive is damaged, cut off, or protected by a password.
    """
    problem = ""
    try:
        with _read_zip(lambda: zipfile.ZipFile(stream)) as archive:
            members = [
                member
                for member in archive.infolist()
                if not member.is_dir() and not _is_hidden(member.filename)
            ]
            if any(member.flag_bits & 1 for member in members):
                problem = "is locked by a password; unpack it first"
            else:
                yield archive, sorted(members, key=lambda member: member.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, lzma.LZMAError, NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        problem = (
            "is a zip archive and cut off, damaged or of an unknown method; copy it again from where it came"
        )
    if problem:
        raise InputError(f"{path} {problem}")


@contextmanager
def open_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: ReadLimits, shown: str
) -> Iterator[BinaryIO]:
    """Open a file of a zip archive, with the same limits as other compressed files."""
    with _read_zip(lambda: archive.open(member)) as plain:
        compressed = Compressed(cast(BinaryIO, plain))
        compressed.given_bytes = member.compress_size
        yield Decompressed(plain, compressed, limits, shown)  # type: ignore[misc]


def _read_zip(read: Callable[[], T]) -> T:
    """Open an archive or a file in it; all errors from damaged numbers are raised as one kind.

    :raises zipfile.BadZipFile: the archive is damaged.
    """
    try:
        return read()
    except (struct.error, ValueError, OverflowError, RuntimeError, IndexError, KeyError, UnicodeError):
        raise zipfile.BadZipFile from None


def _is_hidden(name: str) -> bool:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in (".", "..")]
    return any(part.startswith((".", "__MACOSX", "~$")) for part in parts)
