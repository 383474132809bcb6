"""Read the bytes of a source file: decompress them, limit their number, and inspect the first ones."""

from __future__ import annotations

import io
import lzma
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa

from nightpress.articles.reading_options import ReadLimits
from nightpress.articles.source_access import no_permission
from nightpress.errors import InputError
from nightpress.parquet_files import as_arrow_file
from nightpress.storage import StoragePath, open_reader

T = TypeVar("T")

SAMPLE_BYTES = 256 * 1024
_BLOCK = 256 * 1024
_FREE_BYTES = 64 * 1024 * 1024  # below this, the ratio is not checked

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_BZIP2 = tuple(b"BZh%d1AY&SY" % level for level in range(1, 10))


class RawStream(io.RawIOBase):
    """Any object with ``read`` as a raw stream, for :class:`io.BufferedReader`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the start."""
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Compressed(io.RawIOBase):
    """Counts the compressed bytes that are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.given_bytes = stream, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.given_bytes += len(data)
        return data


class Decompressed(io.RawIOBase):
    """Decompressed bytes; raises an error if there are too many."""

    def __init__(self, stream: Any, compressed: Compressed, limits: ReadLimits, shown: str) -> None:
        self._stream, self._compressed, self._limits, self._shown = stream, compressed, limits, shown
        self._given_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._stream.read(_BLOCK if size is None or size < 0 else size)
        self._given_bytes += len(data)
        if self._given_bytes > _FREE_BYTES:
            self._check()
        return data

    def _check(self) -> None:
        limits = self._limits
        if self._given_bytes > limits.max_decompressed_bytes:
            raise InputError(
                f"{self._shown} is more than {limits.max_decompressed_bytes:,} bytes after decompression; split it, or "
                "raise max_decompressed_bytes"
            )
        ratio = self._given_bytes / max(self._compressed.given_bytes, 1)
        if ratio > limits.max_ratio:
            raise InputError(
                f"{self._shown} grew to {self._given_bytes:,} bytes from {self._compressed.given_bytes:,}, more than "
                f"{limits.max_ratio} times; text does not: is it damaged or a decompression bomb? If it is right, "
                "raise max_ratio"
            )


class SampledStream(io.RawIOBase):
    """A stream whose first bytes can be inspected and are still returned by reads.

    :param sample: its first bytes, up to :data:`SAMPLE_BYTES`.
    :param whole: True if the sample is the whole stream.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.sample, self.whole = stream, b"", False
        self.extend(SAMPLE_BYTES)

    def extend(self, size: int) -> None:
        """Make the sample this long; nothing may have been read before."""
        parts, taken = [self.sample], len(self.sample)
        while taken < size and (data := self._stream.read(size - taken)):
            parts.append(data)
            taken += len(data)
        self.sample = self._rest = b"".join(parts)
        self.whole = taken < size

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return at most this many bytes; none at the end."""
        if self._rest:
            data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
            return data if size >= 0 else data + self._stream.read()
        return b"" if self.whole else self._stream.read(size)


def compression_of(head: bytes) -> str:
    """Return the compression that the first bytes show, or an empty string."""
    if head.startswith(_BZIP2):
        return "bz2"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


@contextmanager
def open_bytes(path: StoragePath, limits: ReadLimits) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file and yield it with its compression, which is detected from the first bytes, not the name.

    :raises InputError: it is missing or may not be read; or it is compressed and cut off, damaged or a bomb.
    """
    kind, problem = "", ""
    try:
        with open_reader(path) as stream:
            kind = compression_of(stream.read(16))
            stream.seek(0)
            if kind:
                compressed = Compressed(stream)
                with _open_compressed(compressed, kind) as plain:
                    yield Decompressed(plain, compressed, limits, str(path)), kind  # type: ignore[misc]
            else:
                yield stream, ""
    except FileNotFoundError:
        problem = f"{path} is not there any more; restore it, or start again without it"
    except PermissionError:
        problem = no_permission(path)
    except (OSError, EOFError, lzma.LZMAError) as error:
        problem = _damage(error, kind)
        if not problem:
            raise
        problem = f"{path} is {kind}-compressed and {problem}; copy it again from where it came"
    if problem:
        raise InputError(problem)


def _open_compressed(stream: Compressed, kind: str) -> Any:
    if kind == "xz":
        return lzma.LZMAFile(stream)  # type: ignore[arg-type]
    return pa.CompressedInputStream(as_arrow_file(stream), kind)


def _damage(error: Exception, kind: str) -> str:
    """Return what is wrong with compressed bytes; empty for an error of the store, which may be transient."""
    if not kind or (isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None)):
        return ""
    cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return "cut off" if cut_off else "damaged"


def read_whole(stream: BinaryIO, limits: ReadLimits, shown: str) -> bytes:
    """Read the whole of a file that cannot be read in parts.

    :raises InputError: it is longer than :attr:`ReadLimits.max_document_bytes`.
    """
    parts, size = [], 0
    while data := stream.read(_BLOCK):
        parts.append(data)
        size += len(data)
        if size > limits.max_document_bytes:
            raise InputError(
                f"{shown} is longer than {limits.max_document_bytes:,} bytes, and a file of this kind is read whole; "
                "split it, save it as JSON lines or Parquet, or raise max_document_bytes"
            )
    return b"".join(parts)


@contextmanager
def seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a seekable stream: the stream itself, or a copy in a temporary file."""
    if stream.seekable():
        stream.seek(0)
        yield stream
        return
    with tempfile.TemporaryFile(prefix="nightpress-") as copy:
        while data := stream.read(_BLOCK):
            copy.write(data)
        copy.seek(0)
        yield copy
