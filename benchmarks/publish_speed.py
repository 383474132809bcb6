"""Publishing a day of a million rows from a hundred shards: ``python -m benchmarks.publish_speed [ROWS] [ROUNDS]``.

* ``ours``: :func:`nightpress.days.publish.write_day`, with its totals, sources and atomic write;
* ``pandas``: ``read_parquet`` of all shards, ``concat``, ``to_parquet``;
* ``floor``: Arrow copies the shards' row groups into one file with the same compression.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from benchmarks.contest import Goal, Outcome, alternate, middle, run_child, timed
from benchmarks.report_speed import DAY, make_row
from nightpress.results.answers_schema import answers_schema
from nightpress.shards.rejected_rows import REJECTED_SCHEMA

CONTENDERS = ("ours", "pandas", "floor")
ROWS_A_SHARD = 10_000


def run(rows: int = 1_000_000, rounds: int = 3) -> Outcome:
    """Measure all contenders."""
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
        place = Path(folder)
        _write_shards(place, rows)
        measured = alternate(
            CONTENDERS, rounds, lambda name: run_child("benchmarks.publish_speed", name, place)
        )
    share = rows / 1_000_000
    goals = (
        Goal("publish", middle(measured, "ours"), 10 * share, "s"),
        Goal("publish: memory, imports included", middle(measured, "ours", "peak_mb"), 300, "MB"),
    )
    return Outcome(f"publish {rows:,} rows of {rows // ROWS_A_SHARD} shards", measured, goals)


def _write_shards(place: Path, rows: int) -> None:
    """Write results as the write task leaves them; texts differ within a shard, not between shards."""
    chance = random.Random(1)
    schema = answers_schema([pa.field("category", pa.string()), pa.field("url", pa.string())])
    first = pa.Table.from_pylist([make_row(number, chance) for number in range(ROWS_A_SHARD)], schema=schema)
    for shard in range(rows // ROWS_A_SHARD):
        names = pa.array([f"a-{shard}-{number}" for number in range(ROWS_A_SHARD)])
        batches = pa.array([f"msgbatch_{shard}"] * ROWS_A_SHARD)
        table = first.set_column(0, schema.field(0), names)
        table = table.set_column(schema.get_field_index("batch_id"), schema.field("batch_id"), batches)
        pq.write_table(table, place / f"results-{shard:05d}.parquet", compression="zstd")
    pq.write_table(pa.Table.from_pylist([], schema=REJECTED_SCHEMA), place / "rejected.parquet")


def child(name: str, place: Path) -> None:
    """Publish, measure, and check the rows and their order."""
    from benchmarks.contest import peak_mb

    shards = sorted(place.glob("results-*.parquet"))
    target = place / f"{name}.parquet"
    found = timed({"ours": _ours, "pandas": _pandas, "floor": _floor}[name](shards, target))
    found["peak_mb"] = peak_mb()
    column = pq.read_table(target, columns=["article_id"])["article_id"]
    assert len(column) == len(shards) * ROWS_A_SHARD
    assert column[0].as_py() == "a-0-0"
    assert column[-1].as_py() == f"a-{len(shards) - 1}-{ROWS_A_SHARD - 1}"
    print(json.dumps(found))


def _ours(shards: list[Path], target: Path) -> Callable[[], object]:
    from nightpress.days.publish import DayParts, write_day
    from nightpress.layout import DataRoot

    rejected = UPath(shards[0]).with_name("rejected.parquet")
    root = DataRoot(UPath(shards[0].parent))
    parts = DayParts([UPath(path) for path in shards], rejected)
    return lambda: write_day(root, UPath(target), "bench", DAY, parts)


def _pandas(shards: list[Path], target: Path) -> Callable[[], object]:
    import pandas as pd

    return lambda: pd.concat([pd.read_parquet(path) for path in shards]).to_parquet(
        target, compression="zstd", index=False
    )


def _floor(shards: list[Path], target: Path) -> Callable[[], object]:
    def copy() -> None:
        with pq.ParquetWriter(target, pq.read_schema(shards[0]), compression="zstd") as writer:
            for path in shards:
                writer.write_table(pq.read_table(path))

    return copy


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
    else:
        print("\n".join(run(*map(int, sys.argv[1:])).lines()))
