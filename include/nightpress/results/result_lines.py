"""Read one line of a result stream leniently, so that a bad unneeded field never loses a paid answer.

The structs follow the API's documentation; every field is optional and bounded. :func:`read_line` reads lines
that do not fit them: it keeps each usable field and leaves the others empty. Gateways write nulls, floats,
numbers as text, flat errors, lone surrogates, byte order marks, two objects on a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import inf
from typing import Annotated, Any

import msgspec

from nightpress.batches.account_problems import ACCOUNT_CODES

MAX_TOKENS = 10**12
"""No request has more tokens; a larger number counts as unknown. Sums over a day stay within 64 bits."""

MAX_NAME = 200
"""Most characters of an id, a model, a type or a reason; longer ones are cut."""

MAX_ERROR_MESSAGE = 10_000
"""Most characters of an error message; longer ones are cut."""

FAILED = frozenset({"errored", "canceled", "expired"})
"""Types of results that hold no answer."""

_MAX_DEPTH = 100

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Words = Annotated[str, msgspec.Meta(max_length=MAX_ERROR_MESSAGE)]


class CacheCreation(msgspec.Struct, gc=False):
    """Tokens written to the cache, by lifetime."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class OutputTokensDetails(msgspec.Struct, gc=False):
    """Output tokens by use."""

    thinking_tokens: Count | None = None


class ServerToolUse(msgspec.Struct, gc=False):
    """Uses of server tools: searches are billed per use, code by its running time, which no answer states."""

    web_search_requests: Count | None = None
    code_execution_requests: Count | None = None


class Iteration(msgspec.Struct, gc=False):
    """One of several model calls behind an answer."""

    type: Name | None = None


class Usage(msgspec.Struct, gc=False):
    """Tokens of an answer (API documentation, "Usage"); None where the API does not state them.

    :param iterations: the model calls behind the answer (betas); the counts above include only those of type
        ``message``, not what compacting the context or another model's advice took (SDK 2.14.0, types/beta).
    :param unclear: a field that is billed has a value that cannot be read; unlike a missing one, it is not 0.
    """

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputTokensDetails | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: Name | None = None
    inference_geo: Name | None = None
    iterations: list[Iteration] | None = None
    unclear: bool = msgspec.field(default=False, name="(never sent)")

    @property
    def complete(self) -> bool:
        """False when the counts leave out tokens that are billed, or may do so."""
        if self.unclear or (self.server_tool_use and self.server_tool_use.code_execution_requests):
            return False
        return not self.iterations or all(each.type == "message" for each in self.iterations)


class ContentBlock(msgspec.Struct, gc=False):
    """A content block; only blocks of type ``text``, or without a type, are part of the answer."""

    type: str | None = None
    text: str | None = None


class StopDetails(msgspec.Struct, gc=False):
    """Why the model refused."""

    category: Name | None = None


class Message(msgspec.Struct, gc=False):
    """An answer."""

    id: Name | None = None
    model: Name | None = None
    usage: Usage | None = None
    content: list[ContentBlock] | None = None
    stop_reason: Name | None = None
    stop_details: StopDetails | None = None


class ErrorDetails(msgspec.Struct, gc=False):
    """More about an error."""

    error_code: Name | None = None


class InnerError(msgspec.Struct, gc=False):
    """What went wrong."""

    type: Name | None = None
    message: Words | None = None
    details: ErrorDetails | None = None

    @property
    def kind(self) -> str | None:
        """The error's type; the code of an account problem instead, since its type says less."""
        code = self.details.error_code if self.details is not None else None
        return code if code in ACCOUNT_CODES else self.type


class ErrorEnvelope(msgspec.Struct, gc=False):
    """The envelope around an error."""

    error: InnerError


class Outcome(msgspec.Struct, gc=False):
    """The result of a request: ``succeeded``, ``errored``, ``canceled``, ``expired`` or an unknown type."""

    type: Name
    message: Message | None = None
    error: ErrorEnvelope | None = None

    @property
    def answer(self) -> Message | None:
        """The message; None for the types that are known to have none."""
        return None if self.type in FAILED else self.message

    @property
    def usable(self) -> bool:
        """False for a success without a message, whose answer is unknown."""
        return self.message is not None or self.type != "succeeded"


class ResultLine(msgspec.Struct, gc=False):
    """One line of a result stream."""

    custom_id: str
    result: Outcome


decode_line = msgspec.json.Decoder(ResultLine).decode
decode_lines = msgspec.json.Decoder(ResultLine).decode_lines


def read_line(data: bytes) -> list[ResultLine]:
    """Return every result on a line that :func:`decode_line` cannot decode; empty if nothing can be read."""
    return [line for value in _iter_objects(data) if (line := _line(value)) is not None]


def _iter_objects(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a line; it may start with a byte order mark, or hold two objects."""
    text = data.decode("utf-8", "replace")
    position, cuts = text.find("{"), 0
    while position >= 0:
        try:
            value, end = _decoder.raw_decode(text, position)
        except RecursionError:
            cuts += 1
            if cuts > _MAX_CUTS:
                return  # a stray quote can hide the real depth, and this loop would never end
            text = _cut_depth(text)
            position = text.find("{", position)
            continue
        except ValueError:
            return
        yield value
        position = text.find("{", end)


def _first_given(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object from its fields; a repeated field that is null does not replace an earlier value."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if value is not None or name not in found:
            found[name] = value
    return found


def _whole_number(digits: str) -> float:
    # Python refuses to convert thousands of digits. An unusable number is not a missing one.
    return int(digits) if len(digits) <= 20 else inf


_decoder = json.JSONDecoder(object_pairs_hook=_first_given, parse_int=_whole_number, strict=False)
_MAX_CUTS = 3
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)


def _cut_depth(text: str) -> str:
    """Return the text with every list and object that is nested deeper than a hundred levels emptied."""
    kept: list[str] = []
    depth = position = 0
    for token in _TOKENS.finditer(text):
        sign = token[0]
        if sign in "[{":
            depth += 1
            if depth == _MAX_DEPTH:
                kept.append(text[position : token.end()])
        elif sign in "]}":
            if depth == _MAX_DEPTH:
                position = token.start()
            depth -= 1
    return "".join((*kept, text[position:]))


def _line(value: dict[str, Any]) -> ResultLine | None:
    custom_id, result = value.get("custom_id"), value.get("result")
    if not isinstance(custom_id, str) or not isinstance(result, dict):
        return None
    kind = _name(result.get("type"))
    message, error = result.get("message"), _error(result.get("error"))
    if isinstance(message, dict) and kind not in FAILED:
        return ResultLine(_clean(custom_id), Outcome(kind or "succeeded", _message(message)))
    if kind is None and error is None:
        return None
    return ResultLine(_clean(custom_id), Outcome(kind or "errored", None, error))


def _message(value: dict[str, Any]) -> Message:
    details = value.get("stop_details")
    return Message(
        id=_name(value.get("id")),
        model=_name(value.get("model")),
        usage=_usage(value.get("usage")),
        content=_content(value.get("content")),
        stop_reason=_name(value.get("stop_reason")),
        stop_details=StopDetails(_name(details.get("category"))) if isinstance(details, dict) else None,
    )


def _content(value: object) -> list[ContentBlock]:
    blocks = value if isinstance(value, list) else [value]
    found = []
    for block in blocks:
        if isinstance(block, str):
            found.append(ContentBlock("text", _clean(block)))
        elif isinstance(block, dict):
            text = block.get("text")
            found.append(
                ContentBlock(_name(block.get("type")), _clean(text) if isinstance(text, str) else None)
            )
    return found


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    written, details, tools = (
        found if isinstance(found := value.get(name), dict) else {}
        for name in ("cache_creation", "output_tokens_details", "server_tool_use")
    )
    return Usage(
        input_tokens=_count(value.get("input_tokens")),
        output_tokens=_count(value.get("output_tokens")),
        cache_creation_input_tokens=_count(value.get("cache_creation_input_tokens")),
        cache_read_input_tokens=_count(value.get("cache_read_input_tokens")),
        cache_creation=CacheCreation(
            _count(written.get("ephemeral_5m_input_tokens")), _count(written.get("ephemeral_1h_input_tokens"))
        ),
        output_tokens_details=OutputTokensDetails(_count(details.get("thinking_tokens"))),
        server_tool_use=ServerToolUse(_count(tools.get("web_search_requests"))),
        service_tier=_name(value.get("service_tier")),
        inference_geo=_name(value.get("inference_geo")),
        iterations=_iterations(value.get("iterations")),
        unclear=_is_unclear(value, written, tools),
    )


def _iterations(value: object) -> list[Iteration]:
    """Read the model calls; one that cannot be read has no type, as one of a new type."""
    if value is None:
        return []
    calls = value if isinstance(value, list) else [value]
    return [Iteration(_name(call.get("type")) if isinstance(call, dict) else None) for call in calls]


def _is_unclear(usage: dict[str, Any], written: dict[str, Any], tools: dict[str, Any]) -> bool:
    """Return whether a billed field has an unusable value that would count as 0 if it were missing."""
    counts = [
        usage.get("cache_read_input_tokens"),
        *(written.get(f"ephemeral_{lifetime}_input_tokens") for lifetime in ("5m", "1h")),
        *(tools.get(f"{tool}_requests") for tool in ("web_search", "code_execution")),
    ]
    # The sum is not needed when both of its parts are known.
    if None in map(_count, counts[1:3]):
        counts.append(usage.get("cache_creation_input_tokens"))
    odd = any(value is not None and _count(value) is None for value in counts)
    geography, objects = (
        usage.get("inference_geo"),
        (usage.get("cache_creation"), usage.get("server_tool_use")),
    )
    return (
        odd
        or not isinstance(geography, str | None)
        or any(not isinstance(value, dict | None) for value in objects)
    )


def _error(value: object) -> ErrorEnvelope | None:
    """Read an error with or without its envelope, or one that is only text."""
    if isinstance(value, str):
        return ErrorEnvelope(InnerError(None, _clean(value)[:MAX_ERROR_MESSAGE]))
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, str):
        return ErrorEnvelope(InnerError(None, _clean(inner)[:MAX_ERROR_MESSAGE]))
    if isinstance(inner, dict):
        value = inner
    message, details = value.get("message"), value.get("details")
    kind = _name(value.get("type"))
    return ErrorEnvelope(
        InnerError(
            None if kind == "error" else kind,
            _clean(message)[:MAX_ERROR_MESSAGE] if isinstance(message, str) else None,
            ErrorDetails(_name(details.get("error_code"))) if isinstance(details, dict) else None,
        )
    )


def _count(value: object) -> int | None:
    """Return a number of tokens; None if negative, a fraction, too large, or text that is not a number."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_TOKENS else None


def _name(value: object) -> str | None:
    return _clean(value)[:MAX_NAME] if isinstance(value, str) else None


def _clean(text: str) -> str:
    """Return text that can be stored: lone surrogates become the replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
