"""Articles of 2 KB to shards on disk, and the lookup of answers that are there: ``python -m benchmarks.reading_speed``.

Reading is checking, prompt, JSON, both hashes and limits; each format in a process of its own. Rates are per
second of CPU time, on one core, so that a busy machine does not count; memory is the peak of the process.
The lookup asks :class:`include.results.reuse.AnswerIndex` for as many keys as it has, half of them there.
"""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from benchmarks.results_speed import peak_mb
from include.articles.reader import iter_articles
from include.results.reuse import AnswerIndex
from include.settings import SUMMARY_PROMPT, ShardLimits
from include.shards.prompts import PromptTemplate
from include.shards.requests import RequestTemplate
from include.shards.writer import write_shards

FORMATS = ("in.jsonl", "in.json", "in.csv", "in.parquet")
LOOKED_UP = 1_000_000


def main() -> None:
    """Measure each format and the lookup, and print the table."""
    articles = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
        place = Path(folder)
        _write_sources(place, articles)
        print(f"{articles:,} articles of 2 KB to shards on disk")
        for name in FORMATS:
            seconds, peak = _measure("read", place / name)
            print(f"  {name:12} {articles / seconds:9,.0f} articles/s of CPU  {peak:6.0f} MB at the peak")
        _write_keys(place / "answers.parquet")
        seconds, peak = _measure("look up", place / "answers.parquet")
        print(
            f"{LOOKED_UP:,} keys looked up among {LOOKED_UP:,}: {seconds:.1f} s of CPU, {peak:.0f} MB at the peak"
        )


def _write_sources(place: Path, articles: int) -> None:
    text = "It goes on and on, as articles do. " * 55
    rows = [
        {"id": f"a{n}", "title": f"title {n}", "content": f"Article {n} begins. {text}", "section": n % 7}
        for n in range(articles)
    ]
    (place / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "in.json").write_text(json.dumps(rows))
    with (place / "in.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), place / "in.parquet")


def _write_keys(path: Path) -> None:
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(LOOKED_UP)]
    columns = {
        "request_key": keys,
        "status": ["succeeded"] * LOOKED_UP,
        "batch_id": ["msgbatch_1"] * LOOKED_UP,
    }
    pq.write_table(pa.table(columns), path, row_group_size=20_000)


def _measure(step: str, path: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.reading_speed", "--child", step, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def child(step: str, path: Path) -> None:
    """Do the step and print seconds of CPU and MB."""
    started = time.process_time()
    if step == "read":
        template = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate(SUMMARY_PROMPT, 2_000))
        write_shards(
            iter_articles(UPath(path)),
            UPath(path.parent / f"run-{path.name}"),
            template,
            limits=ShardLimits(),
        )
    else:
        index = AnswerIndex([UPath(path)], offline=False)
        half = range(LOOKED_UP // 2, LOOKED_UP + LOOKED_UP // 2)
        found = sum(index.find(hashlib.sha256(str(n).encode()).digest()) is not None for n in half)
        assert found == LOOKED_UP // 2
    print(time.process_time() - started, peak_mb())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
