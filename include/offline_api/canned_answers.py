"""What stands in for the model: the article's leading sentences, and a token count that is always the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from offline_api.misfits import misfit_text
from offline_api.schema_examples import example

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
    """Return the text between the article tags of the last user message that has some.

    Without tags it is the last user message; of a structured request the first, for the others say what was
    wrong with an answer.
    """
    users = [message for message in params["messages"] if message.get("role") == "user"]
    texts = ["\n".join(_texts(message["content"])) for message in users]
    for text in reversed(texts):
        start, end = text.find(_OPEN), text.rfind(_CLOSE)
        if 0 <= start < end:
            return text[start + len(_OPEN) : end]
    return texts[0 if wanted_schema(params) is not None else -1] if texts else ""


def leading_sentences(text: str, count: int = SENTENCES) -> str:
    """Return the first sentences of ``text``, English or Chinese; all of it when it has fewer."""
    text = text.strip()
    for number, match in enumerate(_SENTENCE_END.finditer(text), 1):
        if number == count:
            return text[: match.end()]
    return text


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    :param content: the message's content blocks.
    :param text: what its output tokens are counted of.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    text: str


def answer(params: dict[str, Any], tool_use_id: str = "toolu_local", misfit: str | None = None) -> Answer:
    """Return the answer to a checked request: text, or a value that fits the requested schema.

    :param misfit: how it must not fit (``include/offline_api/misfits.py``); None for one that does.
    """
    text = article(params)
    if tool := _forced_tool(params):
        value = example(tool.get("input_schema"), text, _asked(params))
        block = {"type": "tool_use", "id": tool_use_id, "name": tool["name"], "input": value}
        return Answer([block], "tool_use", json.dumps(value, ensure_ascii=False))
    whole, stop_reason, schema = leading_sentences(text), "end_turn", wanted_schema(params)
    if schema is not None:
        value = example(schema, text, _asked(params))
        whole = json.dumps(value, ensure_ascii=False)
        if misfit is not None:
            whole, stop_reason = misfit_text(misfit, value, schema)
    cut = cut_to_tokens(whole, params["max_tokens"])
    blocks = [{"type": "text", "text": cut}] if cut else []
    return Answer(blocks, stop_reason if cut == whole else "max_tokens", cut)


def _asked(params: dict[str, Any]) -> str:
    return "\0".join([str(params["model"]), *_texts(params.get("system"))])


def wanted_schema(params: dict[str, Any]) -> Any:
    """Return the schema of a structured request; None of any other."""
    config = params.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    return wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None


def _forced_tool(params: dict[str, Any]) -> dict[str, Any] | None:
    choice, tools = params.get("tool_choice"), params.get("tools")
    if not isinstance(choice, dict) or not isinstance(tools, list):
        return None
    if choice.get("type") not in {"tool", "any"}:
        return None
    named = [tool for tool in tools if isinstance(tool, dict) and "name" in tool]
    chosen = [tool for tool in named if choice["type"] == "any" or tool["name"] == choice.get("name")]
    return chosen[0] if chosen else None


def tokens(params: dict[str, Any], text: str) -> tuple[int, int]:
    """Return input and output tokens of a request answered with ``text``."""
    return max(1, sum(map(count_tokens, input_text(params)))), max(1, count_tokens(text))
