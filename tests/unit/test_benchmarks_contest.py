from __future__ import annotations

import pytest

from benchmarks.__main__ import _choose
from benchmarks.contest import Goal, Outcome, alternate
from benchmarks.plot import draw


@pytest.mark.parametrize(
    ("measured", "at_least", "held"),
    [(1.5, False, True), (1.6, False, False), (1.5, True, True), (1.4, True, False)],
)
def test_a_goal_is_held_at_its_limit(measured: float, at_least: bool, held: bool) -> None:
    assert Goal("x", measured, 1.5, "×", at_least=at_least).held is held


def test_contenders_take_turns_and_are_compared_with_ours() -> None:
    order: list[str] = []

    def run(name: str) -> dict[str, float]:
        order.append(name)
        return {"seconds": {"ours": 2.0, "other": 5.0}[name], "extra_mb": 7.0}

    outcome = Outcome(
        "work", alternate(("ours", "other"), 2, run), (Goal("fast", 2.0, 1.0, "s"),), ("a note",)
    )
    assert order == ["ours", "other", "ours", "other"]
    told = "\n".join(outcome.lines())
    assert "2.50 ×" in told
    assert "MISSED  fast: 2 s (goal ≤ 1)" in told
    assert told.endswith("a note")
    assert "<svg" in draw([outcome])


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    with pytest.raises(SystemExit, match=r"no benchmark swim; there are results, submit"):
        _choose(["swim"], quick=True, million=False)
    assert list(_choose(["million"], quick=True, million=False)) == ["million"]
