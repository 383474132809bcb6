"""A sample of ``python -m benchmarks.memory``: the tasks' memory does not grow with the number of articles."""

from __future__ import annotations

from pathlib import Path

from benchmarks.memory import STEPS, measure


def test_reading_submitting_and_writing_stay_flat(tmp_path: Path) -> None:
    small, large = measure([10_000, 25_000], tmp_path).values()
    for step, (_, before), (_, after) in zip(STEPS, small, large, strict=True):
        # One shard is held at a time; the ids seen take 20 bytes an article. The input grows by 28 MB.
        # What the second thread still holds at the peak depends on the machine's other work.
        assert after - before < 24, (step, before, after)
