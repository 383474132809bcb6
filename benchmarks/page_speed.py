"""How fast the Batches page's data is with many batches: cold, warm, and after one batch has changed.

Run ``python -m benchmarks.page_speed [--batches 10000] [--runs 200] [--store local|memory]``. What is timed is
the data route: look at the ledger, answer a page of runs with one run opened, and encode it as JSON. ``first`` is the
first answer of a process after its imports; a median of five for cold (a new overview each time), of 21 for the
others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from upath import UPath

from benchmarks.contest import Goal, Measured, Outcome, middle, run_child
from nightpress.batches.ledger import Attempt, Entry, Example
from nightpress.layout import DataRoot
from nightpress.overview import Overview, Query

STATES = ("collected",) * 18 + ("submitted", "ended")


def main() -> None:
    """Measure and print milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--store", choices=("local", "memory"), default="local")
    options = parser.parse_args()
    print("\n".join(run(options.batches, options.runs, options.store).lines()))


def run(batches: int = 10_000, runs: int = 200, store: str = "local", rounds: int = 3) -> Outcome:
    """Measure the page over a ledger of this many batches."""
    with tempfile.TemporaryDirectory(prefix="nightpress-page-") as folder:
        if store == "local":
            fill(UPath(folder), batches, runs)
        found = [run_child("benchmarks.page_speed", folder, batches, runs, store) for _ in range(rounds)]
    measured: Measured = {name: [{"seconds": page[name]} for page in found] for name in found[0]}
    goals = tuple(
        Goal(f"the Batches page, {name}", middle(measured, name) * 1000, 300, "ms") for name in measured
    )
    return Outcome(f"the Batches page with {batches:,} batches, {store}", measured, goals)


def child(folder: str, batches: int, runs: int, store: str) -> None:
    """Measure and print seconds."""
    root = UPath(folder)
    if store == "memory":
        root = UPath("memory:///nightpress-page")
        fill(root, batches, runs)
    print(json.dumps(measure(root, runs)))


def fill(root: UPath, batches: int, runs: int) -> None:
    """Write the ledger."""
    for number in range(batches):
        put(root, make_entry(number, runs))


def measure(root: UPath, runs: int) -> dict[str, float]:
    """Return the median seconds of an answer."""
    import message_batches.page.overview_json  # noqa: F401 - counted as import, not as work

    first = _time(lambda: answer(Overview(DataRoot(root), fresh_seconds=0)))
    overviews = [Overview(DataRoot(root), fresh_seconds=0) for _ in range(5)]
    cold = [_time(lambda overview=overview: answer(overview)) for overview in overviews]  # type: ignore[misc]
    overview = overviews[0]
    warm = [_time(lambda: answer(overview)) for _ in range(21)]
    changed = []
    for number in range(21):
        put(root, msgspec.structs.replace(make_entry(number, runs), cost_usd=number / 7))
        changed.append(_time(lambda: answer(overview)))
    medians = {"cold": cold, "warm": warm, "one batch changed": changed}
    return {"first": first} | {name: statistics.median(times) for name, times in medians.items()}


def answer(overview: Overview) -> bytes:
    """Return the answer of the data route."""
    from message_batches.page.overview_json import describe_page

    found = overview.answer(Query(), lambda *_: True)
    return msgspec.json.encode(
        describe_page(found, time.time(), {found.runs[0].token: 1} if found.runs else {})
    )


def make_entry(number: int, runs: int) -> Entry:
    """Return an entry as a nightly run leaves it."""
    state, now = STATES[number % len(STATES)], time.time()
    submitted = now - 3600 - number
    known = {
        "by_status": {"succeeded": 9_990, "errored": 10},
        "errors": {"overloaded_error": 10},
        "examples": tuple(Example("overloaded_error", f"{number:016x}-{n}", "Overloaded") for n in range(3)),
        "cost_usd": 1.25,
        "collected_at": _moment(submitted + 1900),
    }
    return Entry(
        key=f"{number:064x}",
        requests=10_000,
        bytes=32_000_000,
        pipeline=f"pipeline_{number % 5}",
        day=f"2026-11-{number % runs % 28 + 1:02d}",
        run=f"scheduled__{number % runs:05d}",
        uri=f"file:///data/runs/requests-{number // runs:05d}.json",
        attempts=(Attempt(number=1, at=submitted, deadline=submitted + 600, outcome="accepted"),),
        batch_id=f"msgbatch_{number:020d}",
        submitted_at=_moment(submitted),
        ended_at=None if state == "submitted" else _moment(submitted + 1800),
        dag_id=f"dag_{number % 5}",
        task_id="shard.submit_batch",
        map_index=number // runs,
        **(known if state == "collected" else {}),  # type: ignore[arg-type]
    )


def put(root: UPath, entry: Entry) -> None:
    """Store an entry without the durability of the ledger, which would take minutes."""
    path = root / "ledger" / "api.anthropic.com" / f"{entry.key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(entry))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
