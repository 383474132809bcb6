"""Damage to bytes, chosen by a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_TOKENS: tuple[bytes, ...] = (
    b'"',
    b"'",
    b",",
    b";",
    b"\t",
    b"|",
    b"\n",
    b"\r",
    b"\r\n",
    b"\\",
    b'\\"',
    b"\\u",
    b"\\ud800",
    b"\\N",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"0",
    b'""',
    b"9223372036854775808",
    b"-9223372036854775809",
    b"1" * 400,
    b"1" * 5000,
    b"[" * 300,
    b'{"a":' * 300,
    b"<",
    b">",
    b"</",
    b"<![CDATA[",
    b"<!--",
    b"<?xml",
    b"<!ENTITY a 'a'>",
    b"&a;",
    b"&#0;",
    b"---\n",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\x1b[31m",
    b"\x7f",
    b"\x85",
    b"PAR1",
    b"ARROW1",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"ORC",
    b"sep=",
    b"id",
    b"content",
    b"../../x",
    b"=",
    b"/",
    b"2026-13-45",
    b"9999-12-31T23:59:59Z",
    b"0001-01-01T00:00:00Z",
    b"a" * 300,
    "ΑΒ".encode() * 50,
)


def mutate(data: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """Return data with one to six kinds of damage.

    :param others: inputs from which pieces are taken.
    """
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        data = draw.choice(_KINDS)(data, others, draw)
    return data[:100_000]


def _place(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = draw.randrange(len(data) + 1)
    return start, min(len(data), start + draw.choice((1, 1, 2, 4, 16, 100, 1000)))


def _flip(data: bytes, _others: Sequence[bytes], draw: random.Random) -> bytes:
    if not data:
        return data
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]


def _remove(data: bytes, _others: Sequence[bytes], draw: random.Random) -> bytes:
    start, end = _place(data, draw)
    return data[:start] + data[end:]


def _cut(data: bytes, _others: Sequence[bytes], draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _insert(data: bytes, _others: Sequence[bytes], draw: random.Random) -> bytes:
    start, end = _place(data, draw)
    return data[:start] + draw.choice(_TOKENS) + data[draw.choice((start, end)) :]


def _repeat(data: bytes, _others: Sequence[bytes], draw: random.Random) -> bytes:
    start, end = _place(data, draw)
    return data[:start] + data[start:end] * draw.choice((2, 3, 50, 1000)) + data[end:]


def _splice(data: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    other = draw.choice(others)
    start, end = _place(other, draw)
    at, behind = _place(data, draw)
    return data[:at] + other[start:end] + data[draw.choice((at, behind)) :]


def _number(data: bytes, _others: Sequence[bytes], draw: random.Random) -> bytes:
    start, _ = _place(data, draw)
    return data[:start] + draw.randbytes(draw.choice((1, 2, 4, 8))) + data[start + 4 :]


_KINDS: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    _flip,
    _remove,
    _cut,
    _insert,
    _insert,
    _repeat,
    _splice,
    _number,
)
