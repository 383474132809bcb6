"""Figures of a comparison of variants: cost, length, agreement, and articles on which they differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightpress.costs.receipt import DayReceipt
from nightpress.days.day_sources import OFFLINE
from nightpress.days.side_by_side import AFTER_TYPED, BEFORE_TYPED, CHOICES, VARIANTS
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.reports.comparison.agreement import Agreement, Difference, Tally, numbers
from nightpress.reports.stored_days import find_receipt, open_answers
from nightpress.statuses import STATUSES, SUCCEEDED, most_frequent
from nightpress.storage import StoragePath

BATCH_SHARE = 0.5
"""Batch price divided by list price (API documentation, "Message Batches: pricing")."""

_ROWS = 2_000
_NOT_BILLED = pa.array([name for name, status in STATUSES.items() if status.billed == "no"])
_OURS = {*BEFORE_TYPED, *AFTER_TYPED}


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 95th percentile of a number over all answers; None if there are no answers."""

    median: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """Figures of a variant.

    :param failed: articles without an answer, by the API's error type or the status.
    :param absent: articles of other variants that this one does not have.
    :param reused: of the answers, those paid for earlier.
    :param per_thousand_usd: cost of 1,000 of its articles at batch prices, with reused answers; None if the
        price of a model is unknown, or the API processed no article: without a bill nothing tells what they cost.
    :param paid_usd: USD paid over all runs of its day, from the receipt; None if unknown.
    :param known_paid_usd: the known part of it.
    :param unknown_requests: requests whose cost is unknown.
    :param output_tokens: tokens of the answers that tell them.
    :param characters: length of the answer's text in characters.
    """

    variant: str
    pipeline: str
    articles: int
    answered: int
    failed: Mapping[str, int]
    absent: int
    reused: int
    models: Sequence[str]
    per_thousand_usd: float | None
    paid_usd: float | None
    known_paid_usd: float | None
    unknown_requests: int
    cache_saved_usd: float | None
    output_tokens: Spread
    characters: Spread


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a day.

    :param agreements: by typed column that all variants have with the same type; without any, of the text.
    :param typed: names of the typed columns by variant.
    :param differences: articles on which the variants differ most: first by number of columns and variants,
        then by length of the text; articles that only some variants answered come last.
    """

    name: str
    day: str
    articles: int
    offline: bool
    variants: Sequence[VariantFigures]
    agreements: Sequence[Agreement]
    typed: Mapping[str, Sequence[str]]
    differences: Sequence[Difference]


def read_comparison(root: DataRoot, name: str, day: str) -> Comparison:
    """Compute a comparison from its Parquet file and the receipts of its pipelines, a piece at a time.

    :raises FileNotFoundError: there is no such comparison.
    :raises ResultsError: its file is damaged.
    """
    path = root.comparison(name, day)
    try:
        return _read(root, name, day, path)
    except (ResultsError, KeyError) as error:
        raise ResultsError(
            f"the comparison {path} cannot be read ({type(error).__name__}). Compare the day again, which pays "
            "nothing, or remove the file.",
            code="comparison_damaged",
        ) from error


def _read(root: DataRoot, name: str, day: str, path: StoragePath) -> Comparison:
    with open_answers(path) as file:
        schema = file.schema_arrow
        about = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        pipelines: dict[str, str] = msgspec.json.decode(about[VARIANTS])
        typed = {variant: _typed(schema.field(variant).type) for variant in pipelines}
        compared = _compared(schema, typed)
        sums = {variant: _Sums() for variant in pipelines}
        tally = Tally(list(pipelines), compared)
        for batch in _iter_batches(file, pipelines):
            columns = {variant: batch.column(variant) for variant in pipelines}
            for variant, sum_up in sums.items():
                sum_up.add(columns[variant])
            tally.add(batch, columns)
        articles = file.metadata.num_rows
    receipts = {variant: find_receipt(root, pipeline, day) for variant, pipeline in pipelines.items()}
    return Comparison(
        name=name,
        day=day,
        articles=articles,
        offline=about.get(OFFLINE) == "yes",
        variants=[
            sums[variant].figures(variant, pipeline, articles, receipts[variant])
            for variant, pipeline in pipelines.items()
        ],
        agreements=tally.agreements(),
        typed=typed,
        differences=tally.differences(),
    )


def read_comparisons(root: DataRoot, day: str, pipelines: Collection[str]) -> list[Comparison]:
    """Return the comparisons of a day with at least one of these pipelines, in order of their names."""
    found = []
    for name in root.comparison_names():
        if root.comparison(name, day).exists():
            comparison = read_comparison(root, name, day)
            if any(each.pipeline in pipelines for each in comparison.variants):
                found.append(comparison)
    return found


def _iter_batches(file: pq.ParquetFile, variants: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    # Select by path, because a struct's field may have the same name as an article's column.
    yield from file.iter_batches(_ROWS, columns=["article_id", "title", *variants])


def _typed(kind: pa.StructType) -> list[str]:
    return [field.name for field in kind if field.name not in _OURS]


def _compared(schema: pa.Schema, typed: Mapping[str, Sequence[str]]) -> dict[str, bool]:
    """Return the typed columns that all have with the same type, else the text; True marks free text."""
    first, *others = (schema.field(variant).type for variant in typed)
    names = [
        name
        for name in typed[next(iter(typed))]
        if all(
            kind.get_field_index(name) >= 0 and kind.field(name).type.equals(first.field(name).type)
            for kind in others
        )
    ]
    return {name: _is_free_text(first.field(name)) for name in names or ["text"]}


def _is_free_text(field: pa.Field) -> bool:
    return pa.types.is_string(field.type) and CHOICES not in (field.metadata or {})


@dataclass(slots=True)
class _Sums:
    """Totals of a variant's rows; two numbers per answer are kept for the medians."""

    articles: int = 0
    processed: int = 0
    answered: int = 0
    reused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)
    cost: float = 0.0
    unknown: bool = False
    tokens: list[np.ndarray] = field(default_factory=list)
    characters: list[np.ndarray] = field(default_factory=list)

    def add(self, rows: pa.StructArray) -> None:
        rows = rows.filter(rows.is_valid())
        status = rows.field("status")
        answered = pc.equal(status, SUCCEEDED)
        reused = pc.fill_null(rows.field("reused"), False)
        self.articles += len(rows)
        self.processed += len(rows) - (pc.sum(pc.is_in(status, value_set=_NOT_BILLED)).as_py() or 0)
        self.answered += pc.sum(answered).as_py() or 0
        self.reused += pc.sum(pc.and_(reused, answered)).as_py() or 0
        kinds = pc.coalesce(rows.field("error_type"), status).filter(pc.invert(answered))
        self.failed.update(kinds.to_pylist())
        self.models.update(model for model in pc.unique(rows.field("model")).to_pylist() if model)
        # A reused answer costs nothing again, so its value is half of its list price.
        worth = pc.multiply(rows.field("list_cost_usd"), BATCH_SHARE)
        costs = pc.if_else(reused, worth, rows.field("cost_usd"))
        self.unknown |= bool(costs.null_count)
        self.cost += pc.sum(costs).as_py() or 0.0
        # An unknown number is no 0, which would lower the median.
        self.tokens.append(numbers(rows.field("output_tokens").filter(answered).drop_null()))
        self.characters.append(numbers(pc.utf8_length(rows.field("text").filter(answered)).drop_null()))

    def figures(
        self, variant: str, pipeline: str, articles: int, receipt: DayReceipt | None
    ) -> VariantFigures:
        known = self.processed and not self.unknown
        return VariantFigures(
            variant=variant,
            pipeline=pipeline,
            articles=self.articles,
            answered=self.answered,
            failed=most_frequent(self.failed),
            absent=articles - self.articles,
            reused=self.reused,
            models=sorted(self.models),
            per_thousand_usd=1_000 * self.cost / self.articles if known else None,
            paid_usd=receipt.paid_usd if receipt else None,
            known_paid_usd=receipt.known_paid_usd if receipt else None,
            unknown_requests=receipt.unknown_requests if receipt else 0,
            cache_saved_usd=receipt.cache_saved_usd if receipt else None,
            output_tokens=_spread(self.tokens),
            characters=_spread(self.characters),
        )


def _spread(parts: Sequence[np.ndarray]) -> Spread:
    values = np.concatenate(parts) if parts else np.empty(0)
    if not len(values):
        return Spread()
    median, p95 = np.percentile(values, [50, 95])
    return Spread(float(median), float(p95))
