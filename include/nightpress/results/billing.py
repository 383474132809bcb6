"""What the answers of a shard cost, and what the cache saved: columns of tokens times unit prices."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.costs.prices import TokenColumns, cost_column, find_prices

log = logging.getLogger(__name__)

TOKEN_COLUMNS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
"""Billed tokens by kind, as columns of the decoded answers; null where nothing was billed."""


def costs(answers: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Return USD paid and USD at list price; only succeeded requests are billed."""
    tokens = _tokens(answers)
    paid, listed = np.zeros(answers.num_rows), np.zeros(answers.num_rows)
    for model, rows in _iter_models(answers):
        prices = find_prices(model)
        if prices is None:
            log.warning("the price of model %s is not known; its cost is null", model)
            paid[rows] = listed[rows] = np.nan
        else:
            paid[rows] = cost_column(tokens, prices.batch)[rows]
            listed[rows] = cost_column(tokens, prices.list_price)[rows]
    return pa.array(paid, from_pandas=True), pa.array(listed, from_pandas=True)


def cache_saved(answers: pa.Table) -> float | None:
    """Return what the same tokens would have cost more without the cache, at batch prices."""
    tokens = _tokens(answers)
    nothing = np.zeros_like(tokens.input)
    plain = TokenColumns(
        input=tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h,
        output=tokens.output,
        cache_read=nothing,
        cache_write_5m=nothing,
        cache_write_1h=nothing,
    )
    saved = 0.0
    for model, rows in _iter_models(answers):
        prices = find_prices(model)
        if prices is None:
            return None
        difference = cost_column(plain, prices.batch) - cost_column(tokens, prices.batch)
        saved += float(difference[rows].sum())
    return saved


def _tokens(answers: pa.Table) -> TokenColumns:
    return TokenColumns(
        **{name: pc.fill_null(answers[name], 0).to_numpy().astype(np.int64) for name in TOKEN_COLUMNS}
    )


def _iter_models(answers: pa.Table) -> Iterator[tuple[str, Any]]:
    """Yield each model that answered, and which rows are its."""
    for model in pc.unique(answers["model"]).drop_null().to_pylist():
        yield model, pc.fill_null(pc.equal(answers["model"], model), False).to_numpy(zero_copy_only=False)
