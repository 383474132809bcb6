"""What a run may cost, told before it is sent."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
from upath import UPath

from nightpress.costs.estimate import AnswerHistory, estimate, request_upper_usd
from nightpress.costs.plan import (
    PLAN_VERSION,
    Limits,
    ModelCost,
    again_upper_usd,
    plan_values,
    read_plan,
    second_round_upper,
    write_plan,
)
from nightpress.costs.plan_lines import plan_lines
from nightpress.costs.prices import find_prices
from nightpress.costs.request_profile import RequestProfile, make_profile
from nightpress.costs.text_sizes import RequestSizes, measure_requests
from nightpress.errors import BudgetError, ConfigurationError, ResultsError
from nightpress.models.catalogue import CATALOGUE
from nightpress.models.request_options import resolve_options
from offline_api.token_counts import OLD
from tests.support.plans import make_plan as plan

HAIKU = "claude-haiku-4-5"


def sizes_of(text: str, requests: int = 1) -> RequestSizes:
    return measure_requests([text.encode()] * requests)


def ask(model: str = HAIKU, max_tokens: int = 200, **changes: Any) -> RequestProfile:
    return RequestProfile(model, max_tokens, **changes)


@pytest.mark.parametrize(
    "text",
    [
        "plain English words, nothing else. " * 20,
        "今天的天气很好，我们去公园散步。" * 20,
        "naïve café déjà vu " * 20,
    ],
)
def test_the_upper_bound_is_above_what_the_offline_api_counts(text: str) -> None:
    counted, sizes, facts = OLD.count(text), sizes_of(text), CATALOGUE[HAIKU]
    assert counted <= sizes.upper_tokens(facts) <= 2.5 * counted
    assert sizes.expected_tokens(facts) <= sizes.upper_tokens(facts)


@pytest.mark.parametrize(
    "text",
    [
        "e\u0301\u0316\u0334" * 50,
        "ʃəʊɪɲɕ" * 50,
        "Բարեւ" * 50,
        "⠓⠑⠇⠇⠕" * 50,
        "∮∬⊗⋉" * 50,
        "\ue000\uf8ff" * 50,
        "ꙮ！＂" * 50,
    ],
)
@pytest.mark.parametrize("model", [HAIKU, "claude-opus-5"])
def test_signs_that_a_token_may_not_hold_are_bounded_by_their_bytes(text: str, model: str) -> None:
    many = sum(len(character.encode()) for character in text if not character.isascii() and character != "ꙮ")
    assert sizes_of(text).upper_tokens(CATALOGUE[model]) >= many


def test_the_largest_request_is_bounded_with_all_that_its_searches_send_again() -> None:
    def upper(uses: int) -> float:
        tools = [{"type": "web_search_20260209", "name": "web_search", "max_uses": uses}]
        profile = make_profile(resolve_options("claude-opus-5", 10, request={"tools": tools}))
        one = sizes_of("a" * 1_000)
        bound = request_upper_usd(one, profile)
        assert bound is not None and bound >= (estimate(one, profile).upper_usd or 0)
        return bound

    assert upper(3) > 3 * upper(1) > 0


def test_no_text_has_more_tokens_than_bytes_and_every_character_counts() -> None:
    every = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    for model in CATALOGUE.values():
        sizes = sizes_of(every)
        assert sum(sizes.characters) == len(every)
        assert sizes.upper_tokens(model) <= len(every.encode())


def test_sizes_add_up_and_count_what_may_be_a_long_prompt() -> None:
    short, long = "a" * 10, "字" * 40_000
    both = measure_requests([short.encode(), long.encode()])
    assert both == sizes_of(short) + sizes_of(long)
    assert (both.long_requests, both.long.characters) == (1, sizes_of(long).characters)
    assert both.short.characters == sizes_of(short).characters
    assert both.scaled(2) == both
    assert both.scaled(0).upper_tokens(CATALOGUE[HAIKU]) == 0
    assert both.scaled(1).upper_tokens(CATALOGUE[HAIKU]) >= sizes_of(long).upper_tokens(CATALOGUE[HAIKU])


def test_cost_is_tokens_times_the_batch_price() -> None:
    sizes = sizes_of("a" * 3_400, requests=100)
    cost = estimate(sizes, ask())
    assert cost.output_expected == 8_000
    assert cost.output_upper == 20_000
    assert cost.expected_usd == pytest.approx((cost.input_expected * 0.5 + 8_000 * 2.5) / 1e6)
    assert cost.upper_usd == pytest.approx((cost.input_upper * 0.5 + 20_000 * 2.5) / 1e6)
    assert cost.list_upper_usd == pytest.approx(2 * (cost.upper_usd or 0))


def test_history_says_how_long_answers_are_but_never_longer_than_allowed() -> None:
    sizes = sizes_of("a", requests=10)
    assert estimate(sizes, ask(), AnswerHistory("2026-11-21", 56.0)).output_expected == 560
    assert estimate(sizes, ask(max_tokens=50), AnswerHistory("2026-11-21", 56.0)).output_expected == 500


def test_room_for_thinking_is_part_of_the_upper_bound() -> None:
    sizes = sizes_of("a", requests=10)
    plain, cost = ask("claude-opus-5-5"), estimate(sizes, ask("claude-opus-5-5", room_tokens=2_048))
    assert cost.output_upper == 10 * 2_248
    assert cost.room_usd == pytest.approx(10 * 2_048 * 10 / 1e6)
    assert (cost.upper_usd or 0) - (cost.room_usd or 0) == pytest.approx(estimate(sizes, plain).upper_usd)


def test_counted_tokens_bound_the_input_but_of_long_prompts() -> None:
    sizes = sizes_of("a" * 3_400, requests=100)
    cost = estimate(sizes, ask(), AnswerHistory(counted_tokens=100_000))
    assert cost.input_expected == 100_000 < cost.input_upper < 110_000
    assert (cost.upper_usd or 0) < (estimate(sizes, ask()).upper_usd or 0)
    long = sizes + sizes_of("a" * 95_000)
    assert (
        estimate(long, ask(), AnswerHistory(counted_tokens=120_000)).input_upper
        == estimate(long, ask()).input_upper
    )


def test_what_is_sent_again_is_bounded_by_its_own_tokens() -> None:
    def params(tokens: int, text: str = "a" * 100, **more: object) -> bytes:
        body = {"model": HAIKU, "max_tokens": tokens, "messages": [{"role": "user", "content": text}], **more}
        return msgspec.json.encode(body)

    one, two = again_upper_usd(plan(), [params(400)]), again_upper_usd(plan(), [params(400), params(800)])
    assert one > 400 * 2.5 / 1e6
    assert two - one > 800 * 2.5 / 1e6
    cached = params(400, system=[{"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}])
    assert again_upper_usd(plan(), [cached]) > one
    tools = [{"type": "web_search_20260209", "name": "web_search", "max_uses": 2}]
    assert again_upper_usd(plan(), [params(400, tools=tools)]) > one + 0.02
    assert again_upper_usd(plan(), [params(1, tools=[{"type": "code_execution_20260120"}])]) == inf
    assert again_upper_usd(plan(model="claude-nope-9"), [params(400)]) == inf
    us = again_upper_usd(plan(model="claude-opus-5", us_possible=True), [params(400)])
    assert us == pytest.approx(1.1 * again_upper_usd(plan(model="claude-opus-5"), [params(400)]))


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({"cost_upper_usd": 2.0, "settled_usd": 0.5}, 2.5),
        ({"cost_upper_usd": 2.0, "settled_usd": 0.5, "max_cost_usd": 1.0}, 1.0),
        ({"cost_upper_usd": 2.0, "settled_usd": None, "max_cost_usd": 9.0}, 9.0),
        ({"cost_upper_usd": None, "settled_usd": 0.5}, inf),
    ],
)
def test_what_a_run_may_cost_with_its_second_round(changes: dict[str, Any], usd: float) -> None:
    assert plan(**changes).ceiling_usd == usd


def test_only_long_prompts_are_planned_at_the_price_of_long_prompts() -> None:
    def upper(text: str) -> float:
        return estimate(sizes_of(text), ask("claude-haiku-5-5", 1)).upper_usd or 0

    assert upper("a" * 900_000) > 900 * upper("a" * 1_000) * 2
    mixed = measure_requests([b"a" * 900_000, *[b"a" * 1_000] * 1_000])
    assert estimate(mixed, ask("claude-haiku-5-5", 1)).upper_usd == pytest.approx(
        upper("a" * 900_000) + 1_000 * upper("a" * 1_000), rel=1e-3
    )


def test_inference_in_the_us_costs_more_from_4_6_on() -> None:
    sizes = sizes_of("a" * 1_000)
    for model in CATALOGUE.values():
        plain, us = (estimate(sizes, ask(model.id, us_possible=us)).upper_usd or 0 for us in (False, True))
        assert us == pytest.approx(plain * (1.1 if model.geography else 1.0))


@pytest.mark.parametrize(
    ("request_", "seen", "expected", "possible"),
    [
        ({}, (), False, True),
        # Where earlier answers were made bounds nothing: the key may be of another workspace by now.
        ({}, ("global",), False, True),
        ({}, ("global", "us"), True, True),
        # What a model before 4.6 says of it shows nothing.
        ({}, ("not_available",), False, True),
        ({}, ("global", "not_available"), False, True),
        ({"inference_geo": "us"}, ("global",), True, True),
        ({"inference_geo": "global"}, ("us",), False, False),
    ],
)
def test_where_inference_runs_is_known_from_the_request_or_from_earlier_answers(
    request_: dict[str, object], seen: tuple[str, ...], expected: bool, possible: bool
) -> None:
    profile = make_profile(resolve_options("claude-opus-5", 10, request=request_), geographies=seen)
    assert (profile.us_expected, profile.us_possible) == (expected, possible)


FETCH = {"type": "web_fetch_20260209", "name": "web_fetch", "max_uses": 2}


@pytest.mark.parametrize(
    ("request_", "bounded"),
    [
        # Summing up the context is billed like another request, and the answer's own counts leave it out.
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, False),
        ({"context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "new"}]}}, False),
        ({"context_management": {"edits": 7}}, False),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, True),
        ({"context_management": {"edits": []}}, True),
        ({"context_management": {}}, True),
        # A document that is fetched may have any number of tokens.
        ({"tools": [FETCH]}, False),
        ({"tools": [FETCH | {"max_content_tokens": 100_000}]}, False),
        ({"tools": [FETCH | {"max_content_tokens": 10_000}]}, True),
    ],
)
def test_what_the_api_may_do_for_a_request_is_bounded_or_unknown(
    request_: dict[str, Any], bounded: bool
) -> None:
    profile = make_profile(resolve_options("claude-opus-5", 10, request=request_))
    assert (estimate(sizes_of("a", 100), profile).upper_usd is not None) is bounded
    again = msgspec.json.encode({"max_tokens": 10, "messages": []} | request_)
    assert (again_upper_usd(plan(), [again]) < inf) is bounded


def test_searches_cost_what_they_cost_and_must_be_bounded() -> None:
    def upper(**tool: object) -> float | None:
        tools = [{"type": "web_search_20260209", "name": "web_search", **tool}]
        profile = make_profile(resolve_options("claude-opus-5", 10, request={"tools": tools}))
        return estimate(sizes_of("a", 100), profile).upper_usd

    assert upper() is None
    assert (upper(max_uses=2) or 0) > 2 * 100 * 0.01
    client = make_profile(resolve_options("claude-opus-5", 10, request={"tools": [{"name": "x"}]}))
    assert client.searches == 0
    code = [{"type": "code_execution_20260120", "name": "code_execution"}]
    assert make_profile(resolve_options("claude-opus-5", 10, request={"tools": code})).searches is None


def test_a_cached_prompt_is_planned_at_the_price_of_writing_it() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    sizes = sizes_of("a" * 10_000)
    plain, cached = (
        estimate(sizes, make_profile(resolve_options("claude-opus-5", 10, request=request)))
        for request in ({}, mark)
    )
    written = cached.input_upper * 2.5 / 1e6 * 1.1
    assert (cached.upper_usd or 0) - (plain.upper_usd or 0) == pytest.approx(written)


def test_an_unknown_price_is_unknown() -> None:
    cost = estimate(sizes_of("a"), ask("claude-nope-9"))
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


def test_no_budget_keeps_a_run_from_what_it_has_sent_already() -> None:
    sent = plan(max_cost_usd=0.01, to_send=0, attached=100)
    sent.check_budget()
    assert sent.ceiling_usd == 0.01, "a second round keeps to it"
    plan(max_cost_usd=0.01, to_send=0, attached=100, cost_upper_usd=None).check_budget()
    with pytest.raises(BudgetError, match="99 of them were submitted before: they are collected"):
        plan(max_cost_usd=0.01, to_send=1, attached=99).check_budget()


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
    others = [ModelCost(model="claude-haiku-5-5", expected_usd=0.1, upper_usd=0.2)]
    planned = plan(
        rejected={"missing_id": 2}, notes=["a note"], max_cost_usd=5.0, other_models=others, betas=["b"]
    )
    path = write_plan(planned, UPath(tmp_path))
    stored = json.loads(path.read_bytes())
    assert stored["rejected"] == {"missing_id": 2}
    assert stored["schema_version"] == PLAN_VERSION
    assert read_plan(stored) == planned
    assert dict(plan_lines(planned))["  missing_id"] == "2"
    assert dict(plan_lines(planned))["with claude-haiku-5-5"] == "$0.1000 expected, $0.2000 at most"


def test_a_plan_of_an_earlier_version_is_read_and_of_a_newer_one_refused() -> None:
    stored = plan_values(plan())
    earlier = {
        name: value
        for name, value in stored.items()
        if name
        not in {"schema_version", "room_tokens", "thinking", "other_models", "request_upper_usd", "cut"}
    }
    assert plan_values(read_plan(earlier)) == stored
    with pytest.raises(ResultsError, match=r"version 2; .*versions up to 1"):
        read_plan(stored | {"schema_version": 2})
    with pytest.raises(ResultsError, match="not the plan of a run"):
        read_plan({"pipeline": "p"})


def test_what_a_plan_holds_beyond_what_is_known_is_kept() -> None:
    stored = plan_values(plan()) | {"of_tomorrow": {"a": 1}}
    assert plan_values(read_plan(stored)) == stored


def test_a_second_round_of_an_unknown_price_is_above_every_budget() -> None:
    assert second_round_upper(plan(model="claude-nope-9"), 1, 1) == inf
    assert plan(cost_upper_usd=None).upper_usd_each == inf


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
