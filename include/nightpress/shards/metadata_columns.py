"""Metadata of articles as typed Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import pyarrow as pa

MAX_DIGITS = 38
"""Digits of the longest decimal column, of 128 bits."""

_INT64_DIGITS = 19
_Values = TypeVar("_Values", pa.Array, pa.ChunkedArray)


def metadata_column(values: Sequence[object]) -> pa.Array:
    """Return ``values`` as the narrowest Arrow type that holds them all, text if nothing else does."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return _mixed_as_text(values)


def _mixed_as_text(values: Sequence[object]) -> pa.Array:
    """Return values of several types as text: each as :func:`text_column` writes it in a column of its own type."""
    places: dict[type, list[int]] = {}
    for place, value in enumerate(values):
        if value is not None:
            places.setdefault(type(value), []).append(place)
    texts: list[str | None] = [None] * len(values)
    for own in places.values():
        alike = [values[place] for place in own]
        try:
            written = text_column(pa.array(alike)).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            written = [str(value) for value in alike]
        for place, text in zip(own, written, strict=True):
            texts[place] = text
    return pa.array(texts, pa.string())


def text_column(values: _Values) -> _Values:
    """Return a column as text; a value has the same text whatever else is in its column."""
    try:
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Arrow has no such cast, e.g. from a list to text; use Python's str.
        texts = [None if value is None else str(value) for value in values.to_pylist()]
        return (
            pa.array(texts, pa.string())
            if isinstance(values, pa.Array)
            else pa.chunked_array([texts], pa.string())
        )


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
    if all(pa.types.is_integer(kind) or pa.types.is_decimal128(kind) for kind in kinds):
        scale = max(digits_of(kind)[1] for kind in kinds)
        digits = max(digits_of(kind)[0] for kind in kinds) + scale
        return pa.decimal128(digits, scale) if digits <= MAX_DIGITS else pa.string()
    if all(pa.types.is_temporal(kind) and not pa.types.is_time(kind) for kind in kinds):
        return pa.timestamp("us", tz="UTC")
    return pa.string()


def digits_of(kind: pa.DataType) -> tuple[int, int]:
    """Return the digits before and after the point of a decimal column, or of one of whole numbers."""
    return (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal128(kind) else (_INT64_DIGITS, 0)
