"""Metadata of articles as typed Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa


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
