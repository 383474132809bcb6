"""Run every kill point of the fixed scenarios, then RUNS random runs.

python -m tests.chaos 1000 1            what `make chaos RUNS=1000 SEED=1` does
python -m tests.chaos --seed 17 --one   one random run, and what happened in it
python -m tests.chaos --point adopted:31 --one
python -m tests.chaos --credit 17       one run whose credit ends in the middle and comes back
python -m tests.chaos --priced 17       one run with another model, thinking, geography, cache, odd answers
"""

from __future__ import annotations

import argparse
import json
import queue
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.runner import OUTCOMES, Result, Worker
from tests.chaos.scenarios import (
    FIXED,
    Scenario,
    at_step,
    credit_scenario,
    priced_scenario,
    random_scenario,
)

WORKERS = 2
CREDIT_SHARE, PRICED_SHARE = 5, 2
"""Every 5th random run is followed by one whose credit ends, every 2nd by one with another model and odd answers."""

_PROGRESS_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("runs", type=int, nargs="?", default=1000)
    parser.add_argument("first_seed", type=int, nargs="?", default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--point", help="fixed scenario and step, e.g. adopted:31")
    parser.add_argument("--credit", type=int, help="seed of a run whose credit ends in the middle")
    parser.add_argument("--priced", type=int, help="seed of a run with another model and odd answers")
    parser.add_argument("--one", action="store_true", help="run one case and tell everything")
    parser.add_argument("--no-points", action="store_true", help="random runs only")
    options = parser.parse_args(argv)
    # Like Ctrl-C: exit through the context managers, which stop the servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="nightpress-chaos-", dir=fast_folder()) as folder:
        if options.one or any(
            chosen is not None for chosen in (options.seed, options.point, options.credit, options.priced)
        ):
            return _one(Path(folder), _chosen(options))
        return _all(Path(folder), options.runs, options.first_seed, points=not options.no_points)


def fast_folder() -> str | None:
    """Return a folder in memory if possible: a kill is not a power failure, so it loses no data there."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _chosen(options: argparse.Namespace) -> Scenario:
    if options.point:
        name, _, step = options.point.partition(":")
        return at_step(name, int(step))
    if options.credit is not None:
        return credit_scenario(options.credit)
    if options.priced is not None:
        return priced_scenario(options.priced)
    return random_scenario(options.first_seed if options.seed is None else options.seed)


def _one(folder: Path, scenario: Scenario) -> int:
    print(scenario)
    with Worker(folder) as worker:
        result = worker.run(scenario)
        log = (folder / "child.log").read_text()
    for event in result.events:
        print(json.dumps({key: value for key, value in event.items() if key != "steps"})[:1500])
    print(log[-6000:])
    print(f"{result.outcome}: {', '.join(result.labels)}")
    print("\n".join(result.problems))
    return 1 if result.problems else 0


def count_steps(worker: Worker) -> dict[str, list[str]]:
    """Return the steps of each fixed scenario, counted in a run that is not killed."""
    steps = {}
    for name in FIXED:
        result = worker.run(at_step(name, None))
        if result.problems:
            raise RuntimeError(f"{name} fails without a kill: {result.problems}")
        steps[name] = next(event["steps"] for event in result.events if event["what"] == "done")
    return steps


class Runs:
    """A queue of scenarios from which two workers take."""

    def __init__(self, folder: Path, scenarios: Sequence[Scenario]) -> None:
        self.folder, self.total = folder, len(scenarios)
        self.results: list[Result] = []
        self._broken: list[BaseException] = []
        self._waiting: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
        for scenario in scenarios:
            self._waiting.put(scenario)
        self._started = self._shown = time.monotonic()
        self._told = 0

    def run(self, progress: bool) -> list[Result]:
        """Run all of them."""
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
            if progress:
                self._tell()
        if progress:
            self._tell()
        for error in self._broken:
            raise error
        return self.results

    def _work(self, number: int) -> None:
        try:
            (self.folder / f"w{number}").mkdir()
            with Worker(self.folder / f"w{number}") as worker:
                while not self._broken:
                    self.results.append(worker.run(self._waiting.get_nowait()))
        except queue.Empty:
            return
        except BaseException as error:
            self._broken.append(error)

    def _tell(self) -> None:
        for result in self.results[self._told :]:
            self._told += 1
            _tell_failure(result)
        if time.monotonic() - self._shown > _PROGRESS_SECONDS:
            self._shown = time.monotonic()
            failed = sum(result.outcome == "FAILED" for result in self.results)
            rate = len(self.results) / (self._shown - self._started)
            print(f"{len(self.results)} of {self.total} runs, {failed} failed, {rate:.1f} a second")
            sys.stdout.flush()


def _tell_failure(result: Result) -> None:
    if result.problems:
        print(f"FAILED: {'; '.join(result.problems)}")
        print(f"  repeat with: python -m tests.chaos {result.scenario.repeat} --one")


def _all(folder: Path, runs: int, first_seed: int, *, points: bool) -> int:
    seeds = range(first_seed, first_seed + runs)
    scenarios = [random_scenario(seed) for seed in seeds]
    scenarios += [credit_scenario(seed) for seed in seeds if seed % CREDIT_SHARE == 0]
    scenarios += [priced_scenario(seed) for seed in seeds if seed % PRICED_SHARE == 0]
    if points:
        (folder / "dry").mkdir()
        with Worker(folder / "dry") as worker:
            steps = count_steps(worker)
        print("kill points: " + ", ".join(f"{name} {len(names)}" for name, names in steps.items()))
        fixed = [at_step(name, number) for name in steps for number in range(1, len(steps[name]) + 1)]
        scenarios = [*fixed, *scenarios]
    started = time.monotonic()
    results = Runs(folder, scenarios).run(progress=True)
    seconds = time.monotonic() - started
    print(table(results))
    failed = [result for result in results if result.problems]
    print(f"\n{len(results)} runs in {seconds:.0f} s, {len(failed)} failed")
    return 1 if failed else 0


def table(results: Sequence[Result]) -> str:
    """Return faults and kills by outcome; a run counts in the row of each of its faults and kills."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        for label in set(result.labels):
            counts[label][result.outcome] += 1
        counts["all runs"][result.outcome] += 1
    width = max(map(len, counts))
    lines = [f"{'':{width}}  " + "".join(f"{name:>13}" for name in OUTCOMES)]
    for label in sorted(counts, key=lambda name: (name == "all runs", name)):
        lines.append(f"{label:{width}}  " + "".join(f"{counts[label][name] or '':>13}" for name in OUTCOMES))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
