"""Compute the most that hand-made requests may cost, before any is sent.

The requests are complete, so the bound needs no prompt template: each request's text has at most as many
tokens as :mod:`nightpress.costs.estimate` allows, and its answer at most ``max_tokens``. Anything whose cost
the text does not bound (an image, a file, a server tool without ``max_uses``, a model without a known price)
makes the bound unknown, and an unknown amount exceeds every budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from nightpress.costs.estimate import estimate
from nightpress.costs.money import dollars
from nightpress.costs.request_profile import (
    FORMAT_TOKENS,
    FRAMING_TOKENS,
    TOOL_TOKENS,
    RequestProfile,
    count_searches,
)
from nightpress.costs.text_sizes import RequestSizes, measure_requests
from nightpress.errors import BudgetError, ResultsError
from nightpress.models.lookup import get_model
from nightpress.models.parameters import GEOGRAPHIES
from nightpress.storage import INVALID_JSON, StoragePath, write_atomically

_MEASURED_AT_ONCE = 500
_TEXT_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_HELD = ("speed", "container", "mcp_servers", "context_management", "fallbacks")
"""Parameters whose cost cannot be derived from the text."""


@dataclass(frozen=True, slots=True)
class GivenPlan:
    """The most that the requests of one batch may cost.

    :param models: number of requests by model.
    :param input_tokens_upper: upper bound for all requests; None if something other than text is sent.
    :param output_tokens_upper: upper bound for all requests: every answer uses its whole ``max_tokens``.
    :param cost_upper_usd: USD at batch prices; None if unbounded or unknown.
    :param unbounded: why the cost is not bounded, in words; empty if it is.
    """

    requests: int
    models: Mapping[str, int]
    input_tokens_upper: int | None
    output_tokens_upper: int
    cost_upper_usd: float | None
    unbounded: str = ""

    def to_values(self) -> dict[str, Any]:
        """Return the plan as plain values, for XCom."""
        return asdict(self)

    def check_budget(self, max_cost_usd: float | None) -> None:
        """Refuse requests that may exceed the budget.

        :param max_cost_usd: USD; None allows everything.
        :raises BudgetError: they may exceed it; an unknown amount exceeds every budget.
        """
        if max_cost_usd is None or (self.cost_upper_usd is not None and self.cost_upper_usd <= max_cost_usd):
            return
        if self.cost_upper_usd is None:
            raise BudgetError(
                f"it is unclear what {self.requests:,} requests may cost ({self.unbounded}), so not whether they "
                f"stay within max_cost_usd={max_cost_usd:g}. Nothing was sent. Leave that out of the requests, or "
                "leave max_cost_usd empty."
            )
        raise BudgetError(
            f"{self.requests:,} requests may cost up to {dollars(self.cost_upper_usd)}, more than "
            f"max_cost_usd={max_cost_usd:g}. Nothing was sent. Send fewer requests, lower their max_tokens, choose a "
            "cheaper model, or raise max_cost_usd."
        )


class GivenCost:
    """Adds up the cost bounds of requests one by one, without holding them in memory."""

    def __init__(self) -> None:
        self._waiting: dict[RequestProfile, list[bytes]] = {}
        self._sizes: dict[RequestProfile, RequestSizes] = {}
        self._unbounded = ""

    def add(self, params: Mapping[str, Any], encoded: bytes) -> None:
        """Add a request.

        :param encoded: its params as canonical JSON.
        :raises ConfigurationError: the model id is a likely misspelling of a known one.
        """
        profile = _ask(params, encoded)
        if not self._unbounded:
            self._unbounded = _find_unbounded(params, profile)
        waiting = self._waiting.setdefault(profile, [])
        waiting.append(encoded)
        if len(waiting) >= _MEASURED_AT_ONCE:
            self._measure(profile)

    def _measure(self, profile: RequestProfile) -> None:
        found = measure_requests(self._waiting.pop(profile, []))
        self._sizes[profile] = self._sizes.get(profile, RequestSizes()) + found

    def plan(self) -> GivenPlan:
        """Return the most that all requests may cost."""
        for profile in list(self._waiting):
            self._measure(profile)
        models: dict[str, int] = {}
        tokens, answers, usd, unbounded = 0, 0, 0.0, self._unbounded
        for profile, sizes in self._sizes.items():
            cost = estimate(sizes, profile)
            models[profile.model] = models.get(profile.model, 0) + sizes.requests
            tokens += cost.input_upper
            answers += cost.output_upper
            if cost.upper_usd is None:
                unbounded = unbounded or f"the price of {profile.model} is not known"
            else:
                usd += cost.upper_usd
        return GivenPlan(
            sum(models.values()),
            models,
            None if self._unbounded else tokens,
            answers,
            None if unbounded else usd,
            unbounded,
        )


def write_given_plan(plan: GivenPlan, path: StoragePath) -> None:
    """Store a plan."""
    write_atomically(path, msgspec.json.encode(plan))


def read_given_plan(path: StoragePath, requests: int) -> GivenPlan:
    """Read a stored plan; without one, as from an earlier version, the cost is unbounded.

    :raises ResultsError: the plan is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=GivenPlan)
    except FileNotFoundError:
        return GivenPlan(requests, {}, None, 0, None, "they were staged by an earlier version")
    except INVALID_JSON as error:
        raise ResultsError(f"the plan {path} cannot be read ({error}); nothing was sent") from None


def _ask(params: Mapping[str, Any], encoded: bytes) -> RequestProfile:
    tools, geography = params.get("tools"), params.get("inference_geo")
    typed = bool(params.get("output_config") or params.get("output_format"))
    return RequestProfile(
        get_model(params["model"]).id,
        params["max_tokens"],
        caches_all=b'"cache_control"' in encoded,
        added_tokens=FRAMING_TOKENS + (TOOL_TOKENS if tools else 0) + (FORMAT_TOKENS if typed else 0),
        searches=count_searches(params),
        us_expected=geography == "us",
        us_possible=geography in {None, "us"},
    )


def _find_unbounded(params: Mapping[str, Any], profile: RequestProfile) -> str:
    """Return the part of a request whose cost its text does not bound; empty if there is none."""
    held = [name for name in _HELD if params.get(name)]
    if held:
        return f"a request sets {held[0]}"
    if params.get("inference_geo") not in (None, *GEOGRAPHIES):
        return "a request asks for inference in a place without a known price"
    if profile.searches is None:
        return "a request lets the API use a tool as often as it likes"
    messages = params["messages"]
    contents = [message.get("content") for message in messages if isinstance(message, Mapping)]
    kinds = [*map(_other_than_text, contents), _other_than_text(params.get("system"))]
    return next((f"a request sends {kind}" for kind in kinds if kind), "")


def _other_than_text(content: object) -> str:
    """Return the type of the first block that is not text; empty if all blocks are text."""
    if content is None or isinstance(content, str):
        return ""
    if not isinstance(content, Sequence):
        return "something unknown"
    for block in content:
        kind = str(block.get("type", "")) if isinstance(block, Mapping) else ""
        if kind == "tool_result":
            found = _other_than_text(block.get("content"))
        else:
            found = "" if kind in _TEXT_BLOCKS or isinstance(block, str) else kind or "something unknown"
        if found:
            return f"{found:.40}"
    return ""
