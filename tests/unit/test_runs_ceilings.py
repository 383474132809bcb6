"""What a pipeline declares is the most that whoever starts a run can ask for."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import ConfigurationError
from nightpress.runs.ceilings import (
    MAX_ANSWER_TOKENS,
    MAX_LIMIT,
    Ceilings,
    RunSettings,
    read_count,
    read_usd,
)

DECLARED = Ceilings.declared({"max_cost_usd": 5, "approve_above_usd": 1.0, "max_tokens": 300, "limit": 1000})


@pytest.mark.parametrize("name", ["max_cost_usd", "approve_above_usd"])
@pytest.mark.parametrize("value", [None, "", 1e9, "1e9", math.inf, "inf", "Infinity"])
def test_nothing_that_a_form_sends_lifts_a_budget(name: str, value: Any) -> None:
    asked = RunSettings("m", 100, **{name: read_usd(name, value)})
    settings, notes = DECLARED.apply(asked)
    assert getattr(settings, name) == getattr(DECLARED, name)
    assert any(name in note for note in notes) is (value not in {None, ""})


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        "0",
        "x",
        True,
        False,
        math.nan,
        "nan",
        [],
        {},
        "-inf",
        "1,5",
        "1_000",
        "٣",
        "5\0",
        b"5",
        10**400,
        Decimal("NaN"),
    ],
)
def test_an_amount_that_is_none_is_refused_and_never_taken_for_no_budget(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"max_cost_usd is .* USD above 0"):
        read_usd("max_cost_usd", value)


@pytest.mark.parametrize(
    "value",
    [0, -1, "0", "x", True, 2.5, math.nan, math.inf, "1e3", "٣", [], 10**30, "9" * 500, MAX_LIMIT + 1],
)
def test_a_number_out_of_its_bounds_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"limit is .* from 1 to 100,000,000"):
        read_count("limit", value, MAX_LIMIT)
    with pytest.raises(ConfigurationError):
        Ceilings.declared({"max_tokens": value}) if isinstance(value, (int, float)) else read_count(
            "max_tokens", value, MAX_ANSWER_TOKENS
        )


@pytest.mark.parametrize(
    ("value", "count"), [(7, 7), ("7", 7), (" 7 ", 7), (7.0, 7), (None, None), ("", None)]
)
def test_a_number_of_articles_is_read_as_forms_give_it(value: Any, count: int | None) -> None:
    assert read_count("limit", value, MAX_LIMIT) == count


_amounts = st.none() | st.floats(min_value=1e-9, allow_nan=False)
_counts = st.none() | st.integers(1, 10**9)


@given(
    st.builds(Ceilings, _amounts, _amounts, _counts, _counts),
    st.builds(RunSettings, st.just("m"), st.integers(1, 10**9), _amounts, _amounts, _counts),
)
def test_the_result_is_never_above_what_was_declared_nor_above_what_was_asked(
    ceilings: Ceilings, asked: RunSettings
) -> None:
    settings, _ = ceilings.apply(asked)
    for name in ("max_cost_usd", "approve_above_usd", "max_tokens", "limit"):
        most, wanted, taken = (getattr(of, name) for of in (ceilings, asked, settings))
        for bound in (most, wanted):
            assert bound is None or (taken is not None and taken <= bound)
        assert taken in {most, wanted}


@pytest.mark.parametrize("value", [5, 5.0, "5", " 5 ", "5e0", Decimal(5), Fraction(5)])
def test_a_budget_is_a_ceiling_in_whatever_form_it_is_declared(value: Any) -> None:
    ceilings = Ceilings.declared({"max_cost_usd": value})
    assert ceilings.apply(RunSettings("m", 100, max_cost_usd=1e9))[0].max_cost_usd == 5


@pytest.mark.parametrize("value", ["five", "nan", "0", "-5", True, "1_000"])
def test_a_budget_that_is_none_is_refused_where_it_is_declared(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_cost_usd is"):
        Ceilings.declared({"max_cost_usd": value})


def test_only_declared_models_may_be_chosen() -> None:
    ceilings = Ceilings(models=("claude-haiku-4-5",))
    ceilings.apply(RunSettings("claude-haiku-4-5", 1))
    with pytest.raises(ConfigurationError, match=r"claude-opus-5.* not one of .*claude-haiku-4-5"):
        ceilings.apply(RunSettings("claude-opus-5", 1))


def test_a_reference_declares_nothing() -> None:
    assert Ceilings.declared({"max_cost_usd": object(), "limit": None, "max_tokens": "{{ x }}"}) == Ceilings(
        read_limits=ReadLimits()
    )
    assert Ceilings.declared({"read_options": "{{ x }}"}) == Ceilings()


@pytest.mark.parametrize("name", [limit.name for limit in fields(ReadLimits)])
def test_a_form_lowers_the_limits_of_reading_and_never_lifts_them(name: str) -> None:
    usual = getattr(ReadLimits(), name)
    ceilings = Ceilings.declared({"read_options": {"metadata": ["brand"]}})
    assert ceilings.limit_reading({name: usual - 1})[name] == usual - 1
    assert ceilings.limit_reading({"delimiter": ";"}) == {**asdict(ReadLimits()), "delimiter": ";"}
    with pytest.raises(ConfigurationError, match=f"{name} is .* may ask for {usual:,} at most"):
        ceilings.limit_reading({name: usual + 1})
    more = Ceilings.declared({"read_options": {name: usual * 2}})
    assert more.limit_reading({})[name] == usual * 2
    assert more.limit_reading({name: usual + 1})[name] == usual + 1
    assert Ceilings().limit_reading({name: usual + 1}) == {name: usual + 1}
