"""A shard's answers at once, of the offline API's every misfit."""

from __future__ import annotations

import json
from datetime import date
from typing import Literal

from pydantic import BaseModel

from nightpress.outputs.output_schema import OutputSchema
from nightpress.outputs.typed_rows import read_rows
from offline_api.misfits import MISFITS, misfit_text


class Label(BaseModel):
    topic: Literal["politics", "sport"]
    tags: list[Literal["a", "b"]]
    count: int
    day: date | None = None


SCHEMA = OutputSchema.of(Label)
GOOD = {"topic": "sport", "tags": ["b"], "count": 3, "day": "2026-11-22"}
READ = {"topic": "sport", "tags": ["b"], "count": 3, "day": date(2026, 11, 22)}


def test_rows_keep_their_places() -> None:
    wrong = [misfit_text(misfit, GOOD, SCHEMA.request_schema) for misfit in MISFITS]
    texts = [json.dumps(GOOD), None, *(text for text, _ in wrong), json.dumps(GOOD)]
    kinds = {"max_tokens": "truncated", "refusal": "refused"}
    statuses = [
        "succeeded",
        "expired",
        *(kinds.get(stop, "succeeded") for _, stop in wrong),
        "invalid_output",
    ]
    found = read_rows(SCHEMA, statuses, texts)
    rows = [dict(zip(found.columns, row, strict=True)) for row in zip(*found.columns.values(), strict=True)]
    rows = [{name: value.as_py() for name, value in row.items()} for row in rows]
    assert rows[0] == rows[-1] == READ
    assert rows[1:-1] == [dict.fromkeys(READ)] * (len(wrong) + 1)
    refused = statuses.index("refused")
    misfits = [False, False, *([True] * len(wrong)), False]
    misfits[refused] = False
    assert [problem is not None for problem in found.problems] == misfits
    assert [n for n, read in enumerate(found.read) if not read] == [1, refused]
    assert found.reasons == {
        "unknown_value": 2,
        "missing_field": 1,
        "extra_field": 1,
        "out_of_range": 1,
        "duplicate_key": 1,
        "not_json": 2,
        "empty": 1,
    }


def test_no_rows() -> None:
    found = read_rows(SCHEMA, [], [])
    assert {name: len(column) for name, column in found.columns.items()} == dict.fromkeys(READ, 0)
