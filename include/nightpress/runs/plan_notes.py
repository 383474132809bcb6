"""Notes of a plan: what a person should know, besides the numbers, before money is spent."""

from __future__ import annotations

from datetime import date

from nightpress.costs.estimate import AnswerHistory, Cost
from nightpress.costs.money import dollars
from nightpress.costs.prices import find_prices
from nightpress.costs.request_profile import SEARCH_RESULT_TOKENS, SEARCH_USD, RequestProfile
from nightpress.costs.shared_prefix import SharedPrefix
from nightpress.days.day_sources import TEMPLATE, read_published
from nightpress.models.request_options import RequestOptions
from nightpress.runs.counted_tokens import CountedTokens
from nightpress.runs.run import Reuse, Run, Source
from nightpress.shards.writer import ReadReport


def notes_on_the_day(run: Run, source: Source, report: ReadReport, reuse: Reuse, digest: str) -> list[str]:
    """Say what happens to the published day.

    :param digest: digest of the request template, see :attr:`Plan.template`.
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


def notes_on_model(options: RequestOptions, today: date) -> list[str]:
    """Say what a person should know about the model before money is spent.

    :param today: date for checking whether the model is retired soon.
    """
    model, notes = options.model, []
    if not model.known:
        notes.append(
            f"{model.id} is not in the catalogue of models: its tokens are estimated carefully, and what it refuses is "
            "not known."
        )
    elif options.thinking.note:
        notes.append(options.thinking.note)
    if model.retires is not None and model.retires > today:
        notes.append(f"{model.id} is retired on {model.retires}: choose another model before.")
    return notes


def notes_on_cost(
    cost: Cost, profile: RequestProfile, history: AnswerHistory, counted: CountedTokens
) -> list[str]:
    """Say what the cost estimate is based on.

    :param counted: input tokens that the API counted for requests of the run.
    """
    notes = []
    prices = find_prices(profile.model)
    if prices is None:
        notes.append(f"The price of {profile.model} is not known, so the cost is not either.")
    elif profile.searches is None:
        notes.append(
            "Nothing bounds the cost: the API may run tools without max_uses (for web_fetch also max_content_tokens), "
            "or compact the context."
        )
    elif prices.assumed:
        notes.append(f"No batch price of {profile.model} is known: half of its list price is assumed.")
    if profile.searches:
        notes.append(
            f"Up to {profile.searches:,} searches a request at {dollars(SEARCH_USD)} each, and up to "
            f"{SEARCH_RESULT_TOKENS:,} tokens of what each finds, are part of the upper bound."
        )
    if profile.us_expected:
        notes.append("Inference runs in the US, which costs 1.1 times as much.")
    if counted.requests:
        whole = "Expected input tokens rest" if history.counted_tokens is None else "Input tokens rest"
        notes.append(f"{whole} on {counted.requests:,} requests that the API counted (free).")
    if history.day and cost.output_expected:
        notes.append(f"Expected answers are as long as on {history.day}.")
    return notes


def notes_on_cache(prefix: SharedPrefix | None, requests: int) -> list[str]:
    """Say what the prompt cache does for this many requests."""
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
