"""All of it: every kill point of the fixed scenarios, then RUNS random runs.

python -m tests.chaos 1000 1            what `make chaos RUNS=1000 SEED=1` does
python -m tests.chaos --seed 17 --one   one random run, and what happened in it
python -m tests.chaos --point adopted:31 --one
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.runner import OUTCOMES, Result, Worker
from tests.chaos.scenarios import FIXED, Scenario, at_step, random_scenario

WORKERS = 2
_PROGRESS_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("runs", type=int, nargs="?", default=1000)
    parser.add_argument("first_seed", type=int, nargs="?", default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--point", help="fixed scenario and step, e.g. adopted:31")
    parser.add_argument("--one", action="store_true", help="run one case and tell everything")
    parser.add_argument("--no-points", action="store_true", help="random runs only")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="nightpress-chaos-", dir=fast_folder()) as folder:
        if options.one or options.seed is not None or options.point:
            return _one(Path(folder), _chosen(options))
        return _all(Path(folder), options.runs, options.first_seed, points=not options.no_points)


def fast_folder() -> str | None:
    """Return a folder in memory if there is one: a kill is no power failure, so nothing is lost by it."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _chosen(options: argparse.Namespace) -> Scenario:
    if options.point:
        name, _, step = options.point.partition(":")
        return at_step(name, int(step))
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
    """Return the steps of each fixed scenario, by a run that lives."""
    steps = {}
    for name in FIXED:
        result = worker.run(at_step(name, None))
        if result.problems:
            raise RuntimeError(f"{name} fails without a kill: {result.problems}")
        steps[name] = next(event["steps"] for event in result.events if event["what"] == "done")
    return steps


def run_all(folder: Path, scenarios: Sequence[Scenario], progress: bool = False) -> list[Result]:
    """Run scenarios with two workers."""
    waiting: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
    for scenario in scenarios:
        waiting.put(scenario)
    results: list[Result] = []
    broken: list[BaseException] = []

    def work(number: int) -> None:
        try:
            (folder / f"w{number}").mkdir()
            with Worker(folder / f"w{number}") as worker:
                while not broken:
                    results.append(worker.run(waiting.get_nowait()))
        except queue.Empty:
            return
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    started = shown = time.monotonic()
    told = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.05)
        if progress:
            for result in results[told:]:
                told += 1
                _tell_failure(result)
            if time.monotonic() - shown > _PROGRESS_SECONDS:
                shown = time.monotonic()
                failed = sum(result.outcome == "FAILED" for result in results)
                rate = len(results) / (shown - started)
                print(f"{len(results)} of {len(scenarios)} runs, {failed} failed, {rate:.1f} a second")
                sys.stdout.flush()
    for error in broken:
        raise error
    for result in results[told:] if progress else ():
        _tell_failure(result)
    return results


def _tell_failure(result: Result) -> None:
    if result.problems:
        print(f"FAILED: {'; '.join(result.problems)}")
        print(f"  repeat with: python -m tests.chaos {result.scenario.repeat} --one")


def _all(folder: Path, runs: int, first_seed: int, *, points: bool) -> int:
    scenarios = [random_scenario(seed) for seed in range(first_seed, first_seed + runs)]
    if points:
        (folder / "dry").mkdir()
        with Worker(folder / "dry") as worker:
            steps = count_steps(worker)
        print("kill points: " + ", ".join(f"{name} {len(names)}" for name, names in steps.items()))
        fixed = [at_step(name, number) for name in steps for number in range(1, len(steps[name]) + 1)]
        scenarios = [*fixed, *scenarios]
    started = time.monotonic()
    results = run_all(folder, scenarios, progress=True)
    seconds = time.monotonic() - started
    print(table(results))
    failed = [result for result in results if result.problems]
    print(f"\n{len(results)} runs in {seconds:.0f} s, {len(failed)} failed")
    return 1 if failed else 0


def table(results: Sequence[Result]) -> str:
    """Return faults and kills by outcome; a run counts in the row of each thing that happened to it."""
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
