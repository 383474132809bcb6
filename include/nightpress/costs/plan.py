"""The plan of a run: what will be sent and what it may cost, known before the first POST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

import msgspec

from nightpress.costs.estimate import cache_surcharge, estimate
from nightpress.costs.money import dollars
from nightpress.costs.prices import find_prices
from nightpress.costs.request_profile import (
    FORMAT_TOKENS,
    FRAMING_TOKENS,
    TOOL_TOKENS,
    RequestProfile,
    count_searches,
)
from nightpress.costs.text_sizes import measure_requests
from nightpress.errors import BudgetError, ConfigurationError, ResultsError
from nightpress.folders import RunFolder
from nightpress.storage import StoragePath, write_atomically

PLAN_VERSION = 1
"""Version of the record. Adding fields keeps it; a change that an older reader would misread raises it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may cost, in USD; None allows anything.

    :param max_cost_usd: a plan whose upper bound is above it fails before the first POST.
    :param approve_above_usd: a plan whose upper bound is above it waits for a person.
    :raises ConfigurationError: an amount is not above 0.
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
class ModelCost:
    """What the same run would cost with a model, in USD at batch prices."""

    model: str
    expected_usd: float | None
    upper_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is going to do. Holds numbers and names, never text of an article or a prompt.

    :param articles: that were read and can be sent or reused.
    :param to_send: of those, in shards without a batch yet.
    :param attached: of those, in shards that have a batch already, or may have one: a POST has no known outcome.
    :param reused: of those, with an answer that was paid for before.
    :param cut: of those, shortened to ``max_content_chars``; only their beginning is sent.
    :param rejected: rows that are not sent, by reason.
    :param max_tokens: of an answer.
    :param room_tokens: added to the request's ``max_tokens`` for thinking.
    :param thinking: what is asked for, such as ``off``.
    :param cost_upper_usd: USD at batch prices if every answer uses all its ``max_tokens``; None when the
        model's price is not known or nothing bounds the cost.
    :param request_upper_usd: the same for the largest single request.
    :param room_upper_usd: the part of ``cost_upper_usd`` that is room for thinking.
    :param settled_usd: the most that the day's batches cost that were collected before this plan was made;
        ``cost_upper_usd`` does not include it. None in records of earlier versions.
    :param uncounted: shards that the amounts leave out, because a batch of another day has them and was not collected;
        None in plans of earlier versions.
    :param template: SHA-256 of the model, the prompt and its settings; tells whether they changed.
    :param cached_tokens: most input tokens of each request that may be written to the prompt cache.
    :param reused_files: how many ``reused-*.parquet`` there are in the run's folder.
    :param other_models: what the same run would cost with the other models of the catalogue.
    :param us_possible: inference in the US is possible, and costs more.
    :param asks: what each request holds, in words: lengths and names of fields, never text.
    :param schema_version: of the record.
    :param unknown_fields: fields of a record that this version does not know; they are kept.
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
    room_tokens: int = 0
    thinking: str = "off"
    effort: str | None = None
    betas: Sequence[str] = field(default_factory=tuple)
    cut: int = 0
    request_upper_usd: float | None = None
    us_possible: bool = False
    asks: str = ""
    other_models: Sequence[ModelCost] = field(default_factory=tuple)
    room_upper_usd: float | None = None
    settled_usd: float | None = None
    uncounted: Sequence[str] | None = None
    schema_version: int = PLAN_VERSION
    unknown_fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """Articles that go to a model: those to send, and those submitted before."""
        return self.to_send + self.attached

    @property
    def request_max_tokens(self) -> int:
        """``max_tokens`` of a request: the answer's, and room for thinking."""
        return self.max_tokens + self.room_tokens

    @property
    def ceiling_usd(self) -> float:
        """USD that all of the run's batches may cost, a second round included; infinite when nothing limits it.

        The plan's upper bound is a promise, so a second round must fit into what the first round leaves of it.
        """
        limits = [inf if self.max_cost_usd is None else self.max_cost_usd]
        if self.cost_upper_usd is not None and self.settled_usd is not None:
            limits.append(self.cost_upper_usd + self.settled_usd)
        return min(limits)

    @property
    def over_budget(self) -> bool:
        """True when it may cost more than was allowed; an unknown price is above every limit.

        When nothing new would be sent, stopping saves nothing: batches that were sent are still found and collected,
        and a second round keeps to the budget by itself (:attr:`ceiling_usd`).
        """
        return self.to_send > 0 and self.may_exceed_budget

    @property
    def may_exceed_budget(self) -> bool:
        """True when all requests, those sent and paid before included, may cost more than was allowed."""
        return self._may_exceed(self.max_cost_usd, self.settled_usd or 0.0)

    @property
    def needs_approval(self) -> bool:
        """True when a person must agree first; an unknown price is above every limit."""
        return self._may_exceed(self.approve_above_usd)

    @property
    def verdict(self) -> str:
        """What happens to the plan, in words."""
        if self.over_budget:
            return f"over the budget of {dollars(self.max_cost_usd)}: nothing is sent"
        if self.plan_only:
            return "plan only: nothing is sent"
        if not self.asked:
            return "nothing to send"
        return "waits for approval" if self.needs_approval else "goes on"

    @property
    def upper_usd_each(self) -> float:
        """The most that one article may cost on average, in USD; infinite when it is not known."""
        return inf if self.cost_upper_usd is None else self.cost_upper_usd / max(self.asked, 1)

    def _may_exceed(self, limit_usd: float | None, paid_usd: float = 0.0) -> bool:
        if limit_usd is None or not self.asked:
            return False
        return (inf if self.cost_upper_usd is None else self.cost_upper_usd + paid_usd) > limit_usd

    @property
    def _kept_in_words(self) -> str:
        if not self.attached:
            return ""
        return (
            f" {self.attached:,} of them were submitted before: they are collected, and not paid for again"
            + (f"; {dollars(self.settled_usd)} was paid for them." if self.settled_usd else ".")
        )

    def check_budget(self) -> None:
        """Refuse a plan that may cost more than was allowed, unless it sends nothing.

        :raises BudgetError: with the amounts and what can be done.
        """
        if self.plan_only or self.max_cost_usd is None or not self.over_budget:
            return
        if self.cost_upper_usd is None:
            raise BudgetError(
                f"the price of {self.model} is not known, so it is unclear whether {self.to_send:,} articles stay "
                f"within max_cost_usd={self.max_cost_usd:g}. Nothing was sent. Choose a model with a known price, or "
                "leave max_cost_usd empty."
            )
        upper_usd = self.cost_upper_usd + (self.settled_usd or 0.0)
        raise BudgetError(
            f"{self.asked:,} articles may cost up to {dollars(upper_usd)} (expected "
            f"{dollars(self.cost_expected_usd)}), more than max_cost_usd={self.max_cost_usd:g}. Nothing was sent. "
            f"Set limit, lower max_tokens ({self.max_tokens}), choose a cheaper model, or raise max_cost_usd."
            f"{self._kept_in_words}"
        )


def second_round_upper(plan: Plan, articles: int, size_bytes: int) -> float:
    """Return the most that sending some articles again may cost, in USD; infinite when the price is not known.

    :param size_bytes: of the POST body; no text has more tokens than bytes. An answer may get twice the tokens.
    """
    prices = find_prices(plan.model)
    if prices is None:
        return inf
    price = prices.batch[-1]
    profile = RequestProfile(plan.model, plan.max_tokens, us_possible=plan.us_possible)
    once_more = (size_bytes * price.input + 2 * plan.request_max_tokens * articles * price.output) / 1e6
    once_more += plan.cached_tokens * articles * cache_surcharge(price)
    return once_more * profile.us_factor


def again_upper_usd(plan: Plan, requests: Sequence[bytes]) -> float:
    """Return the most that sending these requests may cost, in USD; infinite when it is not known.

    :param requests: params of each, as they are sent again.
    """
    prices, decoded = find_prices(plan.model), [msgspec.json.decode(params) for params in requests]
    searches = [count_searches(params) for params in decoded]
    if prices is None or any(count is None for count in searches):
        return inf
    sizes = measure_requests(requests)
    tools, typed = (any(name in params for params in decoded) for name in ("tools", "output_config"))
    profile = RequestProfile(
        plan.model,
        max_tokens=0,
        caches_all=any(b'"cache_control"' in params for params in requests),
        added_tokens=FRAMING_TOKENS + (TOOL_TOKENS if tools else 0) + (FORMAT_TOKENS if typed else 0),
        searches=max((count or 0 for count in searches), default=0),
        us_possible=plan.us_possible,
    )
    price = prices.batch[-1] if sizes.long_requests or profile.searches else prices.batch[0]
    tokens = sum(int(params["max_tokens"]) for params in decoded)
    output = tokens * price.output / 1e6 * profile.us_factor
    return (estimate(sizes, profile).upper_usd or 0.0) + output


def write_plan(plan: Plan, folder: StoragePath) -> StoragePath:
    """Store a plan as ``plan.json`` in its run's folder; return where."""
    path = RunFolder(folder).plan
    write_atomically(path, msgspec.json.format(msgspec.json.encode(plan_values(plan)), indent=2))
    return path


def plan_values(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values, with its verdict: for JSON, XCom and pages."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(plan))
    return {**values.pop("unknown_fields"), **values, "verdict": plan.verdict}


def read_plan(values: Mapping[str, Any]) -> Plan:
    """Read a plan from what :func:`plan_values` returned, in this version or an earlier one.

    :raises ResultsError: the values are not a plan, or one of a newer version.
    """
    version = values.get("schema_version", 1)
    if not isinstance(version, int) or version > PLAN_VERSION:
        raise ResultsError(
            f"the plan is a record of version {version!r:.20}; this Nightpress reads versions up to {PLAN_VERSION}: "
            "upgrade it, or plan the run again"
        )
    names = {part.name for part in fields(Plan)} - {"unknown_fields"}
    known = {name: value for name, value in values.items() if name in names}
    unknown_fields = {
        name: value for name, value in values.items() if name not in names and name != "verdict"
    }
    try:
        return msgspec.convert(known | {"unknown_fields": unknown_fields}, Plan, strict=False)
    except msgspec.ValidationError as error:
        raise ResultsError(f"this is not the plan of a run: {error}. Plan the run again") from None
