"""Find the source's metadata columns that sort articles into a few groups, whatever columns a day has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightpress.reports.stored_days import open_answers
from nightpress.statuses import SUCCEEDED
from nightpress.storage import StoragePath

MAX_VALUES = 24
"""A column with more distinct values is not a category."""

MAX_TABLES = 4
NO_VALUE = "(none)"

_LONGEST = 60
_PREFERRED = ("category", "section", "topic", "desk", "kind", "type", "source", "language", "lang")
_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """One value of a column.

    :param paid_usd: USD for the new answers among them; None if a model's price is unknown.
    """

    value: str
    articles: int
    succeeded: int
    failed: int
    reused: int
    output_tokens: int
    paid_usd: float | None


@dataclass(frozen=True, slots=True)
class CategoryTable:
    """A column and its values, ordered by number of articles."""

    column: str
    rows: Sequence[CategoryRow]


def metadata_columns(schema: pa.Schema) -> list[str]:
    """Return the source's own columns: those between ``title`` and ``custom_id``."""
    names = schema.names
    if "title" not in names or "custom_id" not in names:
        return []
    return list(names[names.index("title") + 1 : names.index("custom_id")])


def find_categories(path: StoragePath) -> list[str]:
    """Return the columns that are suitable as categories, best first; reads a piece at a time.

    A category is text, a whole number or a boolean with 2 to 24 short values, used four times on average.
    """
    with open_answers(path) as file:
        rows = file.metadata.num_rows
        fields = [file.schema_arrow.field(name) for name in metadata_columns(file.schema_arrow)]
        suitable = [field.name for field in fields if _may_be_category(field.type)]
        found = [name for name in suitable if 2 <= _count_values(file, name) <= min(MAX_VALUES, rows // 4)]
    order = {name: place for place, name in enumerate(_PREFERRED)}
    return sorted(found, key=lambda name: order.get(name.lower(), len(order)))[:MAX_TABLES]


def tabulate(frame: pd.DataFrame, column: str) -> CategoryTable:
    """Add up a day by the values of a column."""
    values = frame[column].map(category_of).astype(object).fillna(NO_VALUE)
    new = ~frame["reused"]
    work = pd.DataFrame(
        {
            "value": values,
            "articles": 1,
            "succeeded": frame["status"].eq(SUCCEEDED),
            "reused": frame["reused"],
            "output_tokens": frame["output_tokens"].where(new, 0).fillna(0),
            "paid": frame["cost_usd"].where(new, 0.0).fillna(0.0),
            "unknown": frame["cost_usd"].isna() & new,
        }
    )
    grouped = work.groupby("value", sort=False)
    sums = grouped.sum()
    rows = [
        CategoryRow(
            value=str(value),
            articles=int(row["articles"]),
            succeeded=int(row["succeeded"]),
            failed=int(row["articles"] - row["succeeded"]),
            reused=int(row["reused"]),
            output_tokens=int(row["output_tokens"]),
            paid_usd=None if row["unknown"] else float(row["paid"]),
        )
        for value, row in sums.iterrows()
    ]
    return CategoryTable(column, sorted(rows, key=lambda row: (-row.articles, row.value)))


def category_of(value: Any) -> str:
    """Return the group name for a value of a column."""
    if value is None or value != value or value == "":  # noqa: PLR0124 - NaN is not itself
        return NO_VALUE
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _may_be_category(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):  # an enum of typed answers
        kind = kind.value_type
    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_date,
    )
    return any(check(kind) for check in checks)


def _count_values(file: pq.ParquetFile, name: str) -> int:
    """Count the distinct values of a column; stop if they are too many or too long."""
    seen: set[Any] = set()
    for batch in file.iter_batches(_ROWS, columns=[name]):
        seen.update(pc.unique(batch.column(0)).to_pylist())
        if len(seen) > MAX_VALUES or any(isinstance(v, str) and len(v) > _LONGEST for v in seen):
            return MAX_VALUES + 1
    return len(seen)
