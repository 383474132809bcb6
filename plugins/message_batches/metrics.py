"""Numbers for StatsD or OpenTelemetry through Airflow's own metrics; nothing is sent if those are off.

=====================================  =======  =======================================================
``nightpress.batches.submitted``       counter  batches that were submitted or adopted for a shard
``nightpress.batches.in_flight``       gauge    batches of the workspace that have not ended
``nightpress.requests.in_flight``      gauge    their requests
``nightpress.rows.<status>``           counter  rows written, by status
``nightpress.day.<number>``            gauge    articles, succeeded, rejected, reused, cost_usd, saved_usd
=====================================  =======  =======================================================

All but the gauges of the API carry the tag ``pipeline``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from nightpress.batches.batch import Batch

_OF_A_DAY = ("articles", "succeeded", "rejected", "reused", "cost_usd", "saved_usd")


def count_submitted(pipeline: str) -> None:
    """Count a batch that was submitted or adopted; not one that was attached to."""
    stats.incr("nightpress.batches.submitted", tags={"pipeline": pipeline})


def count_statuses(pipeline: str, by_status: Mapping[str, int]) -> None:
    """Count the rows of a shard."""
    for status, count in by_status.items():
        stats.incr(f"nightpress.rows.{status}", count, tags={"pipeline": pipeline})


def show_day(pipeline: str, numbers: Mapping[str, Any]) -> None:
    """Show the numbers of a published day; one that is not known is left out."""
    for name in _OF_A_DAY:
        if numbers.get(name) is not None:
            stats.gauge(f"nightpress.day.{name}", numbers[name], tags={"pipeline": pipeline})


def show_in_flight(batches: Iterable[Batch]) -> None:
    """Show what the API has not ended."""
    waiting = [batch for batch in batches if not batch.ended]
    stats.gauge("nightpress.batches.in_flight", len(waiting))
    stats.gauge("nightpress.requests.in_flight", sum(batch.request_counts.processing for batch in waiting))
