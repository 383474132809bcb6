"""Run the benchmarks, each beside its alternatives: ``python -m benchmarks [--quick] [--million] [NAME …]``.

Prints a table for each as it ends, and all goals at the end; writes ``benchmarks/out/bench.json``, ``bench.txt``
and ``bench.svg``. Ends with 0 whether goals are held or missed: it measures; with 1 when a benchmark failed, with
130 when it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contest import PROJECT, Goal, Outcome, alternate, middle, private_airflow

OUT = PROJECT / "benchmarks" / "out"


def run_results(rows: int, rounds: int) -> list[Outcome]:
    """Measure the results of an ended batch to a file."""
    from benchmarks.results_speed import CONTENDERS, measure, prepare, serving

    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
        place = Path(folder)
        prepare(place, rows)
        with serving(place) as url:
            measured = alternate(CONTENDERS, rounds, lambda name: measure(name, place, url))
    ours = middle(measured, "ours")
    goals = (
        Goal("SDK typed ÷ ours", middle(measured, "SDK typed") / ours, 10, "×", at_least=True),
        Goal("common-ai ÷ ours", middle(measured, "common-ai") / ours, 10, "×", at_least=True),
        Goal("results ÷ floor", ours / middle(measured, "floor"), 3, "×"),
        Goal("results: memory above imports", middle(measured, "ours", "extra_mb"), 64, "MB"),
    )
    return [Outcome(f"{rows:,} results to a file", measured, goals)]


def run_submit(requests: int, rounds: int) -> list[Outcome]:
    """Measure the POST of a shard."""
    from benchmarks.submit_speed import run

    return [run(requests, rounds)]


def run_polls(batches: int, rounds: int, polls: int) -> list[Outcome]:
    """Measure a thousand waiting tasks."""
    from benchmarks.poll_speed import run

    return [run(batches, rounds, polls)]


def run_reading(articles: int, rounds: int) -> list[Outcome]:
    """Measure articles to shards, and the lookup of answers."""
    from benchmarks.reading_speed import run

    return run(articles, rounds)


def run_memory(sizes: tuple[int, int]) -> list[Outcome]:
    """Measure the tasks' memory, small and large."""
    from benchmarks.memory import run

    return [run(sizes)]


def run_publish(rows: int, rounds: int) -> list[Outcome]:
    """Measure the publishing of a day."""
    from benchmarks.publish_speed import run

    return [run(rows, rounds)]


def run_page(batches: int) -> list[Outcome]:
    """Measure the Batches page."""
    from benchmarks.page_speed import run

    return [run(batches)]


def run_report(articles: int) -> list[Outcome]:
    """Measure the report."""
    from benchmarks.report_speed import run

    return [run(articles)]


def run_parsing(rounds: int) -> list[Outcome]:
    """Measure the parsing of the DAG files."""
    from benchmarks.parsing_speed import run

    return [run(rounds)]


def run_end_to_end(shards: int) -> list[Outcome]:
    """Measure from the trigger to the published day."""
    from benchmarks.end_to_end import run

    return [run(shards)]


Benchmark = Callable[[], list[Outcome]]

FULL: dict[str, Benchmark] = {
    "results": lambda: run_results(100_000, 3),
    "submit": lambda: run_submit(100_000, 5),
    "polls": lambda: run_polls(1000, 1, 4),
    "reading": lambda: run_reading(100_000, 3),
    "publish": lambda: run_publish(1_000_000, 3),
    "page": lambda: run_page(10_000),
    "report": lambda: run_report(100_000),
    "parsing": lambda: run_parsing(5),
    "memory": lambda: run_memory((10_000, 200_000)),
    "end_to_end": lambda: run_end_to_end(10),
}
QUICK: dict[str, Benchmark] = {
    "results": lambda: run_results(20_000, 1),
    "submit": lambda: run_submit(20_000, 1),
    "reading": lambda: run_reading(20_000, 1),
    "publish": lambda: run_publish(100_000, 1),
    "page": lambda: run_page(2_000),
    "report": lambda: run_report(10_000),
    "parsing": lambda: run_parsing(2),
}
MILLION: dict[str, Benchmark] = {"million": lambda: run_end_to_end(100)}


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*FULL, *MILLION]))
    parser.add_argument("--quick", action="store_true", help="small data, one round, without Airflow")
    parser.add_argument("--million", action="store_true", help="also a million articles end to end")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = _choose(options.names, quick=options.quick, million=options.million)
    with private_airflow():
        outcomes, code = _run(chosen)
    if outcomes:
        _write(outcomes, quick=options.quick)
    return code


def _choose(names: list[str], *, quick: bool, million: bool) -> dict[str, Benchmark]:
    known = (QUICK if quick else FULL) | (MILLION if million or "million" in names else {})
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: known[name] for name in names or known}


def _run(chosen: dict[str, Benchmark]) -> tuple[list[Outcome], int]:
    """Run the benchmarks in turn; one that fails is told, and the others go on. Return the exit code too."""
    outcomes: list[Outcome] = []
    code = 0
    for number, (name, benchmark) in enumerate(chosen.items(), start=1):
        started = time.monotonic()
        print(f"[{number}/{len(chosen)}] {name} …", file=sys.stderr, flush=True)
        try:
            found = benchmark()
        except KeyboardInterrupt:
            print("Interrupted; everything was stopped.", file=sys.stderr)
            return outcomes, 130
        except (Exception, SystemExit) as error:
            found, code = [Outcome(name, notes=(f"FAILED: {type(error).__name__}: {error}",))], 1
        outcomes += found
        for outcome in found:
            print("\n".join(outcome.lines()), flush=True)
        print(f"  ({time.monotonic() - started:.0f} s)\n", flush=True)
    return outcomes, code


def _write(outcomes: list[Outcome], *, quick: bool) -> None:
    goals = [goal for outcome in outcomes for goal in outcome.goals]
    print(f"{sum(goal.held for goal in goals)} of {len(goals)} goals held")
    print("\n".join(goal.line() for goal in goals))
    OUT.mkdir(parents=True, exist_ok=True)
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_gb, 1),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    (OUT / "bench.json").write_text(json.dumps(about, indent=1, ensure_ascii=False))
    tables = ["\n".join(outcome.lines()) for outcome in outcomes]
    (OUT / "bench.txt").write_text("\n\n".join(tables) + "\n")
    if goals:
        from benchmarks.plot import draw

        (OUT / "bench.svg").write_text(draw(outcomes))
    print(f"written: {OUT}/bench.*")


if __name__ == "__main__":
    sys.exit(main())
