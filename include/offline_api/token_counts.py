"""Estimates of tokens: the vendor publishes no tokenizer.

The vendor says: about 3.4 characters of English per token, and about 30 % more tokens (2.5 characters per token)
from Opus 4.7 on. A character outside ASCII is counted as one token, or as 1.28 of the new tokenizer's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

_ASCII = 10
_IMAGE_TOKENS = 1_600
_DOCUMENT_BYTES_PER_TOKEN = 40
"""A PDF of 100 KB has about 2,500 tokens; base64 adds a third."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Counts in units; an ASCII character has ten units.

    :param units_per_token: ten times the characters per token.
    :param other: units of a character outside ASCII.
    """

    units_per_token: int
    other: int

    def _units(self, text: str) -> int:
        if text.isascii():
            return _ASCII * len(text)
        ascii_count = len(text.encode("ascii", "ignore"))
        return _ASCII * ascii_count + self.other * (len(text) - ascii_count)

    def count(self, text: str) -> int:
        """Return the tokens of a text."""
        return -(-self._units(text) // self.units_per_token)

    def cut(self, text: str, max_tokens: int) -> str:
        """Return the longest beginning of ``text`` with at most ``max_tokens`` tokens."""
        budget = self.units_per_token * max_tokens
        if self._units(text) <= budget:
            return text
        for end, character in enumerate(text):
            budget -= _ASCII if character.isascii() else self.other
            if budget < 0:
                return text[:end]
        return text


OLD = Tokenizer(34, 34)
NEW = Tokenizer(25, 32)


def tokenizer(new: bool) -> Tokenizer:
    """Return the tokenizer of a model."""
    return NEW if new else OLD


def iter_blocks(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the content blocks of a request in the order of the prompt: tools, system, messages."""
    contents: list[Any] = [params.get("tools"), params.get("system")]
    contents += [message.get("content") for message in params["messages"] if isinstance(message, dict)]
    for content in contents:
        if isinstance(content, str):
            yield {"type": "text", "text": content}
        elif isinstance(content, list):
            yield from (block for block in content if isinstance(block, dict))


def block_tokens(block: dict[str, Any], counter: Tokenizer) -> int:
    """Return the tokens of one content block or tool."""
    text = block.get("text")
    if isinstance(text, str):
        return counter.count(text)
    kind = block.get("type")
    if kind == "image":
        return _IMAGE_TOKENS
    if kind == "document":
        return _document_tokens(block.get("source"), counter)
    return counter.count(_text(block))


def _document_tokens(source: object, counter: Tokenizer) -> int:
    data = source.get("data") if isinstance(source, dict) else None
    if not isinstance(source, dict) or not isinstance(data, str):
        return _IMAGE_TOKENS
    if source.get("type") == "text":
        return counter.count(data)
    return -(-len(data) // _DOCUMENT_BYTES_PER_TOKEN)


def _text(value: object) -> str:
    try:
        return _encode(value).decode()
    except (UnicodeEncodeError, TypeError, RecursionError):
        return json.dumps(value)


def count_input(params: dict[str, Any], counter: Tokenizer) -> int:
    """Return the input tokens of a request: tools, system prompt, messages and the schema asked for."""
    tokens = sum(block_tokens(block, counter) for block in iter_blocks(params))
    config = params.get("output_config")
    if isinstance(config, dict) and isinstance(config.get("format"), dict):
        tokens += counter.count(_text(config["format"]))
    return max(1, tokens)
