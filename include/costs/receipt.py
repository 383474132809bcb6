"""The receipt of a day: what each batch cost, what was saved, and what was paid for and not used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from include.storage import StoragePath, write_atomically


@dataclass(frozen=True, slots=True)
class BatchReceipt:
    """What one batch came to.

    :param round: 1 or 2.
    :param reused: paid for by another day or pipeline; costs nothing here.
    :param by_status: requests by outcome; only ``succeeded`` ones are billed.
    :param paid_usd: None when a model's price is not known.
    :param cache_saved_usd: what prompt caching saved, at batch prices.
    """

    batch_id: str
    shard_key: str
    round: int
    reused: bool
    requests: int
    by_status: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    list_usd: float | None
    paid_usd: float | None
    cache_saved_usd: float | None


@dataclass(frozen=True, slots=True)
class DayReceipt:
    """What a day came to, in USD.

    :param paid_usd: the sum of the batches; None when a model's price is not known.
    :param saved_usd: list price less what was paid.
    :param wasted_usd: paid for answers that a second round replaced.
    """

    pipeline: str
    day: str
    run: str
    offline: bool
    batches: Sequence[BatchReceipt]
    list_usd: float | None
    paid_usd: float | None
    saved_usd: float | None
    cache_saved_usd: float | None
    wasted_usd: float | None


def write_receipt(receipt: DayReceipt, root: StoragePath) -> StoragePath:
    """Store a day's receipt as JSON, replacing an earlier one; return where."""
    path = root / "receipts" / receipt.pipeline / f"day={receipt.day}.json"
    write_atomically(path, msgspec.json.format(msgspec.json.encode(asdict(receipt)), indent=2))
    return path


def make_receipt(
    batches: Sequence[BatchReceipt],
    *,
    pipeline: str,
    day: str,
    run: str,
    offline: bool,
    wasted_usd: float | None,
) -> DayReceipt:
    """Add up a day's batches."""
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
        saved_usd=None if listed is None or paid is None else listed - paid,
        cache_saved_usd=total(batch.cache_saved_usd for batch in batches),
        wasted_usd=wasted_usd,
    )


def batch_receipt(results: Mapping[str, Any]) -> BatchReceipt:
    """Read what collecting a shard returned."""
    return BatchReceipt(
        batch_id=results["batch_id"],
        shard_key=results["key"],
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
    )


def total(amounts: Iterable[float | None]) -> float | None:
    """Add up amounts; one that is not known makes the sum unknown."""
    known = list(amounts)
    return None if any(amount is None for amount in known) else sum(amount or 0.0 for amount in known)
