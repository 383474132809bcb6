"""What a run may cost, told before it is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from upath import UPath

from nightpress.costs.estimate import History, RequestSizes, estimate
from nightpress.costs.plan import Limits, Plan, describe, read_plan, write_plan
from nightpress.costs.prices import find_prices
from nightpress.errors import BudgetError, ConfigurationError
from nightpress.models.catalogue import CATALOGUE
from offline_api.token_counts import OLD

HAIKU = "claude-haiku-4-5"


def sizes_of(text: str, requests: int = 1) -> RequestSizes:
    size = len(text.encode())
    return RequestSizes(requests, requests * len(text), requests * size, size)


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        **dict.fromkeys(("pipeline", "day", "run", "source"), "x"),
        **dict.fromkeys(("articles", "to_send", "shards"), 10),
        **dict.fromkeys(("attached", "reused", "input_tokens_expected", "input_tokens_upper"), 0),
        **dict.fromkeys(("output_tokens_expected", "output_tokens_upper"), 0),
        **dict.fromkeys(("max_cost_usd", "approve_above_usd", "list_upper_usd"), None),
        **dict.fromkeys(("offline", "fresh", "plan_only"), False),
        "model": HAIKU,
        "max_tokens": 200,
        "rejected": {},
        "cost_expected_usd": 1.0,
        "cost_upper_usd": 2.0,
    }
    return Plan(**(values | changes))


@pytest.mark.parametrize(
    "text",
    [
        "plain English words, nothing else. " * 20,
        "今天的天气很好，我们去公园散步。" * 20,
        "naïve café déjà vu " * 20,
    ],
)
def test_the_upper_bound_is_above_what_the_offline_api_counts_and_near_it(text: str) -> None:
    counted, sizes = OLD.count(text), sizes_of(text)
    assert counted <= sizes.upper_tokens <= 2 * counted
    assert sizes.expected_tokens <= sizes.upper_tokens


def test_cost_is_tokens_times_the_batch_price() -> None:
    sizes = sizes_of("a" * 4_000, requests=100)
    cost = estimate(sizes, HAIKU, 200, History())
    assert (cost.input_expected, cost.output_expected, cost.output_upper) == (100_000, 8_000, 20_000)
    assert cost.expected_usd == pytest.approx((100_000 * 0.5 + 8_000 * 2.5) / 1e6)
    assert cost.upper_usd == pytest.approx((sizes.upper_tokens * 0.5 + 20_000 * 2.5) / 1e6)
    assert cost.list_upper_usd == pytest.approx(2 * (cost.upper_usd or 0))


def test_history_says_how_long_answers_are_but_never_longer_than_allowed() -> None:
    sizes = sizes_of("a", requests=10)
    assert estimate(sizes, HAIKU, 200, History("2026-11-21", 56.0)).output_expected == 560
    assert estimate(sizes, HAIKU, 50, History("2026-11-21", 56.0)).output_expected == 500


def test_long_prompts_are_planned_at_the_price_of_long_prompts() -> None:
    short, long = sizes_of("a" * 1_000), sizes_of("a" * 900_000)
    upper = [estimate(sizes, "claude-haiku-5-5", 1, History()).upper_usd or 0 for sizes in (short, long)]
    assert upper[1] > 900 * upper[0] * 2


def test_an_unknown_price_is_unknown() -> None:
    cost = estimate(sizes_of("a"), "claude-nope-9", 200, History())
    assert (cost.expected_usd, cost.upper_usd, cost.list_upper_usd) == (None, None, None)


@pytest.mark.parametrize("name", ["max_cost_usd", "approve_above_usd"])
@pytest.mark.parametrize("amount", [0, -1, float("nan")])
def test_a_limit_must_be_above_nothing(name: str, amount: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is {amount}"):
        Limits(**{name: amount})


def test_the_budget_holds_back_what_may_cost_more() -> None:
    plan(max_cost_usd=2.0).check_budget()
    with pytest.raises(BudgetError, match=r"up to \$2\.00 .*max_cost_usd=1\.99.*Nothing was sent"):
        plan(max_cost_usd=1.99).check_budget()
    with pytest.raises(BudgetError, match="claude-nope-9 is not known"):
        plan(max_cost_usd=100.0, model="claude-nope-9", cost_upper_usd=None).check_budget()
    plan(max_cost_usd=0.01, to_send=0, cost_upper_usd=0.0).check_budget()


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, False),
        ({"approve_above_usd": 2.0}, False),
        ({"approve_above_usd": 1.99}, True),
        ({"approve_above_usd": 1000.0, "cost_upper_usd": None}, True),
        ({"approve_above_usd": 0.01, "to_send": 0, "cost_upper_usd": 0.0}, False),
    ],
)
def test_a_person_is_asked_above_the_limit(changes: dict[str, Any], asked: bool) -> None:
    assert plan(**changes).needs_approval is asked


def test_a_plan_survives_xcom_and_its_file(tmp_path: Path) -> None:
    planned = plan(rejected={"missing_id": 2}, notes=["a note"], max_cost_usd=5.0)
    path = write_plan(planned, UPath(tmp_path))
    stored = json.loads(path.read_bytes())
    assert stored["rejected"] == {"missing_id": 2}
    assert replace(read_plan(stored), notes=["a note"]) == planned
    assert dict(describe(planned))["  missing_id"] == "2"
    assert msgspec.json.encode(stored)


def test_the_forms_prices_are_the_librarys() -> None:
    for model, facts in CATALOGUE.items():
        prices = find_prices(model)
        assert prices is not None
        assert (prices.list_price[0].input, prices.list_price[0].output) == (
            facts.input_usd,
            facts.output_usd,
        )
        assert prices.batch[0].input == pytest.approx(facts.batch_input_usd)
        assert prices.batch[0].cache_read == pytest.approx(
            (facts.batch_input_usd or 0) * facts.cache_read_multiplier
        )
        long = facts.long_prompt
        assert [tier.above_tokens for tier in prices.batch] == ([0, long.above_tokens] if long else [0])
        if long:
            assert (prices.list_price[1].input, prices.list_price[1].output) == (
                long.input_usd,
                long.output_usd,
            )


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "goes on"),
        ({"max_cost_usd": 1.99}, "over the budget of $1.99: nothing is sent"),
        ({"max_cost_usd": 1.99, "cost_upper_usd": 0.0}, "goes on"),
        ({"max_cost_usd": 100.0, "cost_upper_usd": None}, "over the budget of $100.00: nothing is sent"),
        ({"max_cost_usd": 0.01, "to_send": 0}, "nothing to send"),
        ({"plan_only": True}, "plan only: nothing is sent"),
        ({"approve_above_usd": 1.0}, "waits for approval"),
    ],
)
def test_the_verdict_says_what_becomes_of_it(changes: dict[str, Any], verdict: str) -> None:
    assert plan(**changes).verdict == verdict
