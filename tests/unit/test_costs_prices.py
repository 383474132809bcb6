from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from genai_prices import Usage, calc_price

from nightpress.costs import prices as prices_module
from nightpress.costs.prices import TokenColumns, cost_column, find_prices
from nightpress.models.catalogue import CATALOGUE


def columns(**tokens: int) -> TokenColumns:
    names = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    return TokenColumns(**{name: np.array([tokens.get(name, 0)], dtype=np.int64) for name in names})


@pytest.mark.parametrize(
    "model", ["claude-haiku-4-5", "claude-haiku-5-5", "claude-opus-4-8", "claude-sonnet-4-5"]
)
@pytest.mark.parametrize("input_tokens", [1_000, 100_000, 100_001, 250_000])
def test_columns_cost_what_the_library_says_row_by_row(model: str, input_tokens: int) -> None:
    prices = find_prices(model)
    assert prices is not None
    usage = Usage(
        input_tokens=input_tokens + 700,
        output_tokens=321,
        cache_read_tokens=500,
        cache_write_tokens=200,
        cache_write_1h_tokens=200,
    )
    tokens = columns(input=input_tokens, output=321, cache_read=500, cache_write_1h=200)
    batch = calc_price(usage, model, provider_id="anthropic", price_context={"processing": "batch"})
    at_list = calc_price(usage, model, provider_id="anthropic")
    assert cost_column(tokens, prices.batch)[0] == pytest.approx(float(batch.total_price), rel=1e-12)
    assert cost_column(tokens, prices.list_price)[0] == pytest.approx(float(at_list.total_price), rel=1e-12)


def test_batch_is_half_the_list_price() -> None:
    prices = find_prices("claude-haiku-4-5")
    assert prices is not None
    assert (prices.batch[0].input, prices.batch[0].output) == (0.5, 2.5)
    assert (prices.list_price[0].input, prices.list_price[0].output) == (1.0, 5.0)


def test_an_unknown_model_has_no_price_rather_than_none_at_all() -> None:
    assert find_prices("claude-nope-9") is None


@pytest.mark.parametrize(
    "model", ["claude-haiku-4.5", "claude-haiku-4-55", "claude-haiku-4-5x", "claude-opus-4-"]
)
def test_a_model_that_only_looks_like_another_has_no_price(model: str) -> None:
    assert find_prices(model) is None


def test_a_dated_id_has_the_price_of_its_model() -> None:
    dated, plain = find_prices("claude-haiku-4-5-20251001"), find_prices("claude-haiku-4-5")
    assert dated is not None
    assert plain is not None
    assert (dated.batch, dated.assumed) == (plain.batch, False)


def test_without_a_batch_price_half_of_the_list_price_is_assumed_and_said() -> None:
    prices = find_prices("claude-opus-4-1")  # genai-prices has no batch price of it
    assert prices is not None
    assert prices.assumed
    listed, batch = prices.list_price[0], prices.batch[0]
    assert (batch.input, batch.output, batch.cache_read) == (
        listed.input / 2,
        listed.output / 2,
        listed.cache_read / 2,
    )


def test_what_the_library_does_not_know_is_priced_by_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {model: find_prices(model) for model in CATALOGUE}
    monkeypatch.setattr(prices_module, "_library_prices", lambda name: None)
    find_prices.cache_clear()
    try:
        for model, found in expected.items():
            assert found is not None
            ours = find_prices(model)
            assert ours is not None
            for our_tier, found_tier in zip(ours.batch, found.batch, strict=True):
                assert astuple(our_tier) == pytest.approx(astuple(found_tier))
    finally:
        find_prices.cache_clear()
