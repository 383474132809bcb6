"""What requests may cost, estimated from their size.

Tokens are estimated from the size of the requests, since no tokenizer of Claude's is published:

* expected: four ASCII characters a token, one token for any other character of three bytes (Chinese);
* upper: a third more for ASCII, half more for the rest; text of digits or code alone may exceed it;
* output: exactly ``max_tokens`` as the upper bound, the mean of the last published day as the expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from nightpress.costs.prices import UnitPrices, find_prices

DEFAULT_OUTPUT_SHARE = 0.4
"""Share of ``max_tokens`` that an answer is expected to use, while no published day tells."""

FRAMING_TOKENS = 12
"""Tokens that the API adds to a request's text, at most (system and message framing)."""


@dataclass(frozen=True, slots=True)
class RequestSizes:
    """The size of some requests' params as canonical JSON.

    :param requests: how many there are.
    :param characters: characters of all of them.
    :param size_bytes: bytes of all of them, UTF-8.
    :param largest_bytes: bytes of the largest; long prompts cost more with some models.
    """

    requests: int = 0
    characters: int = 0
    size_bytes: int = 0
    largest_bytes: int = 0

    def __add__(self, other: RequestSizes) -> RequestSizes:
        """Add up two groups of requests."""
        return RequestSizes(
            self.requests + other.requests,
            self.characters + other.characters,
            self.size_bytes + other.size_bytes,
            max(self.largest_bytes, other.largest_bytes),
        )

    def scaled(self, requests: int) -> RequestSizes:
        """Return the size of so many of them, if they are like the rest."""
        share = min(requests / max(self.requests, 1), 1.0)
        return RequestSizes(
            min(requests, self.requests),
            ceil(share * self.characters),
            ceil(share * self.size_bytes),
            self.largest_bytes if requests else 0,
        )

    @property
    def expected_tokens(self) -> int:
        """Input tokens, as likely as not."""
        return round(0.25 * self.characters + 0.375 * self._beyond_ascii)

    @property
    def upper_tokens(self) -> int:
        """Input tokens, at most."""
        return round(self.characters / 3 + 0.6 * self._beyond_ascii) + FRAMING_TOKENS * self.requests

    @property
    def _beyond_ascii(self) -> int:
        return self.size_bytes - self.characters


@dataclass(frozen=True, slots=True)
class History:
    """What answers came to on the last published day.

    :param day: YYYY-MM-DD; empty when there is none.
    :param output_tokens: mean of an answer; None when there is none.
    """

    day: str = ""
    output_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What requests may cost, in tokens and USD at batch prices."""

    input_expected: int
    input_upper: int
    output_expected: int
    output_upper: int
    expected_usd: float | None
    upper_usd: float | None
    list_upper_usd: float | None


def estimate(
    sizes: RequestSizes, model: str, max_tokens: int, history: History, cached_tokens: int = 0
) -> Cost:
    """Estimate what requests cost; None where the model's price is not known.

    :param history: gives the expected tokens of an answer.
    :param cached_tokens: of each request, at most so many may be written to the prompt cache, which is dearer.
    """
    each = DEFAULT_OUTPUT_SHARE * max_tokens if history.output_tokens is None else history.output_tokens
    output_expected = round(min(each, max_tokens) * sizes.requests)
    output_upper = max_tokens * sizes.requests
    prices = find_prices(model)
    if prices is None:
        usd: tuple[float | None, ...] = (None, None, None)
    else:
        usd = (
            _price(prices.batch, sizes, sizes.expected_tokens, output_expected),
            *(
                _price(tiers, sizes, sizes.upper_tokens, output_upper)
                + cached_tokens * sizes.requests * cache_surcharge(tiers[-1])
                for tiers in (prices.batch, prices.list_price)
            ),
        )
    return Cost(sizes.expected_tokens, sizes.upper_tokens, output_expected, output_upper, *usd)


def cache_surcharge(price: UnitPrices) -> float:
    """Return USD that a token costs more when it is written to the cache."""
    return max(price.cache_write_1h - price.input, 0.0) / 1e6


def _price(tiers: Sequence[UnitPrices], sizes: RequestSizes, input_tokens: int, output_tokens: int) -> float:
    """Return USD; when the largest prompt reaches a dearer tier, all are priced there."""
    reached = [tier for tier in tiers if sizes.largest_bytes > tier.above_tokens or not tier.above_tokens]
    return (input_tokens * reached[-1].input + output_tokens * reached[-1].output) / 1e6
