"""The plan of a run: what will be sent and what it may cost, known before the first POST.

Tokens are estimated from the size of the requests, since no tokenizer of Claude's is published:

* expected: four ASCII characters a token, one token for any other character of three bytes (Chinese);
* upper: a third more for ASCII, half more for the rest; text of digits or code alone may exceed it;
* output: exactly ``max_tokens`` as the upper bound, the mean of the last published day as the expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil, inf
from typing import Any

import msgspec

from include.costs.prices import UnitPrices, find_prices
from include.errors import BudgetError, ConfigurationError
from include.storage import StoragePath, write_atomically

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
class Limits:
    """What a run may cost, in USD; None allows anything.

    :param max_cost_usd: a plan whose upper bound is above it fails before the first POST.
    :param approve_above_usd: a plan whose upper bound is above it waits for a person.
    :raises ConfigurationError: an amount that is not above 0.
    """

    max_cost_usd: float | None = None
    approve_above_usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_cost_usd", "approve_above_usd"):
            amount = getattr(self, name)
            # `not … > 0` is also true of NaN.
            if amount is not None and not amount > 0:
                raise ConfigurationError(f"{name} is {amount}; it must be above 0 USD, or empty for no limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is going to do. Holds numbers and names, never text of an article or a prompt.

    :param articles: that were read and can be sent or reused.
    :param to_send: of those, in shards without a batch yet.
    :param attached: of those, in shards that have a batch already.
    :param reused: of those, with an answer that was paid for before.
    :param rejected: rows that are not sent, by reason.
    :param cost_upper_usd: USD at batch prices if every answer uses all its ``max_tokens``; None when the
        model's price is not known.
    :param template: SHA-256 of the model, the prompt and its settings; tells whether they changed.
    :param cached_tokens: of each request's input, at most so many may be written to the prompt cache.
    :param reused_files: how many ``reused-*.parquet`` there are in the run's folder.
    """

    pipeline: str
    day: str
    run: str
    source: str
    model: str
    max_tokens: int
    offline: bool
    fresh: bool
    plan_only: bool
    articles: int
    to_send: int
    attached: int
    reused: int
    rejected: Mapping[str, int]
    shards: int
    input_tokens_expected: int
    input_tokens_upper: int
    output_tokens_expected: int
    output_tokens_upper: int
    cost_expected_usd: float | None
    cost_upper_usd: float | None
    list_upper_usd: float | None
    max_cost_usd: float | None
    approve_above_usd: float | None
    template: str = ""
    cached_tokens: int = 0
    reused_files: int = 0
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def asked(self) -> int:
        """Articles that a model is asked: to send, and submitted before."""
        return self.to_send + self.attached

    @property
    def over_budget(self) -> bool:
        """True when it may cost more than was allowed; an unknown price is above every limit."""
        return self._may_exceed(self.max_cost_usd)

    @property
    def needs_approval(self) -> bool:
        """True when a person must agree first; an unknown price is above every limit."""
        return self._may_exceed(self.approve_above_usd)

    @property
    def verdict(self) -> str:
        """What becomes of it, for people."""
        if self.over_budget:
            return f"over the budget of {dollars(self.max_cost_usd)}: nothing is sent"
        if self.plan_only:
            return "plan only: nothing is sent"
        if not self.asked:
            return "nothing to send"
        return "waits for approval" if self.needs_approval else "goes on"

    @property
    def upper_usd_each(self) -> float:
        """USD that one article may cost at most, on average; 0 when it is not known."""
        return (self.cost_upper_usd or 0.0) / max(self.asked, 1)

    def _may_exceed(self, limit_usd: float | None) -> bool:
        if limit_usd is None or not self.asked:
            return False
        return (inf if self.cost_upper_usd is None else self.cost_upper_usd) > limit_usd

    def check_budget(self) -> None:
        """Refuse a plan that may cost more than was allowed; one that sends nothing anyway may cost anything.

        :raises BudgetError: naming the numbers and what can be done.
        """
        if self.plan_only or self.max_cost_usd is None or not self.over_budget:
            return
        if self.cost_upper_usd is None:
            raise BudgetError(
                f"the price of {self.model} is not known, so it cannot be told whether {self.to_send:,} articles stay "
                f"within max_cost_usd={self.max_cost_usd:g}. Nothing was sent. Choose a model with a known price, or "
                "leave max_cost_usd empty."
            )
        raise BudgetError(
            f"{self.asked:,} articles may cost up to {dollars(self.cost_upper_usd)} (expected "
            f"{dollars(self.cost_expected_usd)}), more than max_cost_usd={self.max_cost_usd:g}. Nothing was sent. "
            f"Set limit, lower max_tokens ({self.max_tokens}), choose a cheaper model, or raise max_cost_usd."
        )


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
                + cached_tokens * sizes.requests * _surcharge(tiers[-1])
                for tiers in (prices.batch, prices.list_price)
            ),
        )
    return Cost(sizes.expected_tokens, sizes.upper_tokens, output_expected, output_upper, *usd)


def second_round_upper(plan: Plan, articles: int, size_bytes: int) -> float:
    """Return USD that sending some articles again may cost at most; 0 when the price is not known.

    :param size_bytes: of the POST body; half a token a byte is more than any text was seen to have.
    """
    prices = find_prices(plan.model)
    if prices is None:
        return 0.0
    price = prices.batch[-1]
    once_more = (0.5 * size_bytes * price.input + 2 * plan.max_tokens * articles * price.output) / 1e6
    return once_more + plan.cached_tokens * articles * _surcharge(price)


def _surcharge(price: UnitPrices) -> float:
    """Return USD that a token costs more when it is written to the cache."""
    return max(price.cache_write_1h - price.input, 0.0) / 1e6


def _price(tiers: Sequence[UnitPrices], sizes: RequestSizes, input_tokens: int, output_tokens: int) -> float:
    """Return USD; when the largest prompt reaches a dearer tier, all are priced there."""
    reached = [tier for tier in tiers if sizes.largest_bytes > tier.above_tokens or not tier.above_tokens]
    return (input_tokens * reached[-1].input + output_tokens * reached[-1].output) / 1e6


def write_plan(plan: Plan, folder: StoragePath) -> StoragePath:
    """Store a plan as ``plan.json`` in its run's folder; return where."""
    path = folder / "plan.json"
    write_atomically(path, msgspec.json.format(msgspec.json.encode(plan_values(plan)), indent=2))
    return path


def plan_values(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values, with its verdict: for JSON, XCom and pages."""
    return asdict(plan) | {"verdict": plan.verdict}


def read_plan(values: Mapping[str, Any]) -> Plan:
    """Read what :func:`plan_values` made of a plan."""
    return Plan(**{name: value for name, value in values.items() if name != "verdict"})


def describe(plan: Plan) -> list[tuple[str, str]]:
    """Return the plan as lines of name and value, for a log, a form or a page."""
    lines = [
        ("articles", f"{plan.articles:,}"),
        ("  to send", f"{plan.to_send:,} in {plan.shards:,} shard(s)"),
        ("  submitted before", f"{plan.attached:,}"),
        ("  reused", f"{plan.reused:,}"),
        ("rejected rows", f"{sum(plan.rejected.values()):,}"),
    ]
    lines += [(f"  {reason}", f"{count:,}") for reason, count in plan.rejected.items()]
    lines += [
        ("model", f"{plan.model}, at most {plan.max_tokens:,} tokens an answer"),
        ("tokens in", f"{plan.input_tokens_expected:,} expected, {plan.input_tokens_upper:,} at most"),
        ("tokens out", f"{plan.output_tokens_expected:,} expected, {plan.output_tokens_upper:,} at most"),
        ("cost", f"{dollars(plan.cost_expected_usd)} expected, {dollars(plan.cost_upper_usd)} at most"),
        ("budget", "none" if plan.max_cost_usd is None else dollars(plan.max_cost_usd)),
        (
            "approval above",
            "never asked" if plan.approve_above_usd is None else dollars(plan.approve_above_usd),
        ),
        ("verdict", plan.verdict),
    ]
    return lines


def dollars(amount: float | None) -> str:
    """Write an amount with the digits that matter: cents, and more of them below a dollar."""
    if amount is None:
        return "unknown"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"
