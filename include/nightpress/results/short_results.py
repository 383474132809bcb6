"""Decide whether a result stream with fewer lines than requests may count as all there is."""

from __future__ import annotations

from nightpress.batches.batch import Batch
from nightpress.batches.ledger_records import AcceptedResults
from nightpress.errors import ResultsError
from nightpress.results.decode import StreamReport
from nightpress.shards.shard import Shard


def check_short_results(
    batch: Batch, shard: Shard, report: StreamReport, accepted: AcceptedResults | None
) -> None:
    """Do nothing if all that lacks was free, or if a person has accepted the loss.

    A batch has a line for each request (API documentation, "Retrieving batch results"), so something between holds
    lines back: a gateway that ends a large reply early, for instance. What has no line would be sent and paid again.

    :param report: what was read, the same each time.
    :param accepted: what a person accepted for the shard, in the ledger.
    :raises ResultsError: answers that are paid for may lack.
    """
    counts = batch.request_counts
    known = counts.total == shard.articles and not counts.processing
    if known and counts.succeeded <= report.answers:
        return
    if accepted is not None and accepted.batch_id == batch.id and accepted.lines <= report.lines:
        return
    said = (
        f"its counts say that {counts.succeeded:,} requests were answered, and {report.answers:,} answers came"
        if known
        else "its counts do not say how many requests were answered"
    )
    raise ResultsError(
        f"the results of batch {batch.id} of shard {shard.name} ended after {report.lines:,} of {shard.articles:,} "
        f"lines, the same each time; {said}. The answers are paid for and kept by the API for 29 days, so nothing is "
        "sent again. If a gateway is between, it may end long replies early: connect without it, then clear this "
        "task; reading them again pays nothing. To go on without the other lines, whose articles are then sent and "
        f"paid again: nightpress ledger accept-short {shard.key[:16]} {report.lines}.",
        code="results_short",
    )
