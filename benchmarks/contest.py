"""The outcome of a benchmark: contenders measured in turn, and goals compared with the measurements."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parent.parent

Measured = dict[str, list[dict[str, float]]]
"""By contender, the values of each round: ``seconds``, ``extra_mb`` and other values of interest."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal and the value measured for it.

    :param at_least: True when more is better.
    """

    name: str
    measured: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def held(self) -> bool:
        """Whether the goal is met."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def line(self) -> str:
        """Return the goal as one line of the table."""
        sign = "≥" if self.at_least else "≤"
        return (
            f"  {'held  ' if self.held else 'MISSED'}  {self.name}: {_number(self.measured)} {self.unit} "
            f"(goal {sign} {_number(self.limit)})"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one benchmark.

    :param measured: seconds and memory of each contender; ``ours`` is what the others are compared with.
    :param notes: lines printed with the table, e.g. where the time went.
    """

    title: str
    measured: Measured = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterable[str]:
        """Return the table."""
        yield self.title
        if self.measured:
            yield f"  {'':22} {'seconds':>9} {'spread':>15} {'extra MB':>9} {'÷ ours':>9}"
        ours = middle(self.measured, "ours") if "ours" in self.measured else None
        for name, found in self.measured.items():
            seconds = sorted(run["seconds"] for run in found)
            spread = f"{seconds[0]:.2f}–{seconds[-1]:.2f}"
            memory = f"{middle(self.measured, name, 'extra_mb'):.0f}" if "extra_mb" in found[0] else ""
            ratio = f"{median(seconds) / ours:.2f} ×" if ours else ""
            yield f"  {name:22} {median(seconds):9.2f} {spread:>15} {memory:>9} {ratio:>9}".rstrip()
        yield from (goal.line() for goal in self.goals)
        yield from (f"  {note}" for note in self.notes)


def middle(measured: Measured, name: str, what: str = "seconds") -> float:
    """Return the median of a contender's measurements."""
    return median(run[what] for run in measured[name])


def alternate(names: Iterable[str], rounds: int, run: Callable[[str], dict[str, float]]) -> Measured:
    """Run the contenders in turn, round after round, and print the progress."""
    measured: Measured = {name: [] for name in names}
    for number in range(rounds):
        for name, found in measured.items():
            found.append(run(name))
            seconds, cpu = found[-1]["seconds"], found[-1].get("cpu_seconds", 0)
            say(f"round {number + 1} of {rounds}: {name}: {seconds:.2f} s, CPU {cpu:.2f} s")
    return measured


def run_child(
    module: str, *arguments: object, seconds: float = 1800, extra: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Run ``python -m module --child …`` and return the JSON of its last line.

    :param extra: additional environment variables.
    :raises SystemExit: it failed; the message has the end of its output.
    """
    command = [sys.executable, "-m", module, "--child", *map(str, arguments)]
    surroundings = environment() | dict(extra or {})
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=seconds, cwd=PROJECT, env=surroundings
    )
    if done.returncode:
        raise SystemExit(f"{module} {arguments} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment() -> dict[str, str]:
    """Return the environment of a child: the project and its plugins can be imported."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "include", PROJECT / "plugins")))
    }


@contextmanager
def private_airflow() -> Iterator[None]:
    """Give Airflow's classes a separate home and key, so that they do not touch the user's Airflow."""
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-home-") as home:
        key = base64.urlsafe_b64encode(os.urandom(32)).decode()
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__FERNET_KEY": key}
        yield


def timed(run: Callable[[], object]) -> dict[str, float]:
    """Run a function; return the seconds, and the peak memory above the process's memory before."""
    reset_peak()
    before, started = resident_mb(), time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - started, "extra_mb": peak_mb() - before}


def reset_peak() -> None:
    """Reset the peak memory of this process (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Return the peak memory of this process; unlike ``ru_maxrss``, without its parent's."""
    return _status("VmHWM")


def resident_mb() -> float:
    """Return the memory of this process now."""
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


def say(text: str) -> None:
    """Print the progress."""
    print(f"  {text}", file=sys.stderr, flush=True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")
