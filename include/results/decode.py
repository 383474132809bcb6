"""Decode a result stream: only the fields that are needed, and never a crash on a damaged line.

The invariant kept here: every ordinal of the shard gets at most one outcome, and every line is counted
as exactly one of good, repeated, foreign or malformed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import msgspec

from include.shards.requests import custom_id_prefix

_BLOCK = 1024 * 1024


class CacheCreation(msgspec.Struct, gc=False):
    """Tokens written to the cache, by lifetime."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class Usage(msgspec.Struct, gc=False):
    """Tokens of an answer (API documentation, "Usage")."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None


class Block(msgspec.Struct, gc=False):
    """A content block; only those of type ``text`` are answers."""

    type: str
    text: str = ""


class Message(msgspec.Struct, gc=False):
    """An answer."""

    id: str
    model: str
    usage: Usage
    content: list[Block] = []
    stop_reason: str | None = None


class InnerError(msgspec.Struct, gc=False):
    """What went wrong."""

    type: str = "unknown_error"
    message: str = ""


class ErrorEnvelope(msgspec.Struct, gc=False):
    """The envelope around an error."""

    error: InnerError


class Outcome(msgspec.Struct, gc=False):
    """What became of a request: ``succeeded``, ``errored``, ``canceled`` or ``expired``."""

    type: str
    message: Message | None = None
    error: ErrorEnvelope | None = None


class Line(msgspec.Struct, gc=False):
    """One line of a result stream."""

    custom_id: str
    result: Outcome


@dataclass(slots=True)
class StreamReport:
    """What the lines of a result stream were.

    :param foreign: lines of no request of this shard; never merged.
    :param repeated: lines of a request that had one already.
    :param malformed: lines that cannot be read.
    """

    good: int = 0
    foreign: int = 0
    repeated: int = 0
    malformed: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, kind: str, line: int) -> None:
        """Count a line that was not used."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 5:
            self.examples.append(f"line {line} is {kind}")


def iter_outcomes(
    stream: BinaryIO, key: str, articles: int, report: StreamReport
) -> Iterator[tuple[int, Outcome]]:
    """Yield ``(ordinal, outcome)`` of each request of the shard, in the order of the stream.

    :param key: the shard key; a line with another shard's custom_id is foreign.
    :param articles: requests in the shard; ordinals are 0 to ``articles - 1``.
    :param report: filled on the way.
    """
    decode = msgspec.json.Decoder(Line).decode
    prefix = custom_id_prefix(key)
    seen = bytearray(articles)
    for number, text in enumerate(_iter_lines(stream), start=1):
        if not text.strip():
            continue
        try:
            line = decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            report.note("malformed", number)
            continue
        ordinal = _ordinal(line.custom_id, prefix, articles)
        if ordinal is None:
            report.note("foreign", number)
        elif line.result.type == "succeeded" and line.result.message is None:
            report.note("malformed", number)
        elif seen[ordinal]:
            report.note("repeated", number)
        else:
            seen[ordinal] = 1
            report.good += 1
            yield ordinal, line.result


def _ordinal(custom_id: str, prefix: str, articles: int) -> int | None:
    digits = custom_id[len(prefix) :]
    if not custom_id.startswith(prefix) or not (digits.isascii() and digits.isdecimal() and len(digits) <= 6):
        return None
    ordinal = int(digits)
    if ordinal >= articles or str(ordinal) != digits:
        return None
    return ordinal


def _iter_lines(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(_BLOCK):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest
