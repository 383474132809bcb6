"""Names of columns: ours, and what becomes of a source's field that has one of them. Light: DAG files read it."""

from __future__ import annotations

from collections.abc import Collection

RESERVED = frozenset(
    {
        *("article_id", "title", "custom_id", "request_key", "status", "text", "stop_reason", "model"),
        *("input_tokens", "output_tokens", "thinking_tokens"),
        *("cache_creation_input_tokens", "cache_read_input_tokens"),
        *("cost_usd", "list_cost_usd", "error_type", "error_message", "message_id", "batch_id", "round"),
        *("reused", "day", "source_file", "source_position"),
    }
)
"""Column names of ours; a metadata field of the same name is kept as ``source_<name>``."""


def column_name(field: str, taken: Collection[str] = ()) -> str:
    """Return the Parquet column of a metadata field.

    :param taken: further names, lower case, that a metadata field must not have: those of the output.
    """
    if field in RESERVED:
        field = f"source_{field}"
    while taken and field.casefold() in taken:
        field = f"source_{field}"
    return field
