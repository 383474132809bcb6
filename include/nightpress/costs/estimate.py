"""Estimate what requests cost: the expected cost and an upper bound.

As far as sizes can tell, the bill never exceeds the upper bound. It counts:

* input: the most tokens that each kind of character can have (:mod:`nightpress.costs.text_sizes`), plus what the
  API adds to a request; where the API counted every request, its count plus a margin;
* output: the full ``max_tokens`` of every request, room for thinking included;
* prompts that may be long, at the price of long prompts;
* tokens that may be written to the prompt cache, at the price of writing;
* the price of inference in the US, unless the request rules it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from nightpress.costs.prices import UnitPrices, find_prices
from nightpress.costs.request_profile import SEARCH_RESULT_TOKENS, SEARCH_USD, US_FACTOR, RequestProfile

if TYPE_CHECKING:
    from nightpress.costs.text_sizes import RequestSizes

DEFAULT_OUTPUT_SHARE = 0.4
"""Share of ``max_tokens`` that an answer is expected to use, until a published day shows it."""

THINKING_SHARE = 0.25
"""Share of the room for thinking that is expected to be used, until a published day shows it."""


COUNT_MARGIN, COUNT_MARGIN_TOKENS = 1.05, 3
"""Margin on the tokens that the API counted: a factor, and tokens for each request. The vendor calls the count an
estimate that may differ from the billed tokens by a small amount."""


@dataclass(frozen=True, slots=True)
class AnswerHistory:
    """What the answers of the last published day show about the next one.

    :param day: YYYY-MM-DD; empty when there is none.
    :param output_tokens: mean tokens of an answer, thinking included; None when there is no such day.
    :param input_share: counted input tokens divided by the expected ones; None when none were counted.
    :param upper_share: counted tokens divided by the upper bound, for the request with the highest ratio.
    :param geographies: where inference ran, as the answers said.
    :param counted_tokens: tokens that the API counted for all requests together; None when it did not count all.
    """

    day: str = ""
    output_tokens: float | None = None
    input_share: float | None = None
    upper_share: float | None = None
    geographies: tuple[str, ...] = ()
    counted_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What requests may cost, in tokens and USD at batch prices; None where it is not known.

    :param room_usd: the part of ``upper_usd`` that is room for thinking.
    """

    input_expected: int
    input_upper: int
    output_expected: int
    output_upper: int
    expected_usd: float | None
    upper_usd: float | None
    list_upper_usd: float | None
    room_usd: float | None = None


def estimate(sizes: RequestSizes, profile: RequestProfile, history: AnswerHistory = AnswerHistory()) -> Cost:
    """Estimate what requests cost; None where the model's price is not known, or nothing bounds it.

    :param history: gives the expected tokens of an answer, and corrects the estimate of the input.
    """
    facts, sizes = profile.facts, sizes.without(profile.skeleton)
    # The count is one number for all requests; long prompts have another price and would need a second one.
    counted = history.counted_tokens if not sizes.long_requests else None
    input_expected = counted or round(sizes.expected_tokens(facts) * (history.input_share or 1.0))
    output_expected = round(_expected_answer(profile, history) * sizes.requests)
    if counted is not None:
        short = _upper_input(sizes.short, profile, counted)
    else:
        # Only raised, never lowered: a sample is no upper bound.
        raised = max(history.upper_share or 1.0, 1.0)
        short = ceil(raised * _upper_input(sizes.short, profile))
    long = ceil(max(history.upper_share or 1.0, 1.0) * _upper_input(sizes.long, profile))
    output_upper = profile.request_max_tokens * sizes.requests
    prices = find_prices(profile.model)
    usd: tuple[float | None, ...] = (None, None, None, None)
    if prices is not None:
        usd = (
            _expected_usd(prices.batch, sizes, profile, input_expected, output_expected),
            _upper_usd(prices.batch, sizes, profile, short, long),
            _upper_usd(prices.list_price, sizes, profile, short, long),
            profile.room_tokens * sizes.requests * prices.batch[0].output / 1e6 * profile.us_factor,
        )
    return Cost(input_expected, max(short + long, input_expected), output_expected, output_upper, *usd)


def request_upper_usd(sizes: RequestSizes, profile: RequestProfile) -> float | None:
    """Return the most that the largest single request may cost, in USD; None when it is not known."""
    prices = find_prices(profile.model)
    if prices is None or profile.searches is None or not sizes.requests:
        return None
    # No text has more tokens than bytes.
    tokens = _with_searches(sizes.largest_bytes + profile.added_tokens, 1, profile.searches)
    return _usd_of(tokens, 1, profile, prices.batch[-1])


def cache_surcharge(price: UnitPrices) -> float:
    """Return the surcharge for a token that is written to the cache, in USD."""
    return max(price.cache_write_1h - price.input, 0.0) / 1e6


def _expected_answer(profile: RequestProfile, history: AnswerHistory) -> float:
    if history.output_tokens is not None:
        return min(history.output_tokens, profile.request_max_tokens)
    return DEFAULT_OUTPUT_SHARE * profile.max_tokens + THINKING_SHARE * profile.room_tokens


def _upper_input(sizes: RequestSizes, profile: RequestProfile, counted: int | None = None) -> int:
    text = sizes.upper_tokens(profile.facts) + profile.added_tokens * sizes.requests
    if counted is not None:
        text = ceil(counted * COUNT_MARGIN) + COUNT_MARGIN_TOKENS * sizes.requests
    return _with_searches(text, sizes.requests, profile.searches or 0)


def _with_searches(text: int, requests: int, searches: int) -> int:
    """Return the input tokens of requests: each search sends the prompt and the results so far once more."""
    again = searches * (searches + 1) // 2 * SEARCH_RESULT_TOKENS * requests
    return text * (searches + 1) + again


def _expected_usd(
    tiers: Sequence[UnitPrices],
    sizes: RequestSizes,
    profile: RequestProfile,
    input_tokens: int,
    output_tokens: int,
) -> float:
    long = sizes.long.expected_tokens(profile.facts)
    mean_long = long / max(sizes.long_requests, 1)
    base = tiers[0]
    reached = [tier for tier in tiers if mean_long > tier.above_tokens or tier is base][-1]
    share = long / max(sizes.expected_tokens(profile.facts), 1)
    long_output = output_tokens * sizes.long_requests / max(sizes.requests, 1)
    usd = (
        input_tokens * ((1 - share) * base.input + share * reached.input)
        + (output_tokens - long_output) * base.output
        + long_output * reached.output
    ) / 1e6
    return usd * (US_FACTOR if profile.us_expected and profile.facts.geography else 1.0)


def _upper_usd(
    tiers: Sequence[UnitPrices], sizes: RequestSizes, profile: RequestProfile, short: int, long: int
) -> float | None:
    """Return the upper bound in USD; prompts that may be long pay the highest price.

    :param short: most input tokens of the requests that are not long.
    """
    if profile.searches is None:
        return None
    # Search results may make any prompt a long one.
    short_price = tiers[-1] if profile.searches else tiers[0]
    usd_short = _usd_of(short, sizes.short.requests, profile, short_price)
    return usd_short + _usd_of(long, sizes.long_requests, profile, tiers[-1])


def _usd_of(input_tokens: int, requests: int, profile: RequestProfile, price: UnitPrices) -> float:
    written = input_tokens if profile.caches_all else min(profile.cached_tokens * requests, input_tokens)
    tokens = input_tokens * price.input + profile.request_max_tokens * requests * price.output
    usd = tokens / 1e6 + written * cache_surcharge(price)
    searches = (profile.searches or 0) * requests * SEARCH_USD
    return usd * profile.us_factor + searches
