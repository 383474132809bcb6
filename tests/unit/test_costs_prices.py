from __future__ import annotations

import numpy as np
import pytest
from genai_prices import Usage, calc_price

from nightpress.costs.prices import TokenColumns, cost_column, find_prices


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
