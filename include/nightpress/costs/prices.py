"""Unit prices of a model, taken once from ``genai-prices`` and multiplied by columns of tokens.

The library answers for one call in a quarter of a millisecond, so its prices are taken once per
model and multiplied here. Batch prices are asked for by ``price_context={"processing": "batch"}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntColumn = npt.NDArray[np.int64]
    FloatColumn = npt.NDArray[np.float64]

_KINDS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """USD per million tokens, by kind; from ``above_tokens`` of input on, all tokens pay this price."""

    above_tokens: int
    input: float
    output: float
    cache_read: float
    cache_write_5m: float
    cache_write_1h: float


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """What a model costs in a batch and at the list price.

    :param batch: tiers in rising order of ``above_tokens``; the first is the base price (0).
    :param list_price: the same without the batch discount.
    """

    model: str
    batch: tuple[UnitPrices, ...]
    list_price: tuple[UnitPrices, ...]


@lru_cache(maxsize=64)
def find_prices(model: str) -> ModelPrices | None:
    """Return the prices of ``model``, or None when they are not known (never a price of 0)."""
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=1, output_tokens=1)
    try:
        at_list = calc_price(usage, model, provider_id="anthropic")
        in_batch = calc_price(usage, model, provider_id="anthropic", price_context={"processing": "batch"})
    except LookupError:
        return None
    return ModelPrices(model, _tiers(in_batch.model_price), _tiers(at_list.model_price))


@dataclass(frozen=True, slots=True)
class TokenColumns:
    """Billed tokens, one entry a row, by kind. ``input`` leaves out what was read or written by the cache."""

    input: IntColumn
    output: IntColumn
    cache_read: IntColumn
    cache_write_5m: IntColumn
    cache_write_1h: IntColumn


def cost_column(tokens: TokenColumns, tiers: tuple[UnitPrices, ...]) -> FloatColumn:
    """Multiply columns of tokens by unit prices: USD, one entry a row."""
    import numpy as np

    cost = _at(tokens, tiers[0])
    if len(tiers) > 1:
        prompt = tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h
        for tier in tiers[1:]:
            cost = np.where(prompt > tier.above_tokens, _at(tokens, tier), cost)
    return cost


def _at(tokens: TokenColumns, price: UnitPrices) -> FloatColumn:
    micro_usd: FloatColumn = (
        tokens.input * price.input
        + tokens.output * price.output
        + tokens.cache_read * price.cache_read
        + tokens.cache_write_5m * price.cache_write_5m
        + tokens.cache_write_1h * price.cache_write_1h
    )
    return micro_usd / 1e6


def _tiers(model_price: Any) -> tuple[UnitPrices, ...]:
    fields = {
        "input": model_price.input_mtok,
        "output": model_price.output_mtok,
        "cache_read": model_price.cache_read_mtok,
        "cache_write_5m": model_price.cache_write_5m_mtok or model_price.cache_write_mtok,
        "cache_write_1h": model_price.cache_write_1h_mtok or model_price.cache_write_mtok,
    }
    starts = {0} | {tier.start for price in fields.values() for tier in getattr(price, "tiers", ())}
    return tuple(
        UnitPrices(above_tokens=start, **{kind: _price_at(fields[kind], start) for kind in _KINDS})
        for start in sorted(starts)
    )


def _price_at(price: Any, start: int) -> float:
    if price is None:
        return 0.0
    if isinstance(price, Decimal):
        return float(price)
    applicable = price.base
    for tier in price.tiers:
        if tier.start <= start and start > 0:
            applicable = tier.price
    return float(applicable)
