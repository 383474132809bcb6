"""Seconds, peak memory and size of a day's report at a small and at a large number of articles.

Run ``python -m benchmarks.report_speed [--articles 1000,100000]``: each report is written in a process of
its own. It prints the seconds without the imports, MB above the imports and at the peak, and the page's MB.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contest import Goal, Outcome, alternate, middle, peak_mb, run_child, timed
from nightpress.layout import DataRoot
from nightpress.results.answers_schema import answers_schema

DAY = "2026-11-22"
_GROUP = 20_000


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", default="1000,100000", help="comma-separated numbers of articles")
    for size in (int(part) for part in parser.parse_args().articles.split(",")):
        print("\n".join(run(size).lines()))


def run(articles: int = 100_000, rounds: int = 1) -> Outcome:
    """Write the report of a day with this many articles."""
    with tempfile.TemporaryDirectory(prefix="nightpress-report-") as folder:
        write_day(Path(folder), articles)
        measured = alternate(("ours",), rounds, lambda _: run_child("benchmarks.report_speed", folder))
    peak, page = (middle(measured, "ours", what) for what in ("peak_mb", "page_mb"))
    goal = Goal("report", middle(measured, "ours"), 10, "s")
    note = f"{peak:.0f} MB at the peak, imports included; a page of {page:.1f} MB"
    return Outcome(f"the report of {articles:,} rows", measured, (goal,), (note,))


def child(folder: str) -> None:
    """Write the report, and print seconds and MB."""
    import altair  # noqa: F401 - counted as import, not as work
    from upath import UPath

    from nightpress.reports.day.write_day_report import write_report

    root = DataRoot(UPath(folder))
    found = timed(lambda: write_report(root, DAY))
    page = root.report(DAY).stat().st_size / 1e6
    print(json.dumps(found | {"peak_mb": peak_mb(), "page_mb": page}))


def write_day(root: Path, size: int) -> None:
    """Publish a day with this many articles in twelve categories; one in a hundred failed."""
    chance = random.Random(size)
    path = root / "article_summaries" / f"day={DAY}" / "answers.parquet"
    path.parent.mkdir(parents=True)
    schema = answers_schema([pa.field("category", pa.string()), pa.field("url", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, size, _GROUP):
            rows = [make_row(number, chance) for number in range(first, min(size, first + _GROUP))]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def make_row(number: int, chance: random.Random) -> dict[str, object]:
    """Return a row of a published day."""
    failed = number % 100 == 7
    words = " ".join(chance.choice(("harbour", "ferry", "council", "night", "tide")) for _ in range(45))
    tokens = chance.randint(30, 90)
    return {
        "article_id": f"article-{number}",
        "title": f"Article number {number} & what it says",
        "category": f"category {number % 12}",
        "url": f"https://example.org/{number}",
        "custom_id": f"0123456789abcdef-{number}",
        "request_key": f"{number:064x}",
        "status": "errored" if failed else "succeeded",
        "text": None if failed else words,
        "stop_reason": None if failed else "end_turn",
        "model": None if failed else "claude-haiku-4-5",
        "input_tokens": 0 if failed else 400,
        "output_tokens": 0 if failed else tokens,
        "cost_usd": 0.0 if failed else 0.0002,
        "list_cost_usd": 0.0 if failed else 0.0004,
        "error_type": "invalid_request_error" if failed else None,
        "error_message": f"messages.0: <{number}> is not usable" if failed else None,
        "batch_id": f"msgbatch_{number // 10_000}",
        "round": 1,
        "reused": False,
        "day": DAY,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
    else:
        main()
