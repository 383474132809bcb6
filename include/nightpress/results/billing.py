"""Compute the cost of a shard's answers and the cache savings: tokens times unit prices, for each row.

The vendor's rules (pricing page and release notes, October 2026):

* errored, canceled and expired requests are free; an answer is billed by its usage;
* a refusal before any output is free for some categories and billed for others; after output it is billed;
* if a prompt is above the model's limit, the whole request is billed at the price for long prompts;
* inference in the US costs 1.1 times as much, for models from 4.6 on; the answer's usage says where it ran;
* a web search costs $10 for 1,000, not halved in a batch.

An unknown amount is null, never 0. Causes: a missing line, an answer without token counts or without a model,
a model without a price, a refusal of a new category, cache writes of unknown lifetime, inference in a place
without a price, code that the API ran, a billed count that cannot be read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.costs.prices import TokenColumns, UnitPrices, cost_column, find_prices
from nightpress.costs.request_profile import ELSEWHERE, SEARCH_USD, US_FACTOR
from nightpress.models.lookup import find_model
from nightpress.plain_text import for_log
from nightpress.statuses import STATUSES

log = logging.getLogger(__name__)

TOKEN_COLUMNS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
"""Billed tokens by kind, as columns of the decoded answers; null where the answer does not state them."""

FREE_REFUSALS = ("cyber", "general_harms")
"""Refusal categories that are free before any output; a refusal without a category is free too."""

BILLED_REFUSALS = ("bio", "frontier_llm", "reasoning_extraction")
"""Refusal categories that are billed even before any output, since 24 September 2026."""

MAX_REQUEST_USD = 5_000.0
"""A higher amount for one request is a fault of its token counts, and counts as unknown. The ledger's bound for a
batch of 100,000 requests is a billion."""

_FREE = pa.array([name for name, status in STATUSES.items() if status.billed == "no"])
_UNKNOWN = pa.array([name for name, status in STATUSES.items() if status.billed == "unknown"])


def costs(answers: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Return the USD paid and the USD at list price of each row; null where unknown.

    :param answers: rows of :data:`nightpress.results.answer_columns.ANSWERS`.
    """
    tokens, factor, searches = _tokens(answers), _us_factor(answers), _numbers(answers, "web_searches")
    unknown, free = _is_unknown(answers), _is_free(answers)
    paid, listed = np.full(answers.num_rows, np.nan), np.full(answers.num_rows, np.nan)
    unpriced, assumed = [], []
    for model, rows in _iter_models(answers):
        prices = find_prices(model)
        if prices is None:
            unpriced.append(model)
            continue
        if prices.assumed:
            assumed.append(model)
        paid[rows] = (cost_column(tokens, prices.batch) * factor)[rows]
        listed[rows] = (cost_column(tokens, prices.list_price) * factor)[rows]
    _warn("the price of model %s is not known; its cost is null", unpriced)
    _warn("no batch price of model %s is known; half of its list price is taken", assumed)
    paid, listed = (
        np.where(free, 0.0, np.where(unknown, np.nan, usd + searches * SEARCH_USD)) for usd in (paid, listed)
    )
    # Comparisons with NaN are false, so an unknown amount stays unknown.
    paid, listed = (np.where(usd > MAX_REQUEST_USD, np.nan, usd) for usd in (paid, listed))
    return pa.array(paid, from_pandas=True), pa.array(listed, from_pandas=True)


def count_billable(answers: pa.Table) -> int:
    """Return how many requests were or may have been billed: all but those that certainly were not processed."""
    return int(answers.num_rows - _is_unprocessed(answers).sum())


def _warn(message: str, models: list[str]) -> None:
    """Log one line, however many models the API names."""
    if models:
        more = f" and {len(models) - _MODELS_NAMED:,} more" if len(models) > _MODELS_NAMED else ""
        log.warning(message, for_log(", ".join(models[:_MODELS_NAMED])) + more)


_MODELS_NAMED = 5


def cache_saved(answers: pa.Table) -> float | None:
    """Return the USD that the cache saved at batch prices; negative if it cost more than it saved."""
    tokens, factor = _tokens(answers), _us_factor(answers)
    nothing = np.zeros_like(tokens.input)
    plain = TokenColumns(
        input=tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h,
        output=tokens.output,
        cache_read=nothing,
        cache_write_5m=nothing,
        cache_write_1h=nothing,
    )
    counted = ~(_is_free(answers) | _is_unknown(answers) | np.isnan(factor))
    saved = 0.0
    for model, rows in _iter_models(answers):
        prices = find_prices(model)
        if prices is None:
            return None
        difference = _difference(plain, tokens, prices.batch) * factor
        saved += float(difference[rows & counted & (abs(difference) <= MAX_REQUEST_USD)].sum())
    return saved


def _difference(plain: TokenColumns, tokens: TokenColumns, tiers: tuple[UnitPrices, ...]) -> Any:
    return cost_column(plain, tiers) - cost_column(tokens, tiers)


def _is_free(answers: pa.Table) -> Any:
    """Tell which rows are free: requests that were not processed, and some refusals before any output."""
    category = answers["refusal_category"]
    refused = _flags(pc.equal(answers["stop_reason"], "refusal"))
    free = _flags(pc.or_(pc.is_null(category), pc.is_in(category, pa.array(FREE_REFUSALS))))
    return _is_unprocessed(answers) | (refused & free & _is_before_output(answers))


def _is_unprocessed(answers: pa.Table) -> Any:
    """Tell which requests were not processed; of a result of a new type, which is shown as errored, this is unknown."""
    return _flags(pc.is_in(answers["status"], _FREE)) & ~_flags(answers["unclear"])


def _is_unknown(answers: pa.Table) -> Any:
    category = answers["refusal_category"]
    known = pc.is_in(category, pa.array([*FREE_REFUSALS, *BILLED_REFUSALS]))
    refused = _flags(pc.equal(answers["stop_reason"], "refusal"))
    new = _flags(pc.and_(pc.is_valid(category), pc.invert(known)))
    untold = pc.or_(pc.is_null(answers["input"]), pc.is_null(answers["output"]))
    # Cache writes for five minutes and for an hour have different prices.
    untold = pc.or_(untold, pc.is_null(answers["cache_write_1h"]))
    return (
        _flags(pc.is_in(answers["status"], _UNKNOWN))
        | _flags(answers["unclear"])
        | _flags(untold)
        | (refused & new & _is_before_output(answers))
    )


def _is_before_output(answers: pa.Table) -> Any:
    """Tell which rows certainly have no output; a row with unknown output tokens may have some."""
    blank = pc.equal(pc.fill_null(pc.binary_length(answers["text"]), 0), 0)
    return _flags(pc.and_(blank, pc.equal(answers["output"], 0)))


def _us_factor(answers: pa.Table) -> Any:
    """Return the price factor of each row for the place of inference; always 1 for models before 4.6.

    It is NaN for a place that no price list names.
    """
    place = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(answers["inference_geo"], "")))
    elsewhere = _flags(pc.is_in(place, pa.array([*ELSEWHERE])))
    factor = np.where(_flags(pc.equal(place, "us")), US_FACTOR, np.where(elsewhere, 1.0, np.nan))
    for model, rows in _iter_models(answers):
        known = find_model(model)
        if known is not None and not known.geography:
            factor[rows] = 1.0
    return factor


def _tokens(answers: pa.Table) -> TokenColumns:
    return TokenColumns(**{name: _numbers(answers, name) for name in TOKEN_COLUMNS})


def _numbers(answers: pa.Table, name: str) -> Any:
    return pc.fill_null(answers[name], 0).to_numpy().astype(np.int64)


def _flags(condition: Any) -> Any:
    return np.asarray(pc.fill_null(condition, False).to_numpy(zero_copy_only=False), dtype=bool)


def _iter_models(answers: pa.Table) -> Iterator[tuple[str, Any]]:
    """Yield each model that answered, with its rows."""
    for model in pc.unique(answers["model"]).drop_null().to_pylist():
        yield model, _flags(pc.equal(answers["model"], model))
