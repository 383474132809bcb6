"""Prompt caching: which tokens of a request are written to the cache or read from it.

An imitation of what is documented ("Prompt caching"): everything up to the last ``cache_control`` is the prefix;
the first request with a prefix writes it, later ones read it, though not all of them, since requests of a batch
run at the same time and hits are best effort; a prefix shorter than the model's minimum is not cached, silently.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HIT_SHARES = {"5m": 0.5, "1h": 0.9}
"""Share of the later requests that find the prefix; five minutes are short for a batch."""

MAX_MARKS = 4
_MINIMUM_TOKENS = (
    (("-5-5", "opus-5", "mythos"), 512),
    (("sonnet-5", "sonnet-4-6", "sonnet-4-5", "opus-4-8"), 1_024),
    (("opus-4-7",), 2_048),
)
_OTHERS_MINIMUM = 4_096
_HUNDREDTHS = 100


def minimum_tokens(model: str) -> int:
    """Return the shortest prefix that is cached for a model."""
    for parts, tokens in _MINIMUM_TOKENS:
        if any(part in model for part in parts):
            return tokens
    return _OTHERS_MINIMUM


def iter_blocks(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the content blocks of a request in the order of the prompt: tools, system, messages."""
    contents: list[Any] = [params.get("tools"), params.get("system")]
    contents += [message.get("content") for message in params["messages"] if isinstance(message, dict)]
    for content in contents:
        if isinstance(content, str):
            yield {"type": "text", "text": content}
        elif isinstance(content, list):
            yield from (block for block in content if isinstance(block, dict))


def marks_refusal(params: dict[str, Any]) -> str | None:
    """Return why the ``cache_control`` of a request is refused, or None."""
    marks = [
        block["cache_control"] for block in iter_blocks(params) if block.get("cache_control") is not None
    ]
    if len(marks) > MAX_MARKS:
        return f"A maximum of {MAX_MARKS} blocks with cache_control may be provided. Found {len(marks)}."
    for mark in marks:
        if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
            return "cache_control.type: Input should be 'ephemeral'"
        if mark.get("ttl", "5m") not in HIT_SHARES:
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

    def use(self, params: dict[str, Any], number: int, count_tokens: Any) -> CacheUse:
        """Return what a request writes or reads.

        :param number: of the request in its batch; whether it hits depends on it.
        :param count_tokens: of a text.
        """
        prefix, ttl = _marked_prefix(params)
        tokens = sum(map(count_tokens, prefix))
        if ttl is None or tokens < minimum_tokens(str(params["model"])):
            return CacheUse()
        text = "\0".join(prefix).encode("utf-8", "replace")
        key = (str(params["model"]), len(text), zlib.crc32(text))
        late = zlib.crc32(f"{key}:{number}".encode()) % _HUNDREDTHS >= HIT_SHARES[ttl] * _HUNDREDTHS
        if key not in self._written or late:
            self._written.add(key)
            return CacheUse(written=tokens, ttl=ttl)
        return CacheUse(read=tokens, ttl=ttl)


def _marked_prefix(params: dict[str, Any]) -> tuple[list[str], str | None]:
    """Return the texts up to the last mark, and its lifetime; no lifetime without a mark."""
    texts: list[str] = []
    found: tuple[int, str | None] = (0, None)
    for block in iter_blocks(params):
        if isinstance(block.get("text"), str):
            texts.append(block["text"])
        if isinstance(mark := block.get("cache_control"), dict):
            found = len(texts), str(mark.get("ttl", "5m"))
    return texts[: found[0]], found[1]
