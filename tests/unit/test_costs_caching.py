"""Whether a shared part is cached, and what that saves."""

from __future__ import annotations

import pytest

from nightpress.costs.prices import find_prices
from nightpress.costs.shared_prefix import SharedPrefix, cached_system, minimum_prefix_tokens
from offline_api.model_catalog import MODELS as CATALOG
from offline_api.prompt_cache import PromptCache
from offline_api.token_counts import OLD
from tests.support.batch_requests import params

MODELS = [
    "claude-haiku-5-5",
    "claude-haiku-4-5",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
    "claude-sonnet-4-6",
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-5",
]


@pytest.mark.parametrize("model", MODELS)
def test_both_sides_know_the_same_minimum(model: str) -> None:
    assert minimum_prefix_tokens(model) == CATALOG[model].min_cached_tokens


@pytest.mark.parametrize(
    ("characters", "verdict", "words"),
    [
        (4 * 4096, "cached", "caches from 4,096 on."),
        (4 * 3000, "perhaps", "may be too short"),
        (4 * 1000, "too_short", "has no effect"),
        (0, "too_short", "about 0 tokens"),
    ],
)
def test_verdict(characters: int, verdict: str, words: str) -> None:
    prefix = SharedPrefix.of("x" * characters, "claude-haiku-4-5")
    assert prefix.verdict == verdict
    assert words in prefix.message
    assert len(prefix.message) < 300


def test_chinese_counts_more() -> None:
    assert SharedPrefix.of("字" * 4096, "claude-haiku-4-5").verdict == "cached"
    assert SharedPrefix.of("x" * 4096, "claude-haiku-4-5").verdict == "too_short"


def test_saved() -> None:
    prices = find_prices("claude-haiku-4-5")
    assert prices is not None
    price = prices.batch[0]
    prefix = SharedPrefix("claude-haiku-4-5", 10_000, 13_000, 4096)
    assert prefix.saved_usd(1, price) < 0, "a lone request writes at twice the price"
    assert prefix.saved_usd(1000, price, 0.3) < 0 < prefix.saved_usd(1000, price, 0.7)
    expected = (980 * 0.9 - 20 * 1.0) * 10_000 * 0.5 / 1e6
    assert prefix.saved_usd(1000, price, 0.98) == pytest.approx(expected)
    assert SharedPrefix("claude-haiku-4-5", 10, 13, 4096).saved_usd(1000, price) == 0


def test_what_is_sent_is_cached() -> None:
    text = "One rule. " * 2_000
    cache = PromptCache()
    first, second = (
        cache.use(params(system=cached_system(text)), number, CATALOG["claude-haiku-4-5"], OLD)
        for number in (0, 1)
    )
    assert (first.written_1h, first.written_5m) == (5_883, 0)
    assert second.written_1h + second.read == 5_883
