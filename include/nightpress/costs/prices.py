"""Unit prices of a model, taken once from ``genai-prices`` and multiplied by columns of tokens.

The library needs a quarter of a millisecond for one call, so its prices are read once per model and
multiplied here. Batch prices are requested with ``price_context={"processing": "batch"}``.

The library matches ids by their beginnings, so ``claude-haiku-4.5`` would get another model's price: a price is
used only if it is for the requested model. Where the library has no batch price it returns the list price; a batch
then costs half of it (vendor's pricing page, October 2026), and :attr:`ModelPrices.assumed` is true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nightpress.models.catalogue import Model
from nightpress.models.lookup import find_model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntColumn = npt.NDArray[np.int64]
    FloatColumn = npt.NDArray[np.float64]

_KINDS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """USD per million tokens, by kind; all tokens of a request pay this if its input is above ``above_tokens``."""

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
    :param assumed: the batch prices are half of the list prices, because no batch price is known.
    """

    model: str
    batch: tuple[UnitPrices, ...]
    list_price: tuple[UnitPrices, ...]
    assumed: bool = False


@lru_cache(maxsize=64)
def find_prices(model: str) -> ModelPrices | None:
    """Return the prices of ``model``, or None when they are not known (never a price of 0)."""
    known = find_model(model)
    found = _library_prices(model if known is None else known.id)
    if found is not None:
        return replace(found, model=model)
    return None if known is None else _catalogue_prices(model, known)


BATCH_SHARE = 0.5
"""A batch halves all token prices, caching included (vendor's pricing page, October 2026)."""

CACHE_WRITE_5M, CACHE_WRITE_1H = 1.25, 2.0
"""Prices of tokens written to the prompt cache, as multiples of the input price (the same page)."""


def _library_prices(name: str) -> ModelPrices | None:
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=1, output_tokens=1)
    try:
        at_list = calc_price(usage, name, provider_id="anthropic")
        in_batch = calc_price(usage, name, provider_id="anthropic", price_context={"processing": "batch"})
        listed, batch = _tiers(at_list.model_price), _tiers(in_batch.model_price)
    except LookupError:
        return None
    if re.sub(r"-20\d{6}$", "", name) != at_list.model.id and name != at_list.model.id:
        return None
    if batch[0].output < listed[0].output:
        return ModelPrices(name, batch, listed)
    return ModelPrices(name, tuple(_scaled(tier, BATCH_SHARE) for tier in listed), listed, assumed=True)


def _catalogue_prices(name: str, model: Model) -> ModelPrices | None:
    """Return the prices of the catalogue, for a model that the library does not know."""
    if model.input_usd is None or model.output_usd is None:
        return None
    starts = [(0, model.input_usd, model.output_usd)]
    if model.long_prompt is not None:
        starts.append(
            (model.long_prompt.above_tokens, model.long_prompt.input_usd, model.long_prompt.output_usd)
        )
    listed = tuple(
        UnitPrices(
            above_tokens=above_tokens,
            input=input_usd,
            output=output_usd,
            cache_read=input_usd * model.cache_read_multiplier,
            cache_write_5m=input_usd * CACHE_WRITE_5M,
            cache_write_1h=input_usd * CACHE_WRITE_1H,
        )
        for above_tokens, input_usd, output_usd in starts
    )
    return ModelPrices(name, tuple(_scaled(tier, BATCH_SHARE) for tier in listed), listed)


def _scaled(price: UnitPrices, share: float) -> UnitPrices:
    return UnitPrices(price.above_tokens, *(share * getattr(price, kind) for kind in _KINDS))


@dataclass(frozen=True, slots=True)
class TokenColumns:
    """Billed tokens by kind, one entry a row. ``input`` excludes tokens read from or written to the cache."""

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
        "cache_write_1h": model_price.cache_write_1h_mtok,
    }
    starts = {0} | {tier.start for price in fields.values() for tier in getattr(price, "tiers", ())}
    return tuple(
        UnitPrices(above_tokens=start, **{kind: _kind_at(fields, kind, start) for kind in _KINDS})
        for start in sorted(starts)
    )


_SHARES = {"cache_read": 0.1, "cache_write_5m": CACHE_WRITE_5M, "cache_write_1h": CACHE_WRITE_1H}


def _kind_at(fields: dict[str, Any], kind: str, start: int) -> float:
    """Return the price of a kind; an unknown cache price follows the vendor's general rule."""
    if fields[kind] is None and kind in _SHARES:
        return _SHARES[kind] * _price_at(fields["input"], start)
    return _price_at(fields[kind], start)


def _price_at(price: Any, start: int) -> float:
    if price is None:
        raise LookupError("a model without a price for input or output")
    if isinstance(price, Decimal):
        return float(price)
    applicable = price.base
    for tier in price.tiers:
        if tier.start <= start and start > 0:
            applicable = tier.price
    return float(applicable)
