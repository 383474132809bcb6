"""Seconds, peak memory and size of a day's report at a small and at a large number of articles.

Run ``python -m benchmarks.report_speed [--articles 1000,100000]``: each report is written in a process of
its own. Printed are the seconds without the imports, MB after the imports and at the peak, and the page's MB.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.results.schema import answers_schema

DAY = "2026-11-22"
_GROUP = 20_000


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", default="1000,100000", help="comma-separated numbers of articles")
    parser.add_argument("--report", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.report:
        print(json.dumps(_write(options.report)))
        return
    print(f"{'articles':>10} {'seconds':>8} {'imports':>9} {'peak':>9} {'page':>9}")
    for size in (int(part) for part in options.articles.split(",")):
        with tempfile.TemporaryDirectory(prefix="nightpress-report-") as folder:
            write_day(Path(folder), size)
            command = [sys.executable, "-m", "benchmarks.report_speed", "--report", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, base, peak, page = json.loads(done.stdout)
        print(f"{size:>10,} {seconds:>8.1f} {base:>6.0f} MB {peak:>6.0f} MB {page:>6.1f} MB")


def _write(folder: str) -> tuple[float, float, float, float]:
    import altair  # noqa: F401 - counted as import, not as work
    from upath import UPath

    from include.reports.report import report_paths, write_report

    root, base, started = UPath(folder), _peak_mb(), time.monotonic()
    write_report(root, DAY)
    seconds = time.monotonic() - started
    return seconds, base, _peak_mb(), report_paths(root, DAY)[0].stat().st_size / 1e6


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_day(root: Path, size: int) -> None:
    """Publish a day of so many articles, one in a hundred failed, in twelve categories."""
    chance = random.Random(size)
    path = root / "article_summaries" / f"day={DAY}" / "answers.parquet"
    path.parent.mkdir(parents=True)
    schema = answers_schema([pa.field("category", pa.string()), pa.field("url", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, size, _GROUP):
            rows = [_row(number, chance) for number in range(first, min(size, first + _GROUP))]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _row(number: int, chance: random.Random) -> dict[str, object]:
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
    main()
