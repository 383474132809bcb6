"""Who may let a plan go on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from message_batches import ApprovePlanOperator
from message_batches.operators.approve_plan import _to_markdown
from tests.support.plans import make_plan as plan

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
