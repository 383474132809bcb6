"""Prompt caching: which tokens of a request are written to the cache or read from it.

An imitation of what is documented ("Prompt caching"): everything up to a ``cache_control`` is a prefix; the first
request with a prefix writes it, later ones read it, though not all of them, since requests of a batch run at the same
time and hits are best effort; a prefix shorter than the model's minimum is silently not cached. Prefixes are shared
within a batch, not between batches.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import msgspec

from offline_api.model_catalog import Model
from offline_api.token_counts import Tokenizer, block_tokens, iter_blocks

HIT_SHARES = {"5m": 0.5, "1h": 0.9}
"""Share of the later requests that find the prefix; five minutes are short for a batch."""

MAX_MARKS = 4
_encode = msgspec.json.Encoder(order="sorted").encode
_HUNDREDTHS = 100


def marks_refusal(params: dict[str, Any]) -> str | None:
    """Return why the ``cache_control`` of a request is refused, or None."""
    marks = [block.get("cache_control") for block in (params, *iter_blocks(params))]
    marks = [mark for mark in marks if mark is not None]
    if len(marks) > MAX_MARKS:
        return f"A maximum of {MAX_MARKS} blocks with cache_control may be provided. Found {len(marks)}."
    for mark in marks:
        if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
            return "cache_control.type: Input should be 'ephemeral'"
        if mark.get("ttl", "5m") not in tuple(HIT_SHARES):
            return "cache_control.ttl: Input should be '5m' or '1h'"
    return _order_refusal(params)


def _order_refusal(params: dict[str, Any]) -> str | None:
    lifetimes = [ttl for _, ttl in _marked(params)[1]]
    if "5m" in lifetimes and "1h" in lifetimes[lifetimes.index("5m") :]:
        return "cache_control.ttl: a block with ttl='1h' must not come after one with ttl='5m'"
    return None


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens of one request that went through the cache.

    :param written_5m: written for five minutes; ``written_1h`` for an hour.
    """

    written_5m: int = 0
    written_1h: int = 0
    read: int = 0


class PromptCache:
    """The prefixes written so far."""

    def __init__(self) -> None:
        self._written: set[tuple[str, int, int]] = set()

    def use(self, params: dict[str, Any], number: int, model: Model, counter: Tokenizer) -> CacheUse:
        """Return what a request writes or reads.

        The longest prefix written before is read; the rest up to the last mark is written, each part for the time
        that the mark at its end gives.

        :param number: of the request in its batch; it decides whether the request hits.
        """
        blocks, marks = _marked(params)
        if not marks:
            return CacheUse()
        tokens, begin, crc, size = 0, 0, 0, 0
        read, written = 0, {"5m": 0, "1h": 0}
        for end, ttl in marks:
            part = blocks[begin:end]
            tokens += sum(block_tokens(block, counter) for block in part)
            text = _encode(part)
            begin, crc, size = end, zlib.crc32(text, crc), size + len(text)
            if tokens < model.min_cached_tokens:
                continue
            key = (model.id, size, crc)
            if key in self._written and self._hits(key, number, ttl):
                read, written = tokens, {"5m": 0, "1h": 0}
            else:
                self._written.add(key)
                written[ttl] += tokens - read - sum(written.values())
        return CacheUse(written["5m"], written["1h"], read)

    @staticmethod
    def _hits(key: tuple[str, int, int], number: int, ttl: str) -> bool:
        drawn = zlib.crc32(f"{key}:{number}".encode()) % _HUNDREDTHS
        return drawn < HIT_SHARES[ttl] * _HUNDREDTHS


def _marked(params: dict[str, Any]) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Return the blocks of a request, and for each mark how many blocks it covers and for how long."""
    blocks = list(iter_blocks(params))
    marks = [(end, block.get("cache_control")) for end, block in enumerate(blocks, 1)]
    marks.append((len(blocks), params.get("cache_control")))  # covers the last block too
    found = {end: str(mark.get("ttl", "5m")) for end, mark in marks if isinstance(mark, dict)}
    return blocks, sorted(found.items())
