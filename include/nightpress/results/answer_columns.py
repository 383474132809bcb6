"""Convert decoded outcomes to Arrow columns: one pass in C per column instead of one append per cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.results.answers_schema import output_fields
from nightpress.results.billing import TOKEN_COLUMNS
from nightpress.results.result_lines import FAILED, ContentBlock, Message, Outcome, Usage
from nightpress.statuses import EMPTY, ERRORED, REFUSED, SUCCEEDED, TRUNCATED, UNFINISHED, UNKNOWN_RESULT

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
        ("unclear", pa.bool_()),
    ]
)
"""Columns of decoded answers. ``unclear`` results are of a new type, or have usage that does not tell their cost.

Numbers are 0 without a message, and null where a message does not state them. ``thinking`` is included in
``output``. ``refusal_category`` is also null for a refusal without a category.
"""

CUT_OFF = ("max_tokens", "model_context_window_exceeded")
"""Stop reasons of a truncated answer."""

PAUSED = ("pause_turn", "compaction")
"""Stop reasons of a turn that can be continued: server tools, and a compacted context (beta)."""

_NOT_WHOLE = pa.array(["refusal", *PAUSED, *CUT_OFF])
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
    kinds = [outcome.type for outcome in outcomes]
    columns: dict[str, pa.Array] = {
        "status": _column("status", [kind if kind in FAILED else ERRORED for kind in kinds]),
        # No rule says what a new type of result costs.
        "unclear": _column("unclear", [kind not in FAILED for kind in kinds]),
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
        return _only_with_usage(pc.fill_null(found, absent), given)

    details = [usage.output_tokens_details for usage in usages]
    tools = [usage.server_tool_use for usage in usages]
    unclear = [
        bool(usage.unclear or usage.iterations or usage.server_tool_use) and not usage.complete
        for usage in usages
    ]
    minutes, hour = _cache_writes(usages)
    return {
        "unclear": _column("unclear", unclear),
        "input": numbers("input", [usage.input_tokens for usage in usages]),
        "output": numbers("output", [usage.output_tokens for usage in usages]),
        "cache_write_5m": _only_with_usage(minutes, given),
        "cache_write_1h": _only_with_usage(hour, given),
        "cache_read": numbers("cache_read", [usage.cache_read_input_tokens for usage in usages], 0),
        "thinking": numbers("thinking", [parts.thinking_tokens if parts else None for parts in details]),
        "web_searches": numbers(
            "web_searches", [parts.web_search_requests if parts else None for parts in tools], 0
        ),
        "service_tier": _column("service_tier", [usage.service_tier for usage in usages]),
        "inference_geo": _column("inference_geo", [usage.inference_geo for usage in usages]),
    }


def _only_with_usage(column: pa.Array, given: list[Usage | None]) -> pa.Array:
    return column if all(given) else pc.if_else(pa.array(map(bool, given), pa.bool_()), column, None)


def _cache_writes(usages: list[Usage]) -> tuple[pa.Array, pa.Array]:
    """Return the tokens written to the cache for five minutes and for an hour, which have different prices.

    A part that is missing is what the sum has more than the other part. If neither part explains the rest of the
    sum, all of it is in the first column, and the second is null: unknown.
    """
    parts = [usage.cache_creation for usage in usages]
    whole = _column("cache_write_5m", [usage.cache_creation_input_tokens for usage in usages])
    minutes = _column("cache_write_5m", [part.ephemeral_5m_input_tokens if part else None for part in parts])
    hour = _column("cache_write_1h", [part.ephemeral_1h_input_tokens if part else None for part in parts])
    known_minutes, known_hour = pc.fill_null(minutes, 0), pc.fill_null(hour, 0)
    rest = pc.fill_null(pc.subtract(whole, pc.add(known_minutes, known_hour)), 0)
    left = pc.greater(rest, 0)
    if not pc.any(left).as_py():
        return known_minutes, known_hour
    of_minutes = pc.and_(left, pc.and_(pc.is_null(minutes), pc.is_valid(hour)))
    of_hour = pc.and_(left, pc.and_(pc.is_null(hour), pc.is_valid(minutes)))
    unknown = pc.and_not(pc.and_not(left, of_minutes), of_hour)
    found_minutes = pc.if_else(unknown, whole, pc.if_else(of_minutes, rest, known_minutes))
    return found_minutes, pc.if_else(unknown, None, pc.if_else(of_hour, rest, known_hour))


def _error_type(outcome: Outcome) -> str | None:
    if outcome.error and (kind := outcome.error.error.kind):
        return kind
    if outcome.type in FAILED:
        return "unknown_error" if outcome.error else None
    return f"{UNKNOWN_RESULT}{outcome.type}"[:100]
