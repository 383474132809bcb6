"""A sample of the chaos suite with fixed seeds; `make chaos` runs it in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.chaos.__main__ import Runs, count_steps, fast_folder, table
from tests.chaos.runner import Result, Worker
from tests.chaos.scenarios import FIXED, at_step, credit_scenario, priced_scenario, random_scenario

POINTS_EACH = 12
SEEDS = range(1, 12)
CREDIT_SEEDS = range(1, 7)
PRICED_SEEDS = range(1, 15)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="nightpress-chaos-", dir=fast_folder()) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def sample(folder: Path) -> list[Result]:
    (folder / "dry").mkdir()
    with Worker(folder / "dry") as worker:
        steps = count_steps(worker)
    (folder / "runs").mkdir()
    points = [
        at_step(name, 1 + offset + index * len(steps[name]) // POINTS_EACH)
        for offset, name in enumerate(steps)
        for index in range(POINTS_EACH)
    ]
    scenarios = [*points, *map(random_scenario, SEEDS), *map(credit_scenario, CREDIT_SEEDS)]
    scenarios += map(priced_scenario, PRICED_SEEDS)
    return Runs(folder / "runs", scenarios).run(progress=False)


def test_every_promise_holds_whatever_dies(sample: list[Result]) -> None:
    wrong = [f"{result.scenario.repeat}: {result.problems}" for result in sample if result.problems]
    assert wrong == [], table(sample)


def test_the_sample_really_kills(sample: list[Result]) -> None:
    killed = [result for result in sample if any(label.startswith("kill") for label in result.labels)]
    assert len(killed) >= POINTS_EACH * len(FIXED)
    assert {"recovered", "adopted", "resubmitted"} <= {result.outcome for result in sample}


def test_a_broken_promise_would_be_seen(folder: Path) -> None:
    """The audit against a run that does pay twice: the SDK's own retries on a dropped answer."""
    (folder / "twice").mkdir()
    with Worker(folder / "twice") as worker:
        assert worker.run(at_step("adopted", None)).problems == []
        problems = worker.run(replace(at_step("adopted", None), sabotaged=True)).problems
    assert any("PAID TWICE" in problem for problem in problems), problems
    assert any("is owned by None" in problem for problem in problems), problems
    assert any("is on no receipt" in problem for problem in problems), problems
