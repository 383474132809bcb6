"""Measure requests by kinds of characters, to estimate their tokens.

No tokenizer of Claude's is published. How many tokens a text has depends on its script: a token holds several letters
of English, about one Chinese character, and less than one emoji. So characters are counted by kind, which their first
byte shows; the weights of each kind give an expected and an upper number of tokens.

A token never holds less than one byte, so no kind's weight exceeds its bytes. Digits, punctuation and capitals count
one token each at most, which covers code, tables, numbers, hexadecimal and base64 text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np

from nightpress.models.catalogue import Model

LONG_REQUEST_BYTES = 90_000
"""Requests from this size on may be long prompts, which cost more with some models: the first such price begins
above 100,000 tokens, and no text has more tokens than bytes."""

_CHUNK_BYTES = 250_000
_ASCII_END = 0x80
_FEW = 16
"""Up to one byte in this many beyond ASCII is few, as in English with typographic quotes."""


class _Kind(NamedTuple):
    """A kind of character, and its tokens with the older tokenizer (3.4 characters of English per token).

    :param first_bytes: the bytes that it begins with.
    :param size_bytes: bytes of such a character; no tokenizer makes more tokens of it.
    """

    name: str
    first_bytes: Sequence[int]
    size_bytes: int
    expected: float
    upper: float


_LOWER = range(ord("a"), ord("z") + 1)
_SPACE = (0x20,)
_OTHER_ASCII = [byte for byte in range(0x80) if byte not in _LOWER and byte not in _SPACE]
_RARE_OF_TWO = (*range(0xC9, 0xCE), *range(0xD4, 0xD7), *range(0xDC, 0xE0))
_OF_TWO_BYTES = [byte for byte in range(0xC2, 0xE0) if byte not in _RARE_OF_TWO]

KINDS = (
    _Kind("lower-case letters", _LOWER, 1, 0.27, 0.50),
    _Kind("spaces", _SPACE, 1, 0.27, 0.50),
    _Kind("capitals, digits, signs, control characters", _OTHER_ASCII, 1, 0.50, 1.0),
    _Kind("Latin with accents, Greek, Cyrillic, Hebrew, Arabic", _OF_TWO_BYTES, 2, 0.55, 1.4),
    _Kind(
        "phonetic signs, combining marks, Armenian, Syriac and other rare scripts", _RARE_OF_TWO, 2, 1.1, 2.0
    ),
    _Kind("Thai, Devanagari and other Indic", (0xE0,), 3, 0.9, 2.4),
    _Kind(
        "Georgian, Khmer and other rare scripts; private and full-width signs",
        (0xE1, 0xEE, 0xEF),
        3,
        1.3,
        3.0,
    ),
    _Kind("typographic signs, symbols, Braille", (0xE2,), 3, 1.0, 3.0),
    _Kind("Chinese, Japanese", range(0xE3, 0xEA), 3, 1.0, 1.6),
    _Kind("Korean and other scripts of Asia and Africa", range(0xEA, 0xEE), 3, 1.1, 2.2),
    _Kind("emoji, rare characters", range(0xF0, 0xF8), 4, 2.3, 4.0),
)
"""Continuation bytes belong to what they continue, so every character is counted once."""

OLDER_CHARS_PER_TOKEN = 3.4


def _make_table() -> bytes:
    table = bytearray([len(KINDS)]) * 256
    for number, kind in enumerate(KINDS):
        for byte in kind.first_bytes:
            table[byte] = number
    return bytes(table)


_TABLE = _make_table()
"""Which kind of character each byte begins; continuation bytes begin none."""


@dataclass(frozen=True, slots=True)
class RequestSizes:
    """The size of some requests' params as canonical JSON.

    :param requests: how many there are.
    :param characters: of all of them, by kind, in the order of :data:`KINDS`.
    :param size_bytes: bytes of all of them, UTF-8.
    :param largest_bytes: bytes of the largest.
    :param long_requests: of those, requests of :data:`LONG_REQUEST_BYTES` and more.
    :param long_characters: characters of those, by kind.
    """

    requests: int = 0
    characters: tuple[int, ...] = (0,) * len(KINDS)
    size_bytes: int = 0
    largest_bytes: int = 0
    long_requests: int = 0
    long_characters: tuple[int, ...] = (0,) * len(KINDS)

    def __add__(self, other: RequestSizes) -> RequestSizes:
        """Add up two groups of requests."""
        return RequestSizes(
            self.requests + other.requests,
            _add(self.characters, other.characters),
            self.size_bytes + other.size_bytes,
            max(self.largest_bytes, other.largest_bytes),
            self.long_requests + other.long_requests,
            _add(self.long_characters, other.long_characters),
        )

    def scaled(self, requests: int) -> RequestSizes:
        """Return an upper bound for the size of any ``requests`` of them, which may be the largest ones."""
        share = min(max(requests, 0) * self.largest_bytes / max(self.size_bytes, 1), 1.0)
        return RequestSizes(
            min(max(requests, 0), self.requests),
            tuple(
                max(ceil(share * count), long if requests > 0 else 0)
                for count, long in zip(self.characters, self.long_characters, strict=True)
            ),
            ceil(share * self.size_bytes),
            self.largest_bytes if requests > 0 else 0,
            min(max(requests, 0), self.long_requests),
            self.long_characters if requests > 0 else (0,) * len(KINDS),
        )

    def without(self, skeleton: Sequence[int]) -> RequestSizes:
        """Return the sizes without the JSON around each request's text.

        :param skeleton: of one request, characters by kind.
        """

        def less(counts: Sequence[int], requests: int) -> tuple[int, ...]:
            return tuple(max(n - requests * each, 0) for n, each in zip(counts, skeleton, strict=True))

        return RequestSizes(
            self.requests,
            less(self.characters, self.requests),
            self.size_bytes,
            self.largest_bytes,
            self.long_requests,
            less(self.long_characters, self.long_requests),
        )

    @property
    def short(self) -> RequestSizes:
        """The requests that are not long prompts."""
        return RequestSizes(
            self.requests - self.long_requests,
            tuple(a - b for a, b in zip(self.characters, self.long_characters, strict=True)),
        )

    @property
    def long(self) -> RequestSizes:
        """The requests that may be long prompts."""
        return RequestSizes(self.long_requests, self.long_characters)

    def expected_tokens(self, model: Model) -> int:
        """Return the expected input tokens."""
        scale = OLDER_CHARS_PER_TOKEN / model.chars_per_token
        return round(sum(n * k.expected * scale for n, k in zip(self.characters, KINDS, strict=True)))

    def upper_tokens(self, model: Model) -> int:
        """Return the most input tokens, without those that the API adds to a request."""
        scale = OLDER_CHARS_PER_TOKEN / model.chars_per_token
        return ceil(
            sum(n * min(k.upper * scale, k.size_bytes) for n, k in zip(self.characters, KINDS, strict=True))
        )


def measure_requests(requests: Iterable[bytes]) -> RequestSizes:
    """Return the size of requests.

    :param requests: the canonical params of each.
    """
    nothing = (0,) * len(KINDS)
    counts, long_counts = nothing, nothing
    sizes: list[int] = []
    waiting: list[bytes] = []
    waiting_bytes = 0
    for params in requests:
        sizes.append(len(params))
        if len(params) >= LONG_REQUEST_BYTES:
            long_counts = _add(long_counts, count_kinds(params))
            continue
        waiting.append(params)
        waiting_bytes += len(params)
        if waiting_bytes >= _CHUNK_BYTES:
            counts = _add(counts, count_kinds(b"".join(waiting)))
            waiting, waiting_bytes = [], 0
    counts = _add(counts, count_kinds(b"".join(waiting)))
    return RequestSizes(
        len(sizes),
        _add(counts, long_counts),
        sum(sizes),
        max(sizes, default=0),
        sum([size >= LONG_REQUEST_BYTES for size in sizes]),
        long_counts,
    )


def count_kinds(text: bytes) -> tuple[int, ...]:
    """Return how many characters of each kind a text has, in the order of :data:`KINDS`."""
    characters = np.frombuffer(text, np.uint8)
    ascii_bytes = int(np.count_nonzero(characters < _ASCII_END))
    if len(text) - ascii_bytes <= len(text) // _FEW:
        # Nearly all is ASCII, whose three kinds two comparisons tell apart; only the rest is looked up.
        others = characters[np.flatnonzero(characters >= _ASCII_END)].tobytes().translate(_TABLE)
        rare = np.bincount(np.frombuffer(others, np.uint8), minlength=len(KINDS))
        lower = int(np.count_nonzero((characters - _LOWER.start) < len(_LOWER)))
        spaces = int(np.count_nonzero(characters == _SPACE[0]))
        return lower, spaces, ascii_bytes - lower - spaces, *map(int, rare[3 : len(KINDS)])
    # Eleven comparisons of whole arrays are ten times faster than a histogram of single bytes.
    kinds = np.frombuffer(text.translate(_TABLE), np.uint8)
    return tuple(int(np.count_nonzero(kinds == number)) for number in range(len(KINDS)))


def _add(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))
