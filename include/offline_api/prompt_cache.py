"""Prompt caching: which tokens of a request are written to the cache or read from it.

An imitation of what is documented ("Prompt caching"): everything up to the last ``cache_control`` is the prefix;
the first request with a prefix writes it, later ones read it, though not all of them, since requests of a batch
run at the same time and hits are best effort; a prefix shorter than the model's minimum is not cached, silently.
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
    return None


@dataclass(frozen=True)
class CacheUse:
    """Tokens of one request that went through the cache.

    :param ttl: ``5m`` or ``1h``.
    """

    written: int = 0
    read: int = 0
    ttl: str = "5m"


class PromptCache:
    """The prefixes written so far."""

    def __init__(self) -> None:
        self._written: set[tuple[str, int, int]] = set()

    def use(self, params: dict[str, Any], number: int, model: Model, counter: Tokenizer) -> CacheUse:
        """Return what a request writes or reads.

        :param number: of the request in its batch; whether it hits depends on it.
        """
        prefix, ttl = _marked_prefix(params)
        if ttl is None:
            return CacheUse()
        tokens = sum(block_tokens(block, counter) for block in prefix)
        if tokens < model.min_cached_tokens:
            return CacheUse()
        text = _encode(prefix)
        key = (model.id, len(text), zlib.crc32(text))
        late = zlib.crc32(f"{key}:{number}".encode()) % _HUNDREDTHS >= HIT_SHARES[ttl] * _HUNDREDTHS
        if key not in self._written or late:
            self._written.add(key)
            return CacheUse(written=tokens, ttl=ttl)
        return CacheUse(read=tokens, ttl=ttl)


def _marked_prefix(params: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """Return the blocks up to the last mark, and its lifetime; no lifetime without a mark."""
    blocks = list(iter_blocks(params))
    top = params.get("cache_control")
    if isinstance(top, dict):  # marks the last block
        return blocks, str(top.get("ttl", "5m"))
    for place in range(len(blocks), 0, -1):
        if isinstance(mark := blocks[place - 1].get("cache_control"), dict):
            return blocks[:place], str(mark.get("ttl", "5m"))
    return [], None
