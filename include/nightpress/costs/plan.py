"""The plan of a run: what will be sent and what it may cost, known before the first POST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

import msgspec

from nightpress.costs.estimate import cache_surcharge
from nightpress.costs.prices import find_prices
from nightpress.errors import BudgetError, ConfigurationError
from nightpress.storage import StoragePath, write_atomically


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


def second_round_upper(plan: Plan, articles: int, size_bytes: int) -> float:
    """Return USD that sending some articles again may cost at most; 0 when the price is not known.

    :param size_bytes: of the POST body; half a token a byte is more than any text was seen to have.
    """
    prices = find_prices(plan.model)
    if prices is None:
        return 0.0
    price = prices.batch[-1]
    once_more = (0.5 * size_bytes * price.input + 2 * plan.max_tokens * articles * price.output) / 1e6
    return once_more + plan.cached_tokens * articles * cache_surcharge(price)


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
