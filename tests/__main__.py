"""``make test`` without arguments: all tests, the cluster's after the others and in one process.

Airflow's own tests take both cores: beside the cluster, which is fifteen processes, neither would be ready in time.
The cluster's tests mostly wait, so the types are checked beside them; with arguments ``make test`` checks them first.
Where the cluster's servers cannot be had, the last line says so, and the exit code is not 0.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from launch.cluster.servers import missing_programs

CLUSTER = "tests/cluster"
# Two test files at a time, as tests/support/suite_order.py hands them out, and in its order.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
TYPES = (sys.executable, "-m", "mypy")
NOT_RUN = 3


def main(words: Sequence[str]) -> int:
    """Run pytest with the given arguments, or all tests; return the exit code."""
    if words:
        return _pytest(*words)
    code = _pytest(*SIDE_BY_SIDE, f"--ignore={CLUSTER}")
    if code not in (0, 1):
        return code
    missing = missing_programs()
    with subprocess.Popen(TYPES, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as types:
        code = (0 if missing else _pytest(CLUSTER)) or code
        print(types.communicate()[0], end="", flush=True)
    if missing:
        print(f"NOT RUN: {CLUSTER}, since this machine has no {', no '.join(missing)}", flush=True)
    return code or types.returncode or (NOT_RUN if missing else 0)


def _pytest(*words: str) -> int:
    process = subprocess.Popen([sys.executable, "-m", "pytest", *words])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has told pytest too: it stops what it has started, and is waited for.
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
