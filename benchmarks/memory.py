"""Peak memory of the read, submit and write tasks at a small and at a large number of articles.

Run ``python -m benchmarks.memory [--articles 10000,200000]``: each step runs in a process of its own, with
the core exactly as the operators use it, against an offline API. Printed are MB at the peak, and what the
process had after its imports.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contest import PROJECT, Goal, Outcome, say

STEPS = ("read", "submit", "write")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", default="10000,200000", help="comma-separated numbers of articles")
    sizes = [int(part) for part in parser.parse_args().articles.split(",")]
    print("\n".join(run(sizes).lines()))


def run(sizes: Sequence[int] = (10_000, 200_000)) -> Outcome:
    """Measure the steps at each size; the goal is a peak that does not grow."""
    with tempfile.TemporaryDirectory(prefix="nightpress-memory-") as folder:
        table = measure(list(sizes), Path(folder), say)
    notes = tuple(
        f"{size:,} articles: "
        + ", ".join(
            f"{step} {peak:.0f} MB (+{peak - base:.0f} above imports)"
            for step, (base, peak) in zip(STEPS, peaks, strict=True)
        )
        for size, peaks in table.items()
    )
    few, many = table[sizes[0]], table[sizes[-1]]
    goals = tuple(
        Goal(f"{step}: peak at {sizes[-1]:,} above that at {sizes[0]:,}", last[1] - first[1], 64, "MB")
        for step, first, last in zip(STEPS, few, many, strict=True)
    )
    return Outcome("memory of the tasks, small and large", {}, goals, notes)


def measure(
    sizes: list[int], folder: Path, say: Callable[[str], None] = lambda _: None
) -> dict[int, list[tuple[float, float]]]:
    """Return MB after the imports and at the peak, for each size and step."""
    from tests.support.offline_api_server import LocalApiServer

    table: dict[int, list[tuple[float, float]]] = {}
    with LocalApiServer(folder / "api", seconds_per_batch=0) as server:
        for size in sizes:
            place = folder / str(size)
            place.mkdir()
            _write_source(place / "in.jsonl", size)
            table[size] = []
            for step in STEPS:
                started = time.monotonic()
                table[size].append(_run_step(step, place, server.base_url))
                say(f"{size:,} articles: {step} took {time.monotonic() - started:.1f} s")
    return table


def _write_source(path: Path, size: int) -> None:
    with path.open("w") as file:
        for number in range(size):
            text = f"Article {number} begins. " + f"It says {number} again, and goes on. " * 50
            file.write(
                json.dumps({"id": number, "title": f"t{number}", "content": text, "kind": "made"}) + "\n"
            )


def _run_step(step: str, place: Path, base_url: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.memory_step", step, str(place), base_url]
    # The same value as in write_results.
    surroundings = os.environ | ({"ARROW_DEFAULT_MEMORY_POOL": "system"} if step == "write" else {})
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT, env=surroundings)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured["base"], measured["peak"]


if __name__ == "__main__":
    main()
