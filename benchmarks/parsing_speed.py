"""Cost of parsing our DAG files, above an empty DAG file: ``python -m benchmarks.parsing_speed [ROUNDS]``.

Each round is a new interpreter that has imported Airflow's DAG processor and SDK and has run a file with an empty
DAG; then it runs the files of ``dags/`` one after the other.
"""

from __future__ import annotations

import json
import runpy
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.contest import PROJECT, Goal, Measured, Outcome, middle, run_child, say

_EMPTY = 'from airflow.sdk import DAG\n\nwith DAG("empty"):\n    pass\n'


def run(rounds: int = 5) -> Outcome:
    """Run the measurement."""
    measured: Measured = {"all files": [], "empty file": []}
    costs: dict[str, list[float]] = {}
    for number in range(rounds):
        found = run_child("benchmarks.parsing_speed")
        measured["empty file"].append({"seconds": found.pop("empty")})
        measured["all files"].append({"seconds": sum(found.values())})
        for name, seconds in found.items():
            costs.setdefault(name, []).append(seconds)
        say(f"round {number + 1} of {rounds}: {sum(found.values()):.2f} s")
    goal = Goal("parsing all DAG files", middle(measured, "all files"), 0.3, "s")
    notes = ", ".join(f"{name} {sorted(all_)[len(all_) // 2] * 1000:.0f} ms" for name, all_ in costs.items())
    return Outcome(f"parsing the {len(costs)} files of dags/", measured, (goal,), (notes,))


def child() -> None:
    """Run the empty file, then ours."""
    import airflow.dag_processing.processor
    import airflow.sdk  # noqa: F401

    files = sorted((PROJECT / "dags").glob("*.py"))
    # The two daily DAGs first: they import what both need.
    files.sort(key=lambda path: path.stem not in ("article_summaries", "daily_report"))
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty_dag.py"
        empty.write_text(_EMPTY)
        runpy.run_path(str(empty))
        print(json.dumps({path.stem.removesuffix("_dag"): _seconds(path) for path in (empty, *files)}))


def _seconds(path: Path) -> float:
    started = time.perf_counter()
    runpy.run_path(str(path))
    return time.perf_counter() - started


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child()
    else:
        print("\n".join(run(*map(int, sys.argv[1:])).lines()))
