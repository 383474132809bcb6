"""What stands in for the model: the article's leading sentences, and a token count that is always the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

SENTENCES = 2
_OPEN, _CLOSE = "<article>", "</article>"
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]”’]*(?=\s|$)|[。!?]+[”’」』)]*")


def count_tokens(text: str) -> int:
    """Return an estimate: four ASCII characters a token, any other character a token of its own."""
    return -(-_quarters(text) // 4)


def _quarters(text: str) -> int:
    if text.isascii():
        return len(text)
    ascii_count = len(text.encode("ascii", "ignore"))
    return 4 * len(text) - 3 * ascii_count


def cut_to_tokens(text: str, max_tokens: int) -> str:
    """Return the longest beginning of ``text`` of at most ``max_tokens`` estimated tokens."""
    budget = 4 * max_tokens
    if _quarters(text) <= budget:
        return text
    for end, character in enumerate(text):
        budget -= 1 if character.isascii() else 4
        if budget < 0:
            return text[:end]
    return text


def input_text(params: dict[str, Any]) -> Iterator[str]:
    """Yield every text of a request: the system prompt's and the messages'."""
    yield from _texts(params.get("system"))
    for message in params["messages"]:
        yield from _texts(message["content"])


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and isinstance(block.get("text"), str):
                yield block["text"]


def article(params: dict[str, Any]) -> str:
    """Return the text between the article tags of the last user message, or that whole message."""
    users = [message for message in params["messages"] if message.get("role") == "user"]
    text = "\n".join(_texts(users[-1]["content"])) if users else ""
    start, end = text.find(_OPEN), text.rfind(_CLOSE)
    return text[start + len(_OPEN) : end] if 0 <= start < end else text


def leading_sentences(text: str, count: int = SENTENCES) -> str:
    """Return the first sentences of ``text``, English or Chinese; all of it when it has fewer."""
    text = text.strip()
    for number, match in enumerate(_SENTENCE_END.finditer(text), 1):
        if number == count:
            return text[: match.end()]
    return text


def answer(params: dict[str, Any]) -> tuple[str, str]:
    """Return the answer to a checked request and its stop reason."""
    whole = leading_sentences(article(params))
    cut = cut_to_tokens(whole, params["max_tokens"])
    return cut, "end_turn" if cut == whole else "max_tokens"


def tokens(params: dict[str, Any], text: str) -> tuple[int, int]:
    """Return input and output tokens of a request answered with ``text``."""
    return max(1, sum(map(count_tokens, input_text(params)))), max(1, count_tokens(text))
