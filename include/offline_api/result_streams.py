"""A result file as a stream of bytes: plain, compressed or cut."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from offline_api.faults import Rule

_CHUNK = 256 * 1024


def iter_file(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def iter_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their line ends."""
    with path.open("rb", buffering=_CHUNK) as stream:
        yield from stream


def iter_gzip(chunks: Iterable[bytes], *, cut: bool = False) -> Iterator[bytes]:
    """Yield ``chunks`` compressed.

    :param cut: end within the compressed data, a few bytes before its end.
    """
    compressor = zlib.compressobj(level=5, wbits=31)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush(zlib.Z_SYNC_FLUSH)[:-9] if cut else compressor.flush()


def joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines in larger pieces."""
    buffer = bytearray()
    for line in lines:
        buffer += line
        if len(buffer) >= _CHUNK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def cut_lines(lines: Iterable[bytes], rule: Rule, total: int) -> Iterator[bytes]:
    """Yield the lines before a cut, and half a line if the cut is within one."""
    lines, kept = iter(lines), int(total * rule.at)
    yield from itertools.islice(lines, kept)
    following = next(lines, b"")
    if rule.kind != "cut_at_line":
        yield following[: len(following) // 2]
