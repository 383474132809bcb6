"""Batches whose shard a person sets aside in the ledger: they are paid for, so they stay on the day's receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nightpress.batches.ledger import Entry
from nightpress.batches.manual_ledger import LedgerLine
from nightpress.costs.receipt import BatchReceipt, make_receipt
from nightpress.costs.receipt_files import read_receipt, write_receipt
from nightpress.layout import DataRoot, is_day, is_pipeline_name
from nightpress.shards.shard import GIVEN_PREFIX, Shard


def keep_on_receipt(line: LedgerLine, batches: Sequence[str], root: DataRoot, now: float) -> list[str]:
    """Add a shard's batches to the receipt of its day before its entry is set aside; return those that were added.

    No run collects them any more, so they would be on no receipt. What is not known of their cost is unknown.

    :param batches: as :func:`nightpress.batches.manual_ledger.check_discard` returned them.
    :param now: epoch seconds.
    """
    entry = line.entry
    has_receipt = is_pipeline_name(entry.pipeline) and is_day(entry.day)
    if not has_receipt or Shard(entry.uri, 0, 0, "").name.startswith(GIVEN_PREFIX):
        return []
    receipt = read_receipt(root.receipt(entry.pipeline, entry.day))
    listed = {batch.batch_id for batch in receipt.batches} if receipt is not None else set()
    missing = [batch_id for batch_id in batches if batch_id not in listed]
    if missing:
        kept = make_receipt(
            [_describe(entry, batch_id) for batch_id in missing],
            pipeline=entry.pipeline,
            day=entry.day,
            # A name of its own, since a run replaces what it wrote before.
            run=f"discarded at {datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            offline=line.scope == "offline",
            wasted_usd=0.0,
            wasted_by_run={},
        )
        write_receipt(kept, root)
    return missing


def _describe(entry: Entry, batch_id: str) -> BatchReceipt:
    collected = entry.collected_at is not None and batch_id == entry.batch_id
    known = (entry.known_cost_usd if entry.cost_usd is None else entry.cost_usd) if collected else None
    paid = entry.cost_usd if collected else None
    return BatchReceipt(
        batch_id=batch_id,
        shard_key=entry.key,
        run=entry.run,
        round=entry.round,
        requests=entry.requests,
        by_status=entry.by_status if collected else {},
        paid_usd=paid,
        known_paid_usd=known or 0.0,
        unknown_requests=0 if paid is not None else entry.requests,
        submitted_at=entry.submitted_at,
        ended_at=entry.ended_at,
    )
