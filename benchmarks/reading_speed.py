"""Articles of 2 KB to shards on disk, and the lookup of stored answers: ``python -m benchmarks.reading_speed``.

Reading includes checks, prompt, JSON, both hashes and limits; each format runs in a separate process. Rates are per
second of CPU time on one core, so other work on the machine does not matter; memory is the peak of the process.
They are compared with the seed program, from which the project started: ``json.load``, prompts and requests as
objects, one ``json.dump``, no checks. Only reading the rows, without prompts and requests, is compared with the reader
as it was before it detected formats (``frozen_reader``): both read the same file in one process, in turn, and the best
pass of each counts. The lookup asks :class:`nightpress.days.answer_index.AnswerIndex` for as many keys as
it holds; half of them exist.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from benchmarks.contest import Goal, Outcome, alternate, middle, peak_mb, resident_mb, run_child
from benchmarks.frozen_reader import iter_frozen_articles
from nightpress.articles.reader import iter_articles
from nightpress.days.answer_index import AnswerIndex
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.writer import write_shards
from tests.support.prompts import SUMMARY_PROMPT

FORMATS = ("in.jsonl", "in.json", "in.csv", "in.parquet")
LOOKED_UP = 1_000_000
KEYS, SEED = "answers.parquet", "seed (JSON)"
PIECE = 256
"""Keys asked for at once, as by the shard writer for articles of 2 KB."""

PASSES = 12
FROZEN = "the frozen reader"


def run(articles: int = 100_000, rounds: int = 1) -> list[Outcome]:
    """Measure each format and the lookup."""
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
        place = Path(folder)
        _write_sources(place, articles)
        reading = alternate(
            (*FORMATS, SEED), rounds, lambda name: run_child("benchmarks.reading_speed", name, place)
        )
        rows = _compare_rows(place, articles)
        _write_keys(place / KEYS)
        looking = alternate((KEYS,), 1, lambda name: run_child("benchmarks.reading_speed", name, place))
    goals = [
        Goal(f"{name}: articles/s of CPU", articles / middle(reading, name), 40_000, "", at_least=True)
        for name in FORMATS
    ]
    jsonl = middle(reading, "in.jsonl")
    goals += [
        Goal("CSV ÷ JSONL", middle(reading, "in.csv") / jsonl, 1.3, "×"),
        Goal("JSONL ÷ the seed's way without checks", jsonl / middle(reading, SEED), 1.1, "×"),
    ]
    peak = max(middle(reading, name, "peak_mb") for name in FORMATS)
    goals.append(Goal("reading: memory, imports included", peak, 250, "MB"))
    keys = (
        Goal("a million keys looked up", middle(looking, KEYS), 3, "s of CPU"),
        Goal("looking up: memory, imports included", middle(looking, KEYS, "peak_mb"), 300, "MB"),
    )
    return [
        Outcome(f"{articles:,} articles of 2 KB to shards on disk, seconds of CPU", reading, tuple(goals)),
        *rows,
        Outcome(f"{LOOKED_UP:,} keys looked up among {LOOKED_UP:,} answers", looking, keys),
    ]


def _compare_rows(place: Path, articles: int) -> list[Outcome]:
    """Compare reading the rows with the frozen reader, each format in a process of its own."""
    outcomes = []
    for name in FORMATS:
        found = run_child("benchmarks.reading_speed", f"rows {name}", place)
        ratio = found["seconds"] / found["frozen_seconds"]
        measured = {"ours": [found], FROZEN: [{"seconds": found["frozen_seconds"]}]}
        goal = Goal(f"{name}: rows ÷ {FROZEN}", ratio, 1.1, "×")
        title = f"rows of {articles:,} articles of 2 KB ({name}), seconds of CPU, best of {PASSES} passes"
        outcomes.append(Outcome(title, measured, (goal,)))
    return outcomes


def _read_rows(path: Path) -> dict[str, float]:
    """Read a file with both readers in turn, and return the CPU seconds of the best pass of each."""
    assert [_rows_of(article) for article in iter_articles(UPath(path), limit=100)] == [
        _rows_of(article) for article, _ in zip(iter_frozen_articles(path), range(100), strict=False)
    ]
    best = {"seconds": math.inf, "frozen_seconds": math.inf}
    for _ in range(PASSES):
        for name, read in (("seconds", _iter_ours), ("frozen_seconds", iter_frozen_articles)):
            started = time.process_time()
            for _article in read(path):
                pass
            best[name] = min(best[name], time.process_time() - started)
    return best


def _iter_ours(path: Path) -> Iterator[object]:
    return iter_articles(UPath(path))


def _rows_of(article: Any) -> tuple[object, ...]:
    return article.article_id, article.title, article.content, article.metadata


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
        # Without this column a day counts as from an earlier version, whose statuses are derived anew.
        "thinking_tokens": pa.nulls(LOOKED_UP, pa.int64()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=20_000)


def child(name: str, place: Path) -> None:
    """Do the step and print seconds of CPU and MB."""
    if name.startswith("rows "):
        print(json.dumps(_read_rows(place / name.removeprefix("rows "))))
        return
    before, started = resident_mb(), time.process_time()
    if name == KEYS:
        started += _look_up(place / name)
    elif name == SEED:
        _as_the_seed(place / "in.json")
    else:
        template = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate(SUMMARY_PROMPT, 2_000))
        source = UPath(place / name)
        write_shards(iter_articles(source), UPath(place / f"run-{name}"), template, limits=ShardLimits())
    seconds = time.process_time() - started
    print(json.dumps({"seconds": seconds, "extra_mb": peak_mb() - before, "peak_mb": peak_mb()}))


def _wanted() -> Iterator[bytes]:
    """Yield keys; half of them have an answer."""
    for number in range(LOOKED_UP // 2, LOOKED_UP + LOOKED_UP // 2):
        yield hashlib.sha256(str(number).encode()).digest()


def _look_up(path: Path) -> float:
    """Look all keys up, and return the seconds that making the keys took."""
    index, keys, found, making = AnswerIndex([UPath(path)], offline=False), _wanted(), 0, 0.0
    while True:
        started = time.process_time()
        piece = list(islice(keys, PIECE))
        making += time.process_time() - started
        if not piece:
            break
        found += sum([place is not None for place in index.find(piece)])
    assert found == LOOKED_UP // 2
    return making


def _as_the_seed(path: Path) -> None:
    requests = []
    for row in json.loads(path.read_text()):
        prompt = SUMMARY_PROMPT.format(title=row["title"], content=row["content"][:2_000])
        message = {"role": "user", "content": prompt}
        params = {"model": "claude-haiku-4-5", "max_tokens": 200, "messages": [message]}
        requests.append({"custom_id": row["id"], "params": params})
    path.with_name("requests.json").write_text(json.dumps({"requests": requests}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
    else:
        for outcome in run(*map(int, sys.argv[1:])):
            print("\n".join(outcome.lines()))
