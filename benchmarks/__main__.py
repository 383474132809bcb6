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
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module

from benchmarks.contest import PROJECT, Outcome, private_airflow

OUT = PROJECT / "benchmarks" / "out"


Benchmark = tuple[str, tuple[object, ...]]
"""A module of this package, imported only when it runs, and the arguments of its ``run``."""

FULL: dict[str, Benchmark] = {
    "results": ("results_speed", (100_000, 3)),
    "results_10k": ("results_speed", (10_000, 3)),
    "results_million": ("results_speed", (1_000_000, 1, "ours")),
    "submit": ("submit_speed", (100_000, 5)),
    "decoder": ("decoder_speed", (50_000, 25)),
    "polls": ("poll_speed", (1000, 1, 4)),
    "reading": ("reading_speed", (100_000, 3)),
    "reading_scale": ("reading_scale", (5_000, 50_000)),
    "publish": ("publish_speed", (1_000_000, 3)),
    "page": ("page_speed", (10_000,)),
    "report": ("report_speed", (100_000,)),
    "parsing": ("parsing_speed", (5,)),
    "task_start": ("task_start", (3,)),
    "memory": ("memory", ((10_000, 200_000),)),
    "waiting": ("waiting_speed", ("local", 3)),
    "waiting_celery": ("waiting_speed", ("celery", 3)),
    "end_to_end": ("end_to_end", (10,)),
}
QUICK: dict[str, Benchmark] = {
    "results": ("results_speed", (20_000, 1)),
    "submit": ("submit_speed", (20_000, 1)),
    "decoder": ("decoder_speed", (20_000, 9)),
    "reading": ("reading_speed", (20_000, 1)),
    "publish": ("publish_speed", (100_000, 1)),
    "page": ("page_speed", (2_000,)),
    "report": ("report_speed", (10_000,)),
    "parsing": ("parsing_speed", (2,)),
    "task_start": ("task_start", (1,)),
}
MILLION: dict[str, Benchmark] = {"million": ("end_to_end", (100,))}


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
    """Run the benchmarks in turn; report one that fails and continue. Return the outcomes and the exit code."""
    outcomes: list[Outcome] = []
    code = 0
    for number, (name, (module, arguments)) in enumerate(chosen.items(), start=1):
        started = time.monotonic()
        print(f"[{number}/{len(chosen)}] {name} …", file=sys.stderr, flush=True)
        try:
            made = import_module(f"benchmarks.{module}").run(*arguments)
            found: list[Outcome] = made if isinstance(made, list) else [made]
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
