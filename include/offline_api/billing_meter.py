"""What a request costs, by the vendor's rules (pages of pricing and batches, October 2026).

A batch halves all token prices, the prompt cache's included. Writing to the cache costs 1.25 times the
input price for five minutes and 2 times for an hour; reading costs a tenth or less, by model. Inference in the US
costs 1.1 times. A prompt above a model's limit changes the price of the whole request. A web search costs a cent and
is not halved; a web fetch is free. Only succeeded requests are billed; for a refusal before any
output it depends on the category.

Amounts are whole picodollars (10⁻¹² USD): every price here is a whole number of them, so sums are exact.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from offline_api.model_catalog import Model

FREE_REFUSALS = frozenset((None, "cyber", "general_harms"))
"""Categories of refusals that cost nothing when they come before any output."""

_PICO_PER_SEARCH = 10_000_000_000
_WRITE_5M_PERMILLE, _WRITE_1H_PERMILLE, _WHOLE = 1_250, 2_000, 1_000


class Bill(msgspec.Struct):
    """Tokens and cost of some requests.

    :param requests: number of billed requests.
    :param input_tokens: input neither written to the cache nor read from it.
    :param output_tokens: thinking included.
    :param free_refusals: succeeded requests that cost nothing.
    """

    requests: int = 0
    input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    web_searches: int = 0
    free_refusals: int = 0
    cost_picodollars: int = 0

    def add(self, other: Bill) -> None:
        """Add another bill to this one."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def prompt_tokens(self) -> int:
        """Return all tokens of the prompts."""
        written = self.cache_write_5m_tokens + self.cache_write_1h_tokens
        return self.input_tokens + written + self.cache_read_tokens

    def view(self) -> dict[str, Any]:
        """Return the bill as the meter shows it, its cost in dollars as a decimal string."""
        shown = msgspec.structs.asdict(self)
        cost = dollars(shown.pop("cost_picodollars"))
        return {**shown, "cost_usd": cost}


def dollars(picodollars: int) -> str:
    """Return an amount as an exact decimal string."""
    return f"{Decimal(picodollars).scaleb(-12):f}"


def bill_of(model: Model, message: dict[str, Any]) -> Bill:
    """Return what the message of a succeeded request costs.

    :param message: as in its result line; its usage must be complete.
    """
    usage = message["usage"]
    if _is_free(message):
        return Bill(free_refusals=1)
    written = usage["cache_creation"]
    bill = Bill(
        requests=1,
        input_tokens=usage["input_tokens"],
        cache_write_5m_tokens=written["ephemeral_5m_input_tokens"],
        cache_write_1h_tokens=written["ephemeral_1h_input_tokens"],
        cache_read_tokens=usage["cache_read_input_tokens"],
        output_tokens=usage["output_tokens"],
        thinking_tokens=usage["output_tokens_details"]["thinking_tokens"],
        web_searches=(usage["server_tool_use"] or {}).get("web_search_requests", 0),
    )
    bill.cost_picodollars = _cost(bill, model, in_us=usage["inference_geo"] == "us")
    return bill


def _is_free(message: dict[str, Any]) -> bool:
    refused = message["stop_reason"] == "refusal" and not message["content"]
    return refused and (message["stop_details"] or {}).get("category") in FREE_REFUSALS


def _cost(bill: Bill, model: Model, *, in_us: bool) -> int:
    input_cents, output_cents = model.input_cents, model.output_cents
    if model.long_prompt is not None and bill.prompt_tokens() > model.long_prompt.above_tokens:
        input_cents, output_cents = model.long_prompt.input_cents, model.long_prompt.output_cents
    inputs = (
        bill.input_tokens * _WHOLE
        + bill.cache_write_5m_tokens * _WRITE_5M_PERMILLE
        + bill.cache_write_1h_tokens * _WRITE_1H_PERMILLE
        + bill.cache_read_tokens * model.cache_read_permille
    )
    tenths = 11 if in_us and model.geography else 10
    # A cent per million tokens is 10,000 picodollars per token; halved, in thousandths, in tenths for geography.
    tokens = (inputs * input_cents + bill.output_tokens * _WHOLE * output_cents) * tenths // 2
    return tokens + bill.web_searches * _PICO_PER_SEARCH
