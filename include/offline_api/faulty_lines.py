"""Result lines as gateways, proxies and later versions of the API send them, for fault rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from offline_api.faults import WHOLE_STREAM, Rule

Row = dict[str, Any]
FIELDS = (
    "result.message.usage",
    "result.message.usage.input_tokens",
    "result.message.usage.output_tokens",
    "result.message.usage.cache_creation",
    "result.message.usage.output_tokens_details",
    "result.message.usage.service_tier",
    "result.message.id",
    "result.message.model",
    "result.message.role",
    "result.message.stop_reason",
    "result.message.stop_details",
    "result.message.content.0.text",
    "result.message.content.0.type",
    "result.error.request_id",
    "result.error.error.message",
)
"""Fields that ``null_fields`` and ``missing_fields`` take in turn when the rule names none."""

_HUGE = 2**70
_CHUNK = b"x" * 65_536
_TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def damage(lines: Iterable[bytes], rule: Rule, total: int) -> Iterator[bytes]:
    """Yield lines, ``rule.rows`` of them damaged; which ones depends on the rule's seed alone."""
    if rule.kind in WHOLE_STREAM:
        yield from _WHOLE[rule.kind](lines, rule)
        return
    order = random.Random(rule.seed).sample(range(total), min(rule.rows, total))  # noqa: S311
    numbers = {index: number for number, index in enumerate(order)}
    for index, line in enumerate(lines):
        if index in numbers:
            yield from _damaged(line, rule, numbers[index], index)
        else:
            yield line


def _damaged(line: bytes, rule: Rule, number: int, index: int) -> Iterator[bytes]:
    if rule.kind in _RAW:
        yield from _RAW[rule.kind](line, rule, index)
        return
    row = msgspec.json.decode(line)
    yield msgspec.json.encode(_ROWS[rule.kind](row, rule, number)) + b"\n"


def _foreign(line: bytes, _rule: Rule, index: int) -> list[bytes]:
    row = msgspec.json.decode(line)
    return [line, msgspec.json.encode({**row, "custom_id": f"foreign-{index}"}) + b"\n"]


def _endless(line: bytes, rule: Rule, _index: int) -> Iterator[bytes]:
    """Yield one line of ``rule.megabytes``."""
    yield line[:20]
    for _ in range(int(rule.megabytes * 1_000_000) // len(_CHUNK)):
        yield _CHUNK


def _surrogates(line: bytes, _rule: Rule, _index: int) -> list[bytes]:
    """Put an escaped lone surrogate into every text, as some encoders do."""
    return [line.replace(b'"text":"', b'"text":"\\ud83d ')]


_RAW: dict[str, Callable[[bytes, Rule, int], Iterable[bytes]]] = {
    "missing_ids": lambda _line, _rule, _index: [],
    "repeated_ids": lambda line, _rule, _index: [line, line],
    "foreign_ids": _foreign,
    "malformed_lines": lambda line, _rule, _index: [line[: len(line) // 2] + b"\n"],
    "blank_lines": lambda line, _rule, _index: [line, b"\n"],
    "endless_line": _endless,
    "surrogates": _surrogates,
}


def _parent(row: Row, path: str) -> tuple[Any, Any] | None:
    """Return what holds the field of a dotted path, and its name there; None when there is no such field."""
    *steps, last = path.split(".")
    holder: Any = row
    for step in steps:
        holder = _step(holder, step)
    place: Any = int(last) if isinstance(holder, list) and last.isdigit() else last
    there = (
        place in holder
        if isinstance(holder, dict)
        else isinstance(holder, list) and place in range(len(holder))
    )
    return (holder, place) if there else None


def _step(holder: Any, step: str) -> Any:
    if isinstance(holder, list):
        return holder[int(step)] if step.isdigit() and int(step) < len(holder) else None
    return holder.get(step) if isinstance(holder, dict) else None


def _field(row: Row, rule: Rule, number: int) -> tuple[Any, Any] | None:
    if rule.field is not None:
        return _parent(row, rule.field)
    there = [found for path in FIELDS if (found := _parent(row, path)) is not None]
    return there[number % len(there)] if there else None


def _null(row: Row, rule: Rule, number: int) -> Row:
    if (found := _field(row, rule, number)) is not None:
        found[0][found[1]] = None
    return row


def _missing(row: Row, rule: Rule, number: int) -> Row:
    if (found := _field(row, rule, number)) is not None:
        del found[0][found[1]]
    return row


def _unknown(row: Row, _rule: Rule, _number: int) -> Row:
    row["gateway"] = {"region": "eu", "trace": [1, 2]}
    message = row["result"].get("message")
    if isinstance(message, dict):
        message["routing"] = {"attempt": 2}
        message["usage"]["gateway_cost"] = 0.001
        message["content"].append({"type": "gateway_note", "note": {"kept": True}})
    return row


def _tokens(row: Row, value: Any) -> Row:
    message = row["result"].get("message")
    if isinstance(message, dict):
        message["usage"] |= dict.fromkeys(_TOKENS, value)
    return row


def _flat_error(row: Row, _rule: Rule, _number: int) -> Row:
    error = row["result"].get("error")
    if isinstance(error, dict):
        row["result"]["error"] = error["error"]
    return row


_ROWS: dict[str, Callable[[Row, Rule, int], Row]] = {
    "null_fields": _null,
    "missing_fields": _missing,
    "unknown_fields": _unknown,
    "huge_numbers": lambda row, _rule, _number: _tokens(row, _HUGE),
    "negative_numbers": lambda row, _rule, _number: _tokens(row, -7),
    "text_numbers": lambda row, _rule, _number: _tokens(row, "12"),
    "unknown_types": lambda row, _rule, _number: {**row, "result": {**row["result"], "type": "deferred"}},
    "flat_errors": _flat_error,
}


def _crlf(lines: Iterable[bytes], _rule: Rule) -> Iterator[bytes]:
    for line in lines:
        yield line.removesuffix(b"\n") + b"\r\n"


def _no_last_line_feed(lines: Iterable[bytes], _rule: Rule) -> Iterator[bytes]:
    before: bytes | None = None
    for line in lines:
        if before is not None:
            yield before
        before = line
    if before is not None:
        yield before.rstrip(b"\r\n")


def _byte_order_mark(lines: Iterable[bytes], _rule: Rule) -> Iterator[bytes]:
    yield b"\xef\xbb\xbf"
    yield from lines


_WHOLE: dict[str, Callable[[Iterable[bytes], Rule], Iterator[bytes]]] = {
    "crlf": _crlf,
    "no_last_line_feed": _no_last_line_feed,
    "byte_order_mark": _byte_order_mark,
}
