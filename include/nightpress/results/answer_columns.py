"""Convert decoded outcomes to Arrow columns: one pass in C per column instead of one append per cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.results.answers_schema import output_fields
from nightpress.results.billing import TOKEN_COLUMNS
from nightpress.results.result_lines import FAILED, ContentBlock, Message, Outcome, Usage
from nightpress.statuses import EMPTY, ERRORED, REFUSED, SUCCEEDED, TRUNCATED, UNFINISHED

TEXT_COLUMNS = ("status", "text", "stop_reason", "model", "error_type", "error_message", "message_id")
"""Columns of decoded answers that are published unchanged."""

_NUMBERS = (*TOKEN_COLUMNS, "thinking", "web_searches")

USAGE_COLUMNS = ("inference_geo", "service_tier", "refusal_category")
"""More text columns, which only billing needs."""

ANSWERS = pa.schema(
    [
        *(
            (name, pa.large_string() if name == "text" else pa.string())
            for name in (*TEXT_COLUMNS, *USAGE_COLUMNS)
        ),
        *((name, pa.int64()) for name in _NUMBERS),
    ]
)
"""Columns of decoded answers.

Numbers are 0 without a message, and null where a message does not state them. ``thinking`` is included in
``output``. ``refusal_category`` is also null for a refusal without a category.
"""

CUT_OFF = ("max_tokens", "model_context_window_exceeded")
"""Stop reasons of a truncated answer."""

PAUSED = ("pause_turn", "compaction")
"""Stop reasons of a turn that can be continued: server tools, and a compacted context (beta)."""

_NOT_WHOLE = pa.array(["refusal", *PAUSED, *CUT_OFF])
_TYPE = attrgetter("type")
_UNTOLD = Usage()
_NULLS = {field.name: pa.scalar(None, field.type) for field in ANSWERS}
_ZERO = pa.scalar(0, pa.int64())


def to_columns(ordinals: np.ndarray, outcomes: list[Outcome]) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """Yield ordinals and their outcomes as rows of :data:`ANSWERS`: first the answers, then the failures.

    They are separate so that most columns hold equal values, which need no conversion.
    """
    if not outcomes:  # every line of the block is damaged
        return
    answered = [outcome.message is not None and outcome.type not in FAILED for outcome in outcomes]
    if all(answered):
        yield ordinals, _answers([outcome.message for outcome in outcomes if outcome.message])
        return
    flags = np.array(answered, dtype=bool)
    messages = [outcome.message for outcome in compress(outcomes, answered) if outcome.message]
    if messages:
        yield ordinals[flags], _answers(messages)
    failures = [outcome for outcome, has_message in zip(outcomes, answered, strict=True) if not has_message]
    yield ordinals[~flags], _failures(failures)


def _answers(messages: list[Message]) -> pa.RecordBatch:
    details = [message.stop_details for message in messages]
    columns = {
        "text": pa.array(_texts(messages), _NULLS["text"].type),
        "stop_reason": _column("stop_reason", [message.stop_reason for message in messages]),
        "model": _column("model", [message.model for message in messages]),
        "message_id": _column("message_id", [message.id for message in messages]),
        "refusal_category": _column("refusal_category", [detail and detail.category for detail in details]),
        **_usage_columns([message.usage for message in messages]),
    }
    columns["status"] = answer_status(columns["text"], columns["stop_reason"])
    return _record_batch(columns, len(messages))


def _failures(outcomes: list[Outcome]) -> pa.RecordBatch:
    errors = [outcome.error.error.message if outcome.error else None for outcome in outcomes]
    columns: dict[str, pa.Array] = {
        "status": _column("status", [kind if kind in FAILED else ERRORED for kind in map(_TYPE, outcomes)]),
        "error_type": _column("error_type", [_error_type(outcome) for outcome in outcomes]),
        "error_message": _column("error_message", errors),
        **dict.fromkeys(_NUMBERS, pa.repeat(_ZERO, len(outcomes))),
    }
    return _record_batch(columns, len(outcomes))


def _record_batch(columns: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    """Return the columns as rows of :data:`ANSWERS`; columns that are not given are null."""
    arrays = [
        columns[name] if name in columns else pa.repeat(nothing, rows) for name, nothing in _NULLS.items()
    ]
    return pa.record_batch(arrays, schema=ANSWERS)


def _column(name: str, values: Sequence[object]) -> pa.Array:
    """Return values as a column of :data:`ANSWERS`; if all are equal, only one is converted."""
    kind = _NULLS[name].type
    if values and values[0] == values[-1] and values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], kind), len(values))
    return pa.array(values, kind)


def answer_status(text: Any, stop_reason: Any) -> Any:
    """Return the status of each plain-text answer, from the text and the stop reason.

    :param text: texts of the answers, an Arrow array; null where there is none.
    :param stop_reason: the API's stop reasons.
    """
    blank = pc.fill_null(pc.or_(pc.equal(pc.binary_length(text), 0), pc.utf8_is_space(text)), True)
    if not pc.any(pc.or_(blank, pc.is_in(stop_reason, _NOT_WHOLE))).as_py():
        return pc.if_else(blank, None, SUCCEEDED)

    def stopped(*reasons: str) -> Any:
        return pc.is_in(stop_reason, pa.array(reasons))

    conditions = [
        stopped("refusal"),
        stopped(*CUT_OFF),
        pc.or_(stopped(*PAUSED), pc.and_(blank, stopped("tool_use"))),
        blank,
    ]
    return pc.case_when(
        pc.make_struct(*conditions), *map(pa.scalar, (REFUSED, TRUNCATED, UNFINISHED, EMPTY, SUCCEEDED))
    )


def has_earlier_statuses(schema: pa.Schema) -> bool:
    """Return whether a day is plain text from an earlier version, which called any text ``succeeded``."""
    return "thinking_tokens" not in schema.names and not output_fields(schema)


def with_statuses(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows of a published day with the statuses of this version.

    :param table: columns of the day: at least status, text and stop_reason.
    :param schema: schema of the whole file.
    """
    if not has_earlier_statuses(schema):
        return table
    status = table["status"]
    told = answer_status(table["text"], table["stop_reason"])
    index = table.schema.get_field_index("status")
    return table.set_column(
        index, table.schema.field(index), pc.if_else(pc.equal(status, SUCCEEDED), told, status)
    )


def _texts(messages: list[Message]) -> list[str | None]:
    """Return the text of each message; most have one text block."""
    return [
        (found.text or None)
        if message.content and len(message.content) == 1 and (found := message.content[0]).type == "text"
        else _joined_text(message.content or ())
        for message in messages
    ]


def _joined_text(content: Sequence[ContentBlock]) -> str | None:
    """Return the text blocks joined; a block with text but without a type counts as a text block."""
    return "".join([block.text for block in content if block.text and block.type in ("text", None)]) or None


def _usage_columns(given: list[Usage | None]) -> dict[str, pa.Array]:
    usages = [usage or _UNTOLD for usage in given]

    def numbers(name: str, values: list[int | None], absent: int | None = None) -> pa.Array:
        found = _column(name, values)
        if absent is None or not found.null_count:
            return found
        # The API omits the count of what did not happen, or writes null. It is unknown only without usage.
        filled = pc.fill_null(found, absent)
        return filled if all(given) else pc.if_else(pa.array(map(bool, given), pa.bool_()), filled, None)

    lifetimes = [usage.cache_creation for usage in usages]
    details = [usage.output_tokens_details for usage in usages]
    tools = [usage.server_tool_use for usage in usages]
    hour = numbers(
        "cache_write_1h", [parts.ephemeral_1h_input_tokens if parts else None for parts in lifetimes], 0
    )
    written = numbers("cache_write_5m", [usage.cache_creation_input_tokens for usage in usages])
    if written.null_count:
        minutes = [parts.ephemeral_5m_input_tokens if parts else None for parts in lifetimes]
        written = pc.coalesce(written, pc.add(hour, numbers("cache_write_5m", minutes, 0)))
    minutes_only = pc.max_element_wise(pc.subtract(written, hour), 0, skip_nulls=False)
    if (pc.max(minutes_only).as_py() or 0) > 0:
        # The price depends on the cache lifetime, which is only known where the answer states it.
        told = pa.array([parts is not None and parts.is_told for parts in lifetimes], pa.bool_())
        hour = pc.if_else(pc.or_(told, pc.equal(minutes_only, 0)), hour, pa.scalar(None, hour.type))
    return {
        "input": numbers("input", [usage.input_tokens for usage in usages]),
        "output": numbers("output", [usage.output_tokens for usage in usages]),
        "cache_write_5m": minutes_only,
        "cache_write_1h": hour,
        "cache_read": numbers("cache_read", [usage.cache_read_input_tokens for usage in usages], 0),
        "thinking": numbers("thinking", [parts.thinking_tokens if parts else None for parts in details]),
        "web_searches": numbers(
            "web_searches", [parts.web_search_requests if parts else None for parts in tools], 0
        ),
        "service_tier": _column("service_tier", [usage.service_tier for usage in usages]),
        "inference_geo": _column("inference_geo", [usage.inference_geo for usage in usages]),
    }


def _error_type(outcome: Outcome) -> str | None:
    if outcome.error and (kind := outcome.error.error.kind):
        return kind
    if outcome.type in FAILED:
        return "unknown_error" if outcome.error else None
    return f"unknown result {outcome.type}"[:100]
