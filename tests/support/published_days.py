"""Published days made by hand, so that the expected numbers of a report can be computed by hand too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from nightpress.outputs.arrow_columns import ORIGIN
from nightpress.results.answers_schema import HEAD, TAIL, answers_schema

DAY = "2026-11-22"
PIPELINE = "article_summaries"
_RECEIPT: dict[str, Any] = {
    "run": "night",
    "offline": False,
    "list_usd": None,
    "paid_usd": None,
    "saved_usd": None,
    "cache_saved_usd": None,
    "wasted_usd": None,
    "batches": [],
}
_OURS = {field.name for field in (*HEAD, *TAIL)}


def answer(number: int, **given: Any) -> dict[str, Any]:
    """A row of answers: 100 input and 20 output tokens, 0.01 USD (list price 0.02); ``status``, metadata as given."""
    failed = given.get("status", "succeeded") != "succeeded"
    row: dict[str, Any] = {
        "article_id": f"a-{number}",
        "title": f"Title {number}",
        "custom_id": f"0123456789abcdef-{number}",
        "request_key": "0" * 64,
        "status": "succeeded",
        "text": None if failed else f"Answer {number}.",
        "stop_reason": None if failed else "end_turn",
        "model": None if failed else "claude-haiku-4-5",
        "batch_id": "msgbatch_01",
        "round": 1,
        "reused": False,
        "day": DAY,
        "input_tokens": 0 if failed else 100,
        "output_tokens": 0 if failed else 20,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cost_usd": 0.0 if failed else 0.01,
        "list_cost_usd": 0.0 if failed else 0.02,
    }
    return row | given


def publish(
    root: UPath,
    rows: Sequence[Mapping[str, Any]],
    *,
    day: str = DAY,
    pipeline: str = PIPELINE,
    receipt: Mapping[str, Any] | None = None,
    group: int = 20_000,
    output: Mapping[str, pa.DataType] | None = None,
    offline: str = "no",
    dag_id: str = "",
) -> UPath:
    """Write a day's answers, and its receipt if given; columns that are neither ours nor the output's are metadata."""
    typed = [pa.field(name, kind, metadata={ORIGIN: "output"}) for name, kind in (output or {}).items()]
    ours = _OURS | set(output or {})
    names = dict.fromkeys(name for row in rows for name in row if name not in ours)
    metadata = [
        pa.field(name, pa.array([row.get(name) for row in rows], from_pandas=True).type) for name in names
    ]
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=answers_schema(metadata, typed))
    table = table.replace_schema_metadata({"offline": offline} | ({"dag_id": dag_id} if dag_id else {}))
    path = root / pipeline / f"day={day}" / "answers.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        pq.write_table(table, stream, compression="zstd", row_group_size=group)
    if receipt is not None:
        write_receipt(root, receipt, day=day, pipeline=pipeline)
    return path


def write_receipt(
    root: UPath, receipt: Mapping[str, Any] | str, *, day: str = DAY, pipeline: str = PIPELINE
) -> None:
    """Store a receipt: a text as given, even a broken one; a mapping with missing fields filled in."""
    path = root / "receipts" / pipeline / f"day={day}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(receipt, str):
        shard = {"batch_id": "msgbatch_01", "shard_key": "0" * 64, "run": "night"}
        batches = [shard | dict(batch) for batch in receipt.get("batches", [])]
        known = _RECEIPT | {"pipeline": pipeline, "day": day}
        receipt = json.dumps(known | dict(receipt) | {"batches": batches})
    path.write_text(receipt)
