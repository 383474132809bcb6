"""Memory of reading as the source grows: ``python -m benchmarks.reading_scale [MEGABYTES] [FILES] [KIND…]``.

The same source is read at full size and at a tenth of it, each in a separate process: the difference of the peaks
is the cost of size. Articles have 20 KB, since each article's id takes 20 bytes of memory. Parquet is also read from
row groups of a gigabyte, JSON lines from gzip. It also measures many small files, and texts of a few words with
300 KB of metadata each, which are staged in shards.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from benchmarks.contest import Goal, Outcome, middle, peak_mb, resident_mb, run_child
from nightpress.articles.reader import iter_articles
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.writer import write_shards

_ARTICLE_BYTES, _METADATA_BYTES = 20_000, 300_000
_TEXT = "It goes on and on, as articles do. "
MANY, METADATA = "many_files", "metadata"


def run(megabytes: int = 5_000, files: int = 50_000, *kinds: str) -> list[Outcome]:
    """Measure each format, small files and metadata; or only the kinds that are named."""
    wanted = kinds or (*_WRITERS, METADATA, MANY)
    outcomes = [_growth(name, megabytes, write, 40.0) for name, write in _WRITERS.items() if name in wanted]
    if METADATA in wanted:
        outcomes.append(_growth(METADATA, max(megabytes // 5, 1_000), _write_metadata, 60.0))
    if MANY in wanted:
        outcomes.append(_many_files(files))
    return outcomes


def _many_files(files: int) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
        place = Path(folder) / "source"
        _write_many(place, files)
        measured = {MANY: [run_child("benchmarks.reading_scale", MANY, place)]}
    seconds = middle(measured, MANY)
    goals = (
        Goal("many small files: files/s of CPU", files / seconds, 1_000, "", at_least=True),
        Goal("many small files: memory above imports", middle(measured, MANY, "extra_mb"), 120, "MB"),
    )
    return Outcome(f"{files:,} files of one article", measured, goals)


def _growth(name: str, megabytes: int, write: Callable[[Path, int], None], most: float) -> Outcome:
    measured = {}
    for size in (megabytes // 10, megabytes):
        with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
            place = Path(folder) / f"in.{_SUFFIXES.get(name, name)}"
            write(place, size * 1_000_000)
            measured[f"{size:,} MB"] = [run_child("benchmarks.reading_scale", name, place)]
    small, large = measured
    grown = middle(measured, large, "peak_mb") - middle(measured, small, "peak_mb")
    goal = Goal(f"{name}: memory of {large} above that of {small}", grown, most, "MB")
    return Outcome(f"{name}, ten times the size", measured, (goal,))


def _rows(size: int) -> Iterator[dict[str, Any]]:
    random_words = random.Random(1)
    words = " ".join(f"{random_words.getrandbits(32):x}" for _ in range(100_000))
    for number in range(size // _ARTICLE_BYTES):
        start = random_words.randrange(len(words) - _ARTICLE_BYTES)
        yield {
            "id": f"a{number}",
            "title": f"title {number}",
            "content": f"{number} {words[start : start + _ARTICLE_BYTES]}",
            "section": number % 7,
        }


def _write_jsonl(path: Path, size: int) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in _rows(size))


def _write_json(path: Path, size: int) -> None:
    with path.open("w") as file:
        for number, row in enumerate(_rows(size)):
            file.write(("[" if number == 0 else ",\n") + json.dumps(row))
        file.write("]")


def _write_csv(path: Path, size: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "content", "section"])
        writer.writeheader()
        writer.writerows(_rows(size))


def _write_gzip(path: Path, size: int) -> None:
    with gzip.open(path, "wt", 1, encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in _rows(size))


def _write_large_groups(path: Path, size: int) -> None:
    _write_parquet(path, size, rows_of_group=1_000_000_000 // _ARTICLE_BYTES)


def _write_parquet(path: Path, size: int, rows_of_group: int = 1_000) -> None:
    writer: pq.ParquetWriter | None = None
    batch: list[dict[str, Any]] = []
    for row in _rows(size):
        batch.append(row)
        if len(batch) == rows_of_group:
            table = pa.Table.from_pylist(batch)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            batch.clear()
    if writer is None:
        pq.write_table(pa.Table.from_pylist(batch), path)
    else:
        if batch:
            writer.write_table(pa.Table.from_pylist(batch))
        writer.close()


def _write_metadata(path: Path, size: int) -> None:
    """Write lines with a short text and long other fields."""
    field = "m" * (_METADATA_BYTES // 10)
    with path.open("w") as file:
        for number in range(size // _METADATA_BYTES):
            row = {"id": f"a{number}", "content": "A few words."} | {
                f"f{n}": f"{number} {field}" for n in range(10)
            }
            file.write(json.dumps(row) + "\n")


def _write_many(folder: Path, files: int) -> None:
    for number in range(files):
        path = folder / f"{number % 100:02d}" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"id": f"a{number}", "title": "t", "content": f"Article {number}. {_TEXT}"})
        )


_WRITERS: dict[str, Callable[[Path, int], None]] = {
    "jsonl": _write_jsonl,
    "json": _write_json,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "large_groups": _write_large_groups,
    "gzip": _write_gzip,
}
_SUFFIXES = {"large_groups": "parquet", "gzip": "jsonl.gz", METADATA: "jsonl"}


def child(name: str, place: Path) -> None:
    """Read the source and print seconds of CPU and MB."""
    before, started = resident_mb(), time.process_time()
    if name == METADATA:
        template = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("Say it. {content}", 2_000))
        write_shards(iter_articles(UPath(place)), UPath(place.parent / "run"), template, limits=ShardLimits())
    else:
        for _ in iter_articles(UPath(place)):
            pass
    seconds = time.process_time() - started
    print(json.dumps({"seconds": seconds, "extra_mb": peak_mb() - before, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
    else:
        numbers = [int(given) for given in sys.argv[1:] if given.isdecimal()]
        named = [given for given in sys.argv[1:] if not given.isdecimal()]
        megabytes, files = numbers + [5_000, 50_000][len(numbers) :]
        for outcome in run(megabytes, files, *named):
            print("\n".join(outcome.lines()))
