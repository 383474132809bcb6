"""``make test`` without arguments: all tests, the cluster's after the others and in one process.

Airflow's own tests take both cores: beside the cluster, which is fifteen processes, neither would be ready in time.
The cluster's tests mostly wait, so the types are checked beside them (with arguments ``make test`` checks them first),
and tests run that start no Airflow and measure no time: both at a low priority, and what they print comes afterwards.
Where the cluster's servers cannot be had, the last line says so, and the exit code is not 0.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from launch.cluster.servers import missing_programs

CLUSTER = "tests/cluster"
# Two test files at a time, as tests/support/suite_order.py hands them out, and in its order.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
BESIDE_THE_CLUSTER = (
    "tests/property",
    *(
        f"tests/unit/test_{name}.py"
        for name in (
            "articles_allowed_sources",
            "articles_exports",
            "articles_formats",
            "articles_kinds",
            "articles_silent_losses",
            "batches_client",
            "batches_ledger_requests",
            "batches_refusals",
            "batches_submission",
            "batches_submission_states",
            "costs_every_model",
            "models_catalogue",
            "offline_api_access",
            "offline_api_gateways",
            "outputs_answers",
            "results_collect",
            "results_lenient",
        )
    ),
)
TYPES = (sys.executable, "-m", "mypy")
TESTS = (sys.executable, "-m", "pytest", *BESIDE_THE_CLUSTER)
NOT_RUN = 3


def main(words: Sequence[str]) -> int:
    """Run pytest with the given arguments, or all tests; return the exit code."""
    if words:
        return _pytest(*words)
    code = _pytest(*SIDE_BY_SIDE, *(f"--ignore={path}" for path in (CLUSTER, *BESIDE_THE_CLUSTER)))
    if code not in (0, 1):
        return code
    missing = missing_programs()
    with _beside(TYPES) as types, _beside(TESTS) as tests:
        code = (0 if missing else _pytest(CLUSTER)) or code
    if missing:
        print(f"NOT RUN: {CLUSTER}, since this machine has no {', no '.join(missing)}", flush=True)
    return code or tests.returncode or types.returncode or (NOT_RUN if missing else 0)


@contextmanager
def _beside(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command at a low priority while the block runs, then wait for it and print its output."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(("nice", "-n", "10", *command), stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            _wait(process)
            output.seek(0)
            print(output.read().decode(errors="replace"), end="", flush=True)


def _pytest(*words: str) -> int:
    return _wait(subprocess.Popen([sys.executable, "-m", "pytest", *words]))


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has told the process too: it stops what it has started, and is waited for.
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
