"""Metadata of articles as typed Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

RESERVED = frozenset(
    {
        *("article_id", "title", "custom_id", "request_key", "status", "text", "stop_reason", "model"),
        *("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
        *("cost_usd", "list_cost_usd", "error_type", "error_message", "message_id", "batch_id", "round"),
        *("reused", "day", "source_file", "source_position"),
    }
)
"""Column names of ours; a metadata field of the same name is kept as ``source_<name>``."""


def column_name(field: str) -> str:
    """Return the Parquet column of a metadata field."""
    return f"source_{field}" if field in RESERVED else field


def metadata_column(values: Sequence[object]) -> pa.Array:
    """Return ``values`` as the narrowest Arrow type that holds them all, text if nothing else does."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def common_type(types: Iterable[pa.DataType]) -> pa.DataType:
    """Return one type for a column that has several from shard to shard: text when nothing else fits."""
    kinds = {kind for kind in types if not pa.types.is_null(kind)}
    if not kinds:
        return pa.string()
    if len(kinds) == 1:
        return kinds.pop()
    if all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64()
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    if all(pa.types.is_temporal(kind) and not pa.types.is_time(kind) for kind in kinds):
        return pa.timestamp("us", tz="UTC")
    return pa.string()
