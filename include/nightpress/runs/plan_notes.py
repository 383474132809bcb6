"""What a plan says beside its numbers: what a person should know before it costs."""

from __future__ import annotations

from nightpress.costs.estimate import Cost
from nightpress.costs.plan import dollars
from nightpress.costs.prices import find_prices
from nightpress.costs.shared_prefix import SharedPrefix
from nightpress.days.day_sources import TEMPLATE, read_published
from nightpress.runs.run import Reuse, Run, Source
from nightpress.shards.writer import ReadReport


def notes_on_the_day(run: Run, source: Source, report: ReadReport, reuse: Reuse, digest: str) -> list[str]:
    """Say what becomes of the day as it is published now.

    :param digest: of what is asked, see :attr:`Plan.template`.
    """
    notes = []
    published = read_published(run.published(run.day))
    if reuse.fresh:
        notes.append("Fresh answers were asked for: nothing is reused, everything is paid again.")
    elif published.rows and published.made_by.get(TEMPLATE, digest) != digest:
        notes.append(
            f"The prompt, the model or a setting of it changed since {run.day} was published: its answers fit no "
            f"longer, and {report.articles:,} articles are sent and paid for again."
        )
    coming = report.articles + report.reused
    if source.limit is not None and coming < published.rows:
        notes.append(
            f"{run.day} is published with {published.rows:,} articles; with this limit it will hold {coming:,} only."
        )
    return notes


def notes_on_cost(cost: Cost, history_day: str) -> list[str]:
    """Say what the cost is estimated from."""
    if cost.upper_usd is None:
        return ["The model's price is not known, so the cost is not either."]
    if history_day and cost.output_expected:
        return [f"Expected answers are as long as on {history_day}."]
    return []


def notes_on_cache(prefix: SharedPrefix | None, requests: int) -> list[str]:
    """Say what the prompt cache does for so many requests."""
    if prefix is None:
        return []
    prices = find_prices(prefix.model)
    if prices is None or prefix.verdict == "too_short" or not requests:
        return [prefix.message]
    saved = prefix.saved_usd(requests, prices.batch[0])
    effect = (
        f"saves about {dollars(saved)}" if saved > 0 else f"costs about {dollars(-saved)} more than it saves"
    )
    return [
        f"{prefix.message} For {requests:,} requests it {effect}, if the cache is hit as is usual in a batch."
    ]
