"""Decoded outcomes as Arrow columns: one pass in C for each column, instead of an append for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nightpress.results.answers_schema import output_fields
from nightpress.results.billing import TOKEN_COLUMNS
from nightpress.results.result_lines import FAILED, Message, Outcome, Usage
from nightpress.statuses import EMPTY, ERRORED, REFUSED, SUCCEEDED, TRUNCATED, UNFINISHED

TEXT_COLUMNS = ("status", "text", "stop_reason", "model", "error_type", "error_message", "message_id")
"""Columns of decoded answers that are published as they are."""

USAGE_COLUMNS = ("inference_geo", "service_tier", "refusal_category")
"""Further text that billing needs."""

ANSWERS = pa.schema(
    [
        *(
            (name, pa.large_string() if name == "text" else pa.string())
            for name in (*TEXT_COLUMNS, *USAGE_COLUMNS)
        ),
        *((name, pa.int64()) for name in (*TOKEN_COLUMNS, "thinking", "web_searches")),
    ]
)
"""Columns of decoded answers.

Numbers are 0 where there is no message, and null where a message does not tell them. ``thinking`` is part of
``output``. ``refusal_category`` is null also for a refusal without one.
"""

CUT_OFF = ("max_tokens", "model_context_window_exceeded")
"""Stop reasons of an answer that is not whole."""

_NOT_WHOLE = pa.array(["refusal", "pause_turn", *CUT_OFF])
_USAGE = attrgetter(
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
    "inference_geo",
)
_UNTOLD = Usage()
_MESSAGE = attrgetter("id", "model", "stop_reason", "stop_details", "usage")
_NO_MESSAGE = Message()


def to_columns(outcomes: list[Outcome]) -> pa.RecordBatch:
    """Return outcomes as rows of :data:`ANSWERS`, in their order."""
    messages = [None if outcome.type in FAILED else outcome.message for outcome in outcomes]
    failed = [message is None for message in messages]
    rows = [_MESSAGE(message or _NO_MESSAGE) for message in messages]
    ids, models, stops, details, usages = zip(*rows, strict=True) if rows else ((),) * 5
    columns: dict[str, Any] = {
        "text": [message and _text(message) for message in messages],
        "stop_reason": stops,
        "model": models,
        "message_id": ids,
        "refusal_category": [detail and detail.category for detail in details],
        **_failure_columns(outcomes, failed),
        **_usage_columns(usages, failed),
    }
    arrays = {
        name: values if isinstance(values, pa.Array) else pa.array(values, ANSWERS.field(name).type)
        for name, values in columns.items()
    }
    arrays["status"] = pc.coalesce(
        arrays.pop("failure"), answer_status(arrays["text"], arrays["stop_reason"])
    )
    return pa.record_batch([arrays[name] for name in ANSWERS.names], schema=ANSWERS)


def _failure_columns(outcomes: list[Outcome], failed: list[bool]) -> dict[str, Any]:
    if not any(failed):
        nothing = pa.nulls(len(outcomes), pa.string())
        return dict.fromkeys(("failure", "error_type", "error_message"), nothing)
    found = [outcome if none else None for outcome, none in zip(outcomes, failed, strict=True)]
    kinds = [outcome and (outcome.type if outcome.type in FAILED else ERRORED) for outcome in found]
    return {
        "failure": pa.array(kinds, pa.string()),
        "error_type": [outcome and _error_type(outcome) for outcome in found],
        "error_message": [outcome and outcome.error and outcome.error.error.message for outcome in found],
    }


def answer_status(text: Any, stop_reason: Any) -> Any:
    """Return the status of each answer as plain text, by what the model wrote and why it stopped.

    :param text: of the answers, an Arrow array; null where there is none.
    :param stop_reason: the API's.
    """
    blank = pc.fill_null(pc.or_(pc.equal(pc.binary_length(text), 0), pc.utf8_is_space(text)), True)
    if not pc.any(pc.or_(blank, pc.is_in(stop_reason, _NOT_WHOLE))).as_py():
        return pc.if_else(blank, None, SUCCEEDED)

    def stopped(*reasons: str) -> Any:
        return pc.is_in(stop_reason, pa.array(reasons))

    conditions = [
        stopped("refusal"),
        stopped(*CUT_OFF),
        pc.or_(stopped("pause_turn"), pc.and_(blank, stopped("tool_use"))),
        blank,
    ]
    return pc.case_when(
        pc.make_struct(*conditions), *map(pa.scalar, (REFUSED, TRUNCATED, UNFINISHED, EMPTY, SUCCEEDED))
    )


def has_earlier_statuses(schema: pa.Schema) -> bool:
    """Tell whether an earlier version published a day: of plain text, it called all that a model wrote an answer."""
    return "thinking_tokens" not in schema.names and not output_fields(schema)


def with_statuses(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows of a published day with the statuses that this version gives.

    :param table: some columns of it: status, text and stop_reason at least.
    :param schema: of the whole file.
    """
    if not has_earlier_statuses(schema):
        return table
    status = table["status"]
    told = answer_status(table["text"], table["stop_reason"])
    index = table.schema.get_field_index("status")
    return table.set_column(
        index, table.schema.field(index), pc.if_else(pc.equal(status, SUCCEEDED), told, status)
    )


def _text(message: Message) -> str | None:
    """Return the text blocks joined; a block of no type that has a text is one."""
    content = message.content
    if content is None:
        return None
    if len(content) == 1 and content[0].type == "text":
        return content[0].text or None
    return "".join([block.text for block in content if block.text and block.type in ("text", None)]) or None


def _usage_columns(usages: Sequence[Usage | None], failed: list[bool]) -> dict[str, Any]:
    rows = [_USAGE(usage or _UNTOLD) for usage in usages]
    given, answered, written, read, lifetimes, details, tools, tiers, places = (
        zip(*rows, strict=True) if rows else ((),) * 9
    )
    # The API leaves out, or writes null for, what did not happen; only without any usage it is not known.
    told = pa.array([usage is not None for usage in usages], pa.bool_())
    nothing = pa.array(failed, pa.bool_()) if any(failed) else None

    def numbers(values: Any, absent: int | None = None) -> Any:
        found = pa.array(values, pa.int64())
        if absent is not None and found.null_count:
            found = pc.if_else(told, pc.fill_null(found, absent), found)
        return found if nothing is None else pc.if_else(nothing, 0, found)

    def parts(structs: Any, name: str, absent: int | None = None) -> Any:
        part = attrgetter(name)
        told_any = any(structs)
        return numbers([struct and part(struct) for struct in structs] if told_any else structs, absent)

    hour = parts(lifetimes, "ephemeral_1h_input_tokens", 0)
    both = numbers(written)
    if both.null_count:
        both = pc.coalesce(both, pc.add(hour, parts(lifetimes, "ephemeral_5m_input_tokens", 0)))
    return {
        "input": numbers(given),
        "output": numbers(answered),
        "cache_write_5m": pc.max_element_wise(pc.subtract(both, hour), 0, skip_nulls=False),
        "cache_write_1h": hour,
        "cache_read": numbers(read, 0),
        "thinking": parts(details, "thinking_tokens"),
        "web_searches": parts(tools, "web_search_requests", 0),
        "service_tier": tiers,
        "inference_geo": places,
    }


def _error_type(outcome: Outcome) -> str | None:
    if outcome.error and outcome.error.error.type:
        return outcome.error.error.type
    if outcome.type in FAILED:
        return "unknown_error" if outcome.error else None
    return f"unknown result {outcome.type}"[:100]
