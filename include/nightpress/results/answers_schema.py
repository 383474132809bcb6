"""The columns of answers: one row per article, in article order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.outputs.arrow_columns import ORIGIN
from nightpress.statuses import STATUSES


def _field(name: str, kind: pa.DataType, about: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"about": about})


_TEXT, _COUNT, _USD = pa.string(), pa.int64(), pa.float64()

MAX_TEXT_BYTES = 1024**3
"""Bytes of text that are written at once; an Arrow array of text holds less than 2 GiB."""

HEAD = [
    _field("article_id", _TEXT, "the source's id, as text", nullable=False),
    _field("title", _TEXT, "the source's title, empty when it has none"),
]
"""Columns before the source's metadata."""

TAIL = [
    _field("custom_id", _TEXT, "id of the request in its batch: shard key and ordinal", nullable=False),
    _field("request_key", _TEXT, "SHA-256 of the request's canonical params", nullable=False),
    _field("status", _TEXT, f"what became of the request: {', '.join(STATUSES)}", nullable=False),
    _field(
        "text", _TEXT, "the text blocks of the answer joined, also when it is not whole; null without any"
    ),
    _field("stop_reason", _TEXT, "end_turn, max_tokens, refusal, …"),
    _field("model", _TEXT, "the model that answered"),
    _field("input_tokens", _COUNT, "tokens not read from or written to the cache"),
    _field("output_tokens", _COUNT, "tokens, those of thinking included"),
    _field("thinking_tokens", _COUNT, "of the output tokens, those of thinking; null when not told"),
    _field("cache_creation_input_tokens", _COUNT, "tokens written to the cache"),
    _field("cache_read_input_tokens", _COUNT, "tokens read from the cache"),
    _field("cost_usd", _USD, "USD paid, at batch prices; null when the model's price is not known"),
    _field("list_cost_usd", _USD, "USD the same tokens cost outside a batch"),
    _field(
        "error_type",
        _TEXT,
        "the API's error type, e.g. invalid_request_error; of invalid_output which rule was broken",
    ),
    _field(
        "error_message", _TEXT, "the API's error message; of invalid_output the field and what it must be"
    ),
    _field("message_id", _TEXT, "id of the answer's message"),
    _field("batch_id", _TEXT, "batch that the answer came from", nullable=False),
    _field("round", pa.int16(), "1 for the first sending, 2 for the second", nullable=False),
    _field("reused", pa.bool_(), "true when the answer was paid for earlier", nullable=False),
    _field("day", _TEXT, "partition key, YYYY-MM-DD", nullable=False),
]
"""Columns after the source's metadata."""

DISTINCT = ("article_id", "title", "custom_id", "request_key", "text", "error_message", "message_id")
"""Columns whose values rarely repeat."""


def answers_schema(metadata: Sequence[pa.Field] = (), output: Sequence[pa.Field] = ()) -> pa.Schema:
    """Return the schema of answers.

    :param metadata: columns of the articles.
    :param output: columns of typed answers.
    """
    return pa.schema([*HEAD, *metadata, *output, *TAIL])


def published_schema(metadata: Sequence[pa.Field] = (), output: Sequence[pa.Field] = ()) -> pa.Schema:
    """Return the schema of a published day: answers without ``day``, which is in the folder's name."""
    schema = answers_schema(metadata, output)
    return schema.remove(schema.get_field_index("day"))


def with_large_text(schema: pa.Schema) -> pa.Schema:
    """Return the schema for answers in memory, with large text: an array of text holds less than 2 GiB."""
    index = schema.get_field_index("text")
    return schema.set(index, schema.field(index).with_type(pa.large_string()))


def iter_writable(table: pa.Table) -> Iterator[pa.Table]:
    """Yield answers with large text as tables to write, with text, in pieces that fit into one array."""
    index = table.schema.get_field_index("text")
    column = table.schema.field(index).with_type(pa.string())
    for piece in _iter_pieces(table):
        yield piece.set_column(index, column, piece["text"].cast(pa.string()))


def _iter_pieces(table: pa.Table) -> Iterator[pa.Table]:
    sizes = pc.fill_null(pc.binary_length(table["text"]), 0)
    if (pc.sum(sizes).as_py() or 0) <= MAX_TEXT_BYTES:
        yield table
        return
    ends = np.cumsum(sizes.to_numpy())
    start = 0
    while start < table.num_rows:
        before = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, before + MAX_TEXT_BYTES, side="right")), start + 1)
        yield table.slice(start, end - start)
        start = end


def metadata_fields(schema: pa.Schema) -> list[pa.Field]:
    """Return the metadata columns of a file of answers."""
    ours = {field.name for field in (*HEAD, *TAIL)}
    return [field for field in schema if field.name not in ours and not _is_output(field)]


def output_fields(schema: pa.Schema) -> list[pa.Field]:
    """Return the columns of typed answers of a file of answers."""
    return [field for field in schema if _is_output(field)]


def _is_output(field: pa.Field) -> bool:
    return (field.metadata or {}).get(ORIGIN.encode()) == b"output"
