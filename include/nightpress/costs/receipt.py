"""The receipt of a day: the cost of each batch, the savings, and the cost of answers that were not used.

A day may be run more than once. Its receipt keeps every batch that was paid for it, each once, so that the
sum of all receipts is what the API billed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

RECEIPT_VERSION = 1
"""Version of the record. Adding fields keeps it; a change that an older reader would misread raises it."""


class BatchReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The counts and the cost of one batch.

    :param run: the run that collected it first.
    :param round: 1 or 2.
    :param reused: paid for by another day or pipeline; costs nothing here.
    :param by_status: requests by outcome.
    :param paid_usd: None when the cost of any request is not known.
    :param known_paid_usd: for the requests whose cost is known; None in records of earlier versions.
    :param unknown_requests: requests whose cost is not known.
    :param output_tokens: those of thinking included.
    :param geographies: where inference ran, as the answers said.
    :param cache_saved_usd: what prompt caching saved, at batch prices.
    :param unknown_fields: fields of the record that this version does not know; they are kept.
    :param submitted_at: when the POST was accepted, or the batch adopted; None when not recorded.
    """

    batch_id: str
    shard_key: str
    run: str = ""
    round: int = 1
    reused: bool = False
    requests: int = 0
    by_status: Mapping[str, int] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    list_usd: float | None = None
    paid_usd: float | None = None
    cache_saved_usd: float | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    thinking_tokens: int = 0
    known_paid_usd: float | None = None
    unknown_requests: int = 0
    web_searches: int = 0
    geographies: Sequence[str] = ()
    unknown_fields: Mapping[str, Any] = {}


class DayReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of a day, in USD.

    :param run: the last run that published the day.
    :param template: digest of that run's prompt and settings.
    :param numbers: counts of that run's publication: articles, succeeded, failed by kind, rejected, reused.
    :param paid_usd: the sum of the batches; None when the cost of any request is not known.
    :param known_paid_usd: the known part of that sum, which is the least that was paid.
    :param unknown_requests: requests whose cost is not known.
    :param saved_usd: list price less what was paid.
    :param wasted_usd: paid for answers that a second round replaced.
    :param wasted_by_run: the same by run.
    :param schema_version: of the record.
    :param unknown_fields: fields of the record that this version does not know; they are kept.
    """

    pipeline: str
    day: str
    run: str
    offline: bool
    published_at: datetime | None = None
    template: str = ""
    numbers: Mapping[str, Any] = {}
    list_usd: float | None
    paid_usd: float | None
    saved_usd: float | None
    cache_saved_usd: float | None
    wasted_usd: float | None
    wasted_by_run: Mapping[str, float | None] = {}
    known_paid_usd: float | None = None
    unknown_requests: int = 0
    schema_version: int = RECEIPT_VERSION
    unknown_fields: Mapping[str, Any] = {}
    batches: Sequence[BatchReceipt]


def make_receipt(
    batches: Sequence[BatchReceipt],
    *,
    pipeline: str,
    day: str,
    run: str,
    offline: bool,
    wasted_usd: float | None,
    **about: Any,
) -> DayReceipt:
    """Add up a day's batches.

    :param about: ``published_at``, ``template`` and ``numbers`` of :class:`DayReceipt`.
    """
    listed = total(batch.list_usd for batch in batches)
    paid = total(batch.paid_usd for batch in batches)
    return DayReceipt(
        pipeline=pipeline,
        day=day,
        run=run,
        offline=offline,
        batches=batches,
        list_usd=listed,
        paid_usd=paid,
        known_paid_usd=sum(known_paid(batch) or 0.0 for batch in batches),
        unknown_requests=sum(batch.unknown_requests for batch in batches),
        saved_usd=None if listed is None or paid is None else listed - paid,
        cache_saved_usd=total(batch.cache_saved_usd for batch in batches),
        wasted_usd=wasted_usd,
        **{"wasted_by_run": {run: wasted_usd}} | about,
    )


def add_earlier(receipt: DayReceipt, earlier: DayReceipt) -> DayReceipt:
    """Add the batches that only earlier runs of the day used to a receipt, and return it."""
    now = {batch.batch_id: batch for batch in receipt.batches}
    # A batch stays with the run that collected it first.
    kept = [
        msgspec.structs.replace(now.pop(batch.batch_id), run=batch.run) if batch.batch_id in now else batch
        for batch in earlier.batches
    ]
    wasted = dict(earlier.wasted_by_run or {earlier.run: earlier.wasted_usd})
    wasted |= {
        run: usd
        for run, usd in receipt.wasted_by_run.items()
        if usd != 0 or not _was_read_again(run, receipt, earlier)
    }
    last = earlier if receipt.published_at is None else receipt
    return make_receipt(
        [*kept, *now.values()],
        pipeline=receipt.pipeline,
        day=receipt.day,
        run=last.run,
        offline=receipt.offline,
        wasted_usd=total(wasted.values()),
        wasted_by_run=wasted,
        published_at=last.published_at,
        template=last.template,
        numbers=last.numbers,
        unknown_fields={**earlier.unknown_fields, **receipt.unknown_fields},
    )


def _was_read_again(run: str, receipt: DayReceipt, earlier: DayReceipt) -> bool:
    """Return whether a run that has published was cleared: it found its own answers, and its batches not again."""
    now = {batch.batch_id for batch in receipt.batches}
    return any(batch.run == run and batch.batch_id not in now for batch in earlier.batches)


def batch_receipt(results: Mapping[str, Any], run: str = "") -> BatchReceipt:
    """Return the receipt of a batch from the result of collecting its shard."""
    return BatchReceipt(
        batch_id=results["batch_id"],
        shard_key=results["key"],
        run=run,
        round=results["round"],
        reused=results["reused"],
        requests=results["articles"],
        by_status=results["by_status"],
        input_tokens=results["input_tokens"],
        output_tokens=results["output_tokens"],
        cache_creation_input_tokens=results["cache_creation_input_tokens"],
        cache_read_input_tokens=results["cache_read_input_tokens"],
        list_usd=results["list_cost_usd"],
        paid_usd=results["cost_usd"],
        cache_saved_usd=results["cache_saved_usd"],
        submitted_at=_moment(results.get("submitted_at")),
        ended_at=_moment(results.get("ended_at")),
        thinking_tokens=results.get("thinking_tokens") or 0,
        known_paid_usd=results.get("known_cost_usd", results["cost_usd"]),
        unknown_requests=results.get("unknown_cost_requests") or 0,
        web_searches=results.get("web_searches") or 0,
        geographies=tuple(results.get("geographies") or ()),
    )


def known_paid(batch: BatchReceipt) -> float | None:
    """Return the known part of a batch's cost; None when nothing is known."""
    return batch.paid_usd if batch.known_paid_usd is None else batch.known_paid_usd


def total(amounts: Iterable[float | None]) -> float | None:
    """Add up amounts; an unknown amount makes the sum unknown."""
    known = list(amounts)
    return None if any(amount is None for amount in known) else sum(amount or 0.0 for amount in known)


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else text
