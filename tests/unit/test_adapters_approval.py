"""Who may let a plan go on, and what a second round may cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from message_batches import ApprovePlanOperator, CollectFailuresOperator
from message_batches.operators.approve_plan import _to_markdown
from nightpress.costs.plan import second_round_upper
from nightpress.shards.shard import Shard
from tests.unit.test_costs_plan import plan

SHARDS = [{"uri": "file:///r/requests-00000.json", "articles": 10, "bytes": 5_000, "key": "k"}]


def approve(planned: dict[str, Any]) -> ApprovePlanOperator:
    return ApprovePlanOperator(task_id="approve_plan", shards=SHARDS, plan=planned)


def test_a_plan_below_the_limit_goes_on_with_its_shards() -> None:
    assert approve(asdict(plan(approve_above_usd=2.0))).execute({}) == SHARDS  # type: ignore[typeddict-item]


def test_nobody_answered_in_time_fails_and_says_that_nothing_was_spent() -> None:
    timed_out: Any = {"error": "too late", "error_type": "timeout"}
    with pytest.raises(
        AirflowFailException, match="nobody approved the plan within 12:00:00; nothing was sent"
    ):
        approve(asdict(plan())).execute_complete({}, timed_out)  # type: ignore[typeddict-item]


def test_what_comes_from_outside_is_no_markup_in_the_request() -> None:
    shown = _to_markdown(
        plan(model="<script>alert(1)</script>", rejected={"[x](javascript:1)": 3}, notes=["**<b>**|"])
    )
    for character in "<>[]()*|":
        bare = shown.replace(f"\\{character}", "").replace("|---|---|", "").replace("\n|", "\n")
        assert character not in bare.replace(" | ", "").replace(" |\n", "\n").lstrip("|").replace(
            "| |", ""
        ), bare


def test_a_second_round_stays_within_the_budget() -> None:
    again = [Shard(f"file:///r/requests-r2-0000{n}-00000.json", 10, 5_000, "k") for n in range(3)]
    planned = plan(cost_upper_usd=1.0)
    each = second_round_upper(planned, 10, 5_000)
    assert each == pytest.approx((2_500 * 0.5 + 2 * 200 * 10 * 2.5) / 1e6)

    def sent(max_cost_usd: float | None, missing: int = 0) -> int:
        task = CollectFailuresOperator(
            task_id="collect_failures",
            shards=SHARDS,
            results=[{"cost_usd": 0.5, "by_status": {"succeeded": 5, "missing": missing}}],
            plan=asdict(plan(cost_upper_usd=1.0, max_cost_usd=max_cost_usd)),
        )
        return len(task._within_budget(again, []))

    assert sent(None) == 3
    assert sent(0.5 + 3 * each + 1e-9) == 3
    assert sent(0.5 + 2.5 * each) == 2
    assert sent(0.5) == 0
    # What is missing may have been billed: it counts as much as the plan said it might cost.
    assert sent(0.5 + 3 * each + 1e-9, missing=1) == 0
