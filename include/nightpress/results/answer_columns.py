"""Decoded outcomes as Arrow columns: one pass in C for each column, instead of an append for each cell."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from nightpress.results.billing import TOKEN_COLUMNS
from nightpress.results.decode import Message, Outcome

TEXT_COLUMNS = ("status", "text", "stop_reason", "model", "error_type", "error_message", "message_id")

ANSWERS = pa.schema(
    [*((name, pa.string()) for name in TEXT_COLUMNS), *((name, pa.int64()) for name in TOKEN_COLUMNS)]
)
"""Columns of decoded answers; tokens are 0 where nothing was billed."""

_KNOWN = {"succeeded", "errored", "canceled", "expired"}


def to_columns(outcomes: list[Outcome]) -> pa.RecordBatch:
    """Return outcomes as rows of :data:`ANSWERS`, in their order."""
    messages = [outcome.message if outcome.type == "succeeded" else None for outcome in outcomes]
    usages = [None if message is None else message.usage for message in messages]
    written = [0 if usage is None else usage.cache_creation_input_tokens or 0 for usage in usages]
    one_hour = [
        0 if usage is None or usage.cache_creation is None else usage.cache_creation.ephemeral_1h_input_tokens
        for usage in usages
    ]
    columns: dict[str, list[Any]] = {
        "status": [outcome.type if outcome.type in _KNOWN else "errored" for outcome in outcomes],
        "text": [None if message is None else _text(message) for message in messages],
        "stop_reason": [None if message is None else message.stop_reason for message in messages],
        "model": [None if message is None else message.model for message in messages],
        "error_type": [_error_type(outcome) for outcome in outcomes],
        "error_message": [_error_message(outcome) for outcome in outcomes],
        "message_id": [None if message is None else message.id for message in messages],
        "input": [0 if usage is None else usage.input_tokens for usage in usages],
        "output": [0 if usage is None else usage.output_tokens for usage in usages],
        "cache_write_5m": [max(both - hour, 0) for both, hour in zip(written, one_hour, strict=True)],
        "cache_write_1h": one_hour,
        "cache_read": [0 if usage is None else usage.cache_read_input_tokens or 0 for usage in usages],
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in ANSWERS], schema=ANSWERS)


def _text(message: Message) -> str:
    content = message.content
    if len(content) == 1 and content[0].type == "text":
        return content[0].text
    return "".join([block.text for block in content if block.type == "text"])


def _error_type(outcome: Outcome) -> str | None:
    if outcome.type == "succeeded":
        return None
    if outcome.error:
        return outcome.error.error.type
    return None if outcome.type in _KNOWN else f"unknown result {outcome.type}"[:100]


def _error_message(outcome: Outcome) -> str | None:
    return outcome.error.error.message if outcome.error and outcome.type != "succeeded" else None
