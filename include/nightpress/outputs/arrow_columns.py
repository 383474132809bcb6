"""Convert nodes to Arrow: one typed column for each field of an answer.

=========  ==========================================  ===================================================
field      column                                      note
=========  ==========================================  ===================================================
text       string
enum       dictionary of string; int64, bool           of text; of whole numbers; of true and false
integer    int64
number     double
Decimal    decimal128(precision, scale)                ``max_digits``, ``decimal_places``; without: (38, 9)
boolean    bool
date       date32
datetime   timestamp[us, UTC]
time       time64[us]
list       list
model      struct
=========  ==========================================  ===================================================

Inside lists and models an enum of text is a string: pyarrow cannot read a nested dictionary from a file of
several row groups ("Nested data conversions not implemented for chunked array outputs").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

from nightpress.outputs.nodes import Field, Node
from nightpress.outputs.output_schema import OutputSchema

ORIGIN = "origin"
"""Metadata key of a column that comes from the answer."""

_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "date-time": pa.timestamp("us", tz="UTC"),
    "time": pa.time64("us"),
}
_OF_CHOICES: dict[type, pa.DataType] = {str: pa.string(), int: pa.int64(), bool: pa.bool_()}
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def arrow_type(node: Node) -> pa.DataType:
    """Return the Arrow type of a node inside a list or a model."""
    if node.kind == "enum":
        return _OF_CHOICES[type(node.choices[0])]
    if node.kind == "decimal":
        return pa.decimal128(*node.precision_and_scale)
    if node.kind == "array":
        assert node.item is not None
        return pa.list_(pa.field("element", arrow_type(node.item)))
    if node.kind == "object":
        return pa.struct([pa.field(child.name, arrow_type(child.node)) for child in node.fields])
    return _TYPES[node.kind]


def arrow_field(field: Field) -> pa.Field:
    """Return a field's column. It is nullable: rows without a fitting answer have null."""
    about = field.node.description or ("may be null" if field.nullable else "null only without an answer")
    kind = _DICTIONARY if _is_dictionary(field.node) else arrow_type(field.node)
    return pa.field(field.name, kind, metadata={"about": about, ORIGIN: "output"})


def arrow_fields(schema: OutputSchema) -> list[pa.Field]:
    """Return the columns of a schema, in its order."""
    return [arrow_field(field) for field in schema.fields]


def answer_columns(schema: OutputSchema, rows: Sequence[Mapping[str, Any] | None]) -> dict[str, pa.Array]:
    """Return the columns of answers, by name.

    :param rows: what :meth:`AnswerReader.read` returned, None for a row without a fitting answer.
    """
    return {field.name: _column(field, rows) for field in schema.fields}


def _column(field: Field, rows: Sequence[Mapping[str, Any] | None]) -> pa.Array:
    values = [None if row is None else row[field.name] for row in rows]
    if not _is_dictionary(field.node):
        return _array(field.node, values)
    # All choices in the schema's order, so that every file of a day has the same dictionary.
    codes = {choice: code for code, choice in enumerate(field.node.choices)}
    indices = pa.array([None if value is None else codes[value] for value in values], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(field.node.choices), pa.string()))


def _is_dictionary(node: Node) -> bool:
    return node.kind == "enum" and isinstance(node.choices[0], str)


def _array(node: Node, values: list[Any]) -> pa.Array:
    if node.kind == "object":
        return _struct(node, values)
    if node.kind == "array":
        return _list(node, values)
    return pa.array(values, arrow_type(node))


def _struct(node: Node, values: list[Any]) -> pa.Array:
    children = [
        _array(child.node, [None if value is None else value[child.name] for value in values])
        for child in node.fields
    ]
    nulls = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(children, fields=list(arrow_type(node)), mask=nulls)


def _list(node: Node, values: list[Any]) -> pa.Array:
    assert node.item is not None
    items = _array(node.item, [item for value in values if value is not None for item in value])
    ends = accumulate((0 if value is None else len(value) for value in values), initial=0)
    nulls = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items, type=arrow_type(node), mask=nulls)
