"""Decode a result stream: only the fields that are needed, and never a crash on a damaged line.

The invariant kept here: every ordinal of the shard gets at most one outcome, and every line is counted
as exactly one of good, repeated, foreign or malformed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.shards.requests import custom_id_prefix

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


class ContentBlock(msgspec.Struct, gc=False):
    """A content block; only those of type ``text`` are answers."""

    type: str
    text: str = ""


class Message(msgspec.Struct, gc=False):
    """An answer."""

    id: str
    model: str
    usage: Usage
    content: list[ContentBlock] = []
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


class Block(NamedTuple):
    """Outcomes in the order of the stream.

    :param ordinals: of each outcome, int64.
    """

    ordinals: np.ndarray
    outcomes: list[Outcome]


def iter_outcomes(
    stream: BinaryIO, key: str, articles: int, report: StreamReport
) -> Iterator[tuple[int, Outcome]]:
    """Yield ``(ordinal, outcome)`` of each request of the shard; see :func:`iter_blocks`."""
    for block in iter_blocks(stream, key, articles, report):
        yield from zip(block.ordinals.tolist(), block.outcomes, strict=True)


def iter_blocks(stream: BinaryIO, key: str, articles: int, report: StreamReport) -> Iterator[Block]:
    """Yield the outcomes of the shard's requests, some thousands at a time, in the order of the stream.

    :param key: the shard key; a line with another shard's custom_id is foreign.
    :param articles: requests in the shard; ordinals are 0 to ``articles - 1``.
    :param report: filled on the way.
    """
    reader = _LineReader(key, articles, report)
    for text in _iter_whole_lines(stream):
        yield reader.read(text)


class _LineReader:
    """Reads a block at once when all its lines are good, and line by line when one is not."""

    def __init__(self, key: str, articles: int, report: StreamReport) -> None:
        self._prefix = custom_id_prefix(key)
        self._articles = articles
        self._report = report
        self._seen = np.zeros(articles, dtype=bool)
        self._lines_before = 0
        decoder = msgspec.json.Decoder(Line)
        self._decode, self._decode_lines = decoder.decode, decoder.decode_lines

    def read(self, text: bytes) -> Block:
        """Return the outcomes of some whole lines."""
        count = text.count(b"\n") + (not text.endswith(b"\n"))
        block = self._read_good(text, count) or self._read_each(text)
        self._lines_before += count
        self._report.good += len(block.outcomes)
        return block

    def _read_good(self, text: bytes, count: int) -> Block | None:
        """Return the outcomes if every line has one that counts, else None; nothing is noted then."""
        try:
            lines = self._decode_lines(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        outcomes = [line.result for line in lines]
        if len(lines) != count or any(map(_is_empty_success, outcomes)):
            return None
        ordinals = _read_ordinals([line.custom_id for line in lines], self._prefix, self._articles)
        if ordinals is None or self._seen[ordinals].any():
            return None
        self._seen[ordinals] = True
        if np.unique(ordinals).size != len(ordinals):
            self._seen[ordinals] = False
            return None
        return Block(ordinals, outcomes)

    def _read_each(self, text: bytes) -> Block:
        ordinals, outcomes = [], []
        for number, one in enumerate(text.split(b"\n"), start=self._lines_before + 1):
            if not one.strip():
                continue
            try:
                line = self._decode(one)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self._report.note("malformed", number)
                continue
            found = _read_ordinals([line.custom_id], self._prefix, self._articles)
            if found is None:
                self._report.note("foreign", number)
            elif _is_empty_success(line.result):
                self._report.note("malformed", number)
            elif self._seen[found[0]]:
                self._report.note("repeated", number)
            else:
                self._seen[found[0]] = True
                ordinals.append(int(found[0]))
                outcomes.append(line.result)
        return Block(np.array(ordinals, dtype=np.int64), outcomes)


def _is_empty_success(outcome: Outcome) -> bool:
    return outcome.message is None and outcome.type == "succeeded"


def _read_ordinals(custom_ids: list[str], prefix: str, articles: int) -> np.ndarray | None:
    """Return the ordinals, or None when an id is not one of the shard's, to the letter."""
    ids = pa.array(custom_ids, pa.string())
    digits = pc.utf8_slice_codeunits(ids, len(prefix))
    try:
        ordinals = pc.cast(digits, pa.int64())
    except pa.ArrowInvalid:
        return None
    found: np.ndarray = ordinals.to_numpy()
    if len(found) and not (found.min() >= 0 and found.max() < articles):
        return None
    return found if pc.all(pc.equal(make_custom_ids(prefix, found), ids), min_count=0).as_py() else None


def make_custom_ids(prefix: str, ordinals: np.ndarray) -> pa.Array:
    """Return the custom_ids of some requests of a shard.

    :param prefix: of the shard, see :func:`nightpress.shards.requests.custom_id_prefix`.
    """
    return pc.binary_join_element_wise(prefix, pc.cast(pa.array(ordinals), pa.string()), "")


def _iter_whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a few megabytes of whole lines at a time; only the last may lack its line feed."""
    rest = b""
    while block := stream.read(_BLOCK):
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            continue
        yield rest + block[:end]
        rest = block[end:]
    if rest:
        yield rest
