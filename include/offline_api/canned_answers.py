"""Answers in place of a model's: the article's leading sentences, after as much thinking as a model would do."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from offline_api.answer_kinds import PLAIN, AnswerKind
from offline_api.excerpts import leading_sentences
from offline_api.misfits import misfit_text, with_other_capitals
from offline_api.model_catalog import Model
from offline_api.schema_examples import example
from offline_api.token_counts import Tokenizer, tokenizer

_OPEN, _CLOSE = "<article>", "</article>"
_THINKING_TOKENS = {"low": 30, "medium": 90, "high": 180, "xhigh": 360, "max": 720}
"""Average thinking tokens by effort; a request uses between 0.5 and 1.5 times this number."""

_Block = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    :param content: the message's content blocks.
    :param text: the text of its text blocks, or the JSON of a tool's input.
    :param output_tokens: thinking included.
    """

    content: list[_Block]
    stop_reason: str
    text: str
    output_tokens: int
    thinking_tokens: int = 0
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    web_searches: int = 0


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and isinstance(block.get("text"), str):
                yield block["text"]


def article(params: dict[str, Any]) -> str:
    """Return the text between the article tags of the last user message that has some.

    Without tags it is the last user message; in a structured request the first, since later ones say what was
    wrong with an answer.
    """
    users = [message for message in params["messages"] if message.get("role") == "user"]
    texts = ["\n".join(_texts(message["content"])) for message in users]
    for text in reversed(texts):
        start, end = text.find(_OPEN), text.rfind(_CLOSE)
        if 0 <= start < end:
            return text[start + len(_OPEN) : end]
    return texts[0 if wanted_schema(params) is not None else -1] if texts else ""


def wanted_schema(params: dict[str, Any]) -> Any:
    """Return the schema of a structured request; None for any other."""
    config = params.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    return wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None


def answer(
    params: dict[str, Any],
    model: Model,
    *,
    kind: AnswerKind = PLAIN,
    suffix: str = "",
    room_tokens: int | None = None,
) -> Answer:
    """Return the answer to a checked request: text, or a value that fits the requested schema.

    :param suffix: the end of the ids in the answer.
    :param room_tokens: tokens that the context window leaves for output; None means enough.
    """
    return _Writer(params, model, kind, suffix, room_tokens).answer()


@dataclass
class _Writer:
    params: dict[str, Any]
    model: Model
    kind: AnswerKind
    suffix: str
    room_tokens: int | None
    article: str = ""
    counter: Tokenizer = field(init=False)

    def __post_init__(self) -> None:
        self.counter = tokenizer(self.model.new_tokenizer)
        self.article = article(self.params)
        self.max_tokens: int = self.params["max_tokens"]
        self.cut_reason = "max_tokens"
        if self.room_tokens is not None and self.room_tokens < self.max_tokens:
            self.max_tokens, self.cut_reason = max(1, self.room_tokens), "model_context_window_exceeded"

    def answer(self) -> Answer:
        special = self.kind.special
        if special == "refusal" or self.kind.misfit == "refusal":
            return Answer([], "refusal", "", 0, stop_details=_refusal(self.kind.category))
        if special == "empty":
            return Answer([], "end_turn", "", 1)
        wanted = self.max_tokens if special == "thinking_only" else self._thinking_tokens()
        spent = min(wanted, self.max_tokens)
        before = [self._thinking_block()] if spent else []
        if spent == self.max_tokens:
            return Answer(before, self.cut_reason, "", spent, spent)
        if special == "redacted_thinking":
            before = [{"type": "redacted_thinking", "data": self._opaque("redacted")}]
        if special in ("tool_use", "pause_turn"):
            return self._tool_call(before, spent, special)
        if tool := _forced_tool(self.params):
            return self._tool_input(before, spent, tool)
        return self._text(before, spent)

    def _thinking_tokens(self) -> int:
        asked = self.params.get("thinking")
        kind = asked.get("type") if isinstance(asked, dict) else None
        if kind in ("disabled", "between_tools") or (kind is None and self.model.thinking == "off"):
            return 0
        config = self.params.get("output_config")
        effort = (config.get("effort") if isinstance(config, dict) else None) or self.model.default_effort
        middle = _THINKING_TOKENS[effort]
        drawn = zlib.crc32(self.article.encode("utf-8", "replace"))
        if kind != "enabled" and effort == "low" and drawn % 4 == 0:
            return 0  # the model decides not to think
        wanted = middle // 2 + drawn % (middle + 1)
        budget = asked.get("budget_tokens") if isinstance(asked, dict) else None
        return min(wanted, budget) if isinstance(budget, int) else wanted

    def _thinking_block(self) -> _Block:
        asked = self.params.get("thinking")
        shown = asked.get("display") if isinstance(asked, dict) else None
        shown = shown or ("omitted" if self.model.new_tokenizer else "summarized")
        text = "The text asks for two sentences; its first ones say most." if shown == "summarized" else ""
        return {"type": "thinking", "thinking": text, "signature": self._opaque("signature")}

    def _opaque(self, name: str) -> str:
        return base64.b64encode(f"{name}:{self.suffix}".encode()).decode()

    def _tool_call(self, before: list[_Block], spent: int, special: str) -> Answer:
        if special == "pause_turn":
            block = self._search_call(0)
        else:
            block = self._tool_block("look_up", {"query": self.article[:40]})
        # No answer has more tokens than the request allows.
        tokens = min(spent + self.counter.count(json.dumps(block["input"])), self.max_tokens)
        return Answer([*before, block], special, "", tokens, spent, web_searches=int(special == "pause_turn"))

    def _tool_input(self, before: list[_Block], spent: int, tool: dict[str, Any]) -> Answer:
        made = example(tool.get("input_schema"), self.article, _asked(self.params))
        # A schema may say object and yet allow none (an enum of numbers); a tool's input always is one.
        value = made if isinstance(made, dict) else {}
        text = json.dumps(value, ensure_ascii=False)
        tokens = spent + max(1, self.counter.count(text))
        if tokens > self.max_tokens:
            block = self._tool_block(tool["name"], {})
            return Answer([*before, block], self.cut_reason, "{}", self.max_tokens, spent)
        return Answer([*before, self._tool_block(tool["name"], value)], "tool_use", text, tokens, spent)

    def _tool_block(self, name: str, value: Any) -> _Block:
        return {"type": "tool_use", "id": f"toolu_local_{self.suffix}", "name": name, "input": value}

    def _text(self, before: list[_Block], spent: int) -> Answer:
        whole, stop_reason, stop_sequence = *self._whole(), None
        for stop in self.params.get("stop_sequences") or ():
            if stop in whole:
                whole, stop_reason, stop_sequence = whole[: whole.index(stop)], "stop_sequence", stop
        details = None
        if self.kind.special == "context_window":
            whole, stop_reason = whole[: len(whole) // 2], "model_context_window_exceeded"
        elif self.kind.special == "refusal_after_output":
            whole, stop_reason, details = whole[: len(whole) // 2], "refusal", _refusal(self.kind.category)
        cut = self.counter.cut(whole, self.max_tokens - spent)
        if cut != whole:
            stop_reason, stop_sequence = self.cut_reason, None
        searches = self._searches()
        for number in range(searches):
            before = [*before, *self._search_blocks(number)]
        return Answer(
            [*before, {"type": "text", "text": cut}] if cut else before,
            stop_reason,
            cut,
            spent + max(1, self.counter.count(cut)),
            spent,
            stop_sequence,
            details,
            searches,
        )

    def _whole(self) -> tuple[str, str]:
        schema = wanted_schema(self.params)
        if schema is None:
            return leading_sentences(self.article), "end_turn"
        value = example(schema, self.article, _asked(self.params))
        if self.kind.misfit is not None:
            return misfit_text(self.kind.misfit, value, schema)
        if self.kind.special == "other_capitals":
            value = with_other_capitals(value, schema)
        return json.dumps(value, ensure_ascii=False), "end_turn"

    def _searches(self) -> int:
        tools = [tool for tool in self.params.get("tools") or () if isinstance(tool, dict)]
        search = [tool for tool in tools if str(tool.get("type")).startswith("web_search_")]
        if not search and self.kind.special != "web_search":
            return 0
        most = search[0].get("max_uses") if search else None
        wanted = 1 + zlib.crc32(self.article.encode("utf-8", "replace")) % 3
        return min(wanted, most) if isinstance(most, int) and most > 0 else wanted

    def _search_call(self, number: int) -> _Block:
        return {
            "type": "server_tool_use",
            "id": f"srvtoolu_local_{self.suffix}{number}",
            "name": "web_search",
            "input": {"query": leading_sentences(self.article, 1)[:80]},
        }

    def _search_blocks(self, number: int) -> list[_Block]:
        call = self._search_call(number)
        found = {
            "type": "web_search_result",
            "url": f"https://example.com/{number}",
            "title": "A page",
            "encrypted_content": self._opaque("page"),
            "page_age": None,
        }
        return [call, {"type": "web_search_tool_result", "tool_use_id": call["id"], "content": [found]}]


def _refusal(category: str | None) -> dict[str, Any]:
    explanation = None if category is None else f"The request was taken to be about {category}."
    return {"type": "refusal", "category": category, "explanation": explanation}


def _asked(params: dict[str, Any]) -> str:
    return "\0".join([str(params["model"]), *_texts(params.get("system"))])


def _forced_tool(params: dict[str, Any]) -> dict[str, Any] | None:
    choice, tools = params.get("tool_choice"), params.get("tools")
    if not isinstance(choice, dict) or not isinstance(tools, list):
        return None
    if choice.get("type") not in ("tool", "any"):
        return None
    named = [tool for tool in tools if isinstance(tool, dict) and "name" in tool and "input_schema" in tool]
    chosen = [tool for tool in named if choice["type"] == "any" or tool["name"] == choice.get("name")]
    return chosen[0] if chosen else None
