"""Damage small inputs for as long as wanted; what fails is shown with the seed that repeats it.

python -m tests.fuzz 60 1               what `make fuzz MINUTES=60 SEED=1` does
python -m tests.fuzz --one 1:4711       one input again, with its traceback
python -m tests.fuzz 10 1 --only reader
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.runner import Failure, run_inputs, run_one

_INPUTS = 2_000
"""Inputs per process: at its end memory is freed, and a crash of a parser loses no more than these."""


def main() -> int:
    """Run; return 1 if an input failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("minutes", nargs="?", type=float, default=60.0)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--only", default="", help="name of one target")
    parser.add_argument("--one", default="", metavar="SEED:NUMBER")
    parser.add_argument("--child", nargs=2, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        seed, _, number = given.one.partition(":")
        run_one(int(seed), int(number), given.only)
        return 0
    if given.child is not None:
        first, note = given.child
        for failure in run_inputs(given.seed, int(first), _INPUTS, given.only, Path(note)):
            print(json.dumps(failure.to_values()), flush=True)
        return 0
    return _run(given.minutes, given.seed, given.only)


def _run(minutes: float, seed: int, only: str) -> int:
    end, first = time.monotonic() + minutes * 60, 0
    seen: Counter[str] = Counter()
    print(f"{minutes:g} minutes from seed {seed}", flush=True)
    while time.monotonic() < end:
        for failure in _in_a_process(seed, first, only):
            seen[failure.place] += 1
            if seen[failure.place] <= 3:
                print(failure.show(seed, only), flush=True)
        first += _INPUTS
        print(f"{first:,} inputs, {sum(seen.values())} failures of {len(seen)} kinds", flush=True)
    return 1 if seen else 0


def _in_a_process(seed: int, first: int, only: str) -> list[Failure]:
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "number"
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            "0",
            str(seed),
            "--only",
            only,
            "--child",
            str(first),
            str(note),
        ]
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
        found = [Failure(**json.loads(text)) for text in done.stdout.splitlines() if text.startswith("{")]
        if done.returncode:
            number = int(note.read_text()) if note.exists() else first
            last = (done.stderr.strip().splitlines() or [""])[-1]
            found.append(Failure(number, "?", f"the process ended with {done.returncode}", last))
        return found


if __name__ == "__main__":
    sys.exit(main())
