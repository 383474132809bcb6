"""A result file as a stream of bytes: plain, compressed, damaged or cut."""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

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

    :param cut: end within the compressed data, a few bytes after which all would have been readable.
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
    """Yield the lines that come before a cut, and half a line when that is where it is."""
    lines, kept = iter(lines), int(total * rule.at)
    yield from itertools.islice(lines, kept)
    following = next(lines, b"")
    if rule.kind != "cut_at_line":
        yield following[: len(following) // 2]


def damaged(lines: Iterable[bytes], rule: Rule, total: int) -> Iterator[bytes]:
    """Yield lines, ``rule.rows`` of them damaged; which ones depends on the rule's seed alone."""
    chosen = set(random.Random(rule.seed).sample(range(total), min(rule.rows, total)))  # noqa: S311
    damage = _DAMAGES[rule.kind]
    for index, line in enumerate(lines):
        if index in chosen:
            yield from damage(line, index)
        else:
            yield line


def _foreign(line: bytes, index: int) -> list[bytes]:
    row = msgspec.json.decode(line)
    return [line, msgspec.json.encode({**row, "custom_id": f"foreign-{index}"}) + b"\n"]


_DAMAGES: dict[str, Callable[[bytes, int], list[bytes]]] = {
    "missing_ids": lambda _line, _index: [],
    "repeated_ids": lambda line, _index: [line, line],
    "foreign_ids": _foreign,
    "malformed_lines": lambda line, _index: [line[: len(line) // 2] + b"\n"],
    "blank_lines": lambda line, _index: [line, b"\n"],
}
