"""Plan a run whose articles have been read: the requests, and their cost with each model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from math import inf

import msgspec

from nightpress.batches.ledger import Entry
from nightpress.costs.estimate import AnswerHistory, estimate, request_upper_usd
from nightpress.costs.plan import Limits, ModelCost, Plan
from nightpress.costs.receipt_files import read_answer_history
from nightpress.costs.request_profile import RequestProfile, make_profile
from nightpress.costs.shared_prefix import LIFETIME, SharedPrefix
from nightpress.costs.text_sizes import RequestSizes, measure_requests
from nightpress.errors import ConfigurationError
from nightpress.models.lookup import offered_ids
from nightpress.models.request_options import resolve_options
from nightpress.runs.counted_tokens import CountedTokens
from nightpress.runs.live_models import today_of
from nightpress.runs.plan_notes import (
    notes_on_cache,
    notes_on_cost,
    notes_on_model,
    notes_on_the_day,
)
from nightpress.runs.run import Reuse, Run, Source
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.writer import ReadReport
from nightpress.statuses import STATUSES

_FIELDS_NAMED = 12
"""Most answer fields that a plan names."""


def make_plan(  # noqa: PLR0917 - called once
    run: Run,
    source: Source,
    template: RequestTemplate,
    report: ReadReport,
    reuse: Reuse,
    limits: Limits,
    *,
    counted: CountedTokens,
    plan_only: bool,
    now: Callable[[], float],
) -> Plan:
    """Return the plan of a run whose articles have been read.

    :param counted: input tokens that the API counted for some or all of the requests.
    :param now: returns epoch seconds.
    """
    today = today_of(now())
    digest = digest_of(template)
    history = read_answer_history(run.root, run.pipeline, digest, run.offline)
    prefix = SharedPrefix.of(template.system, template.model) if template.cache and template.system else None
    profile = make_profile(
        template.options, typed=template.output is not None, geographies=history.geographies
    )
    cached_tokens = _cached_tokens(template, prefix, profile)
    profile = replace(profile, cached_tokens=cached_tokens)
    attached, billed, settled_usd, uncounted = _split_by_ledger(run, report, profile)
    all_counted = counted.by_vendor and not attached and counted.requests == billed.requests
    history = replace(
        history,
        input_share=counted.expected_share,
        upper_share=counted.upper_share,
        counted_tokens=counted.tokens if all_counted else None,
    )
    cost = estimate(billed, profile, history)
    return Plan(
        pipeline=run.pipeline,
        day=run.day,
        run=run.run_id,
        source=source.shown,
        model=template.model,
        max_tokens=template.max_tokens,
        offline=run.offline,
        fresh=reuse.fresh,
        plan_only=plan_only,
        articles=report.articles + report.reused,
        to_send=report.articles - attached,
        attached=attached,
        reused=report.reused,
        rejected=dict(report.rejected.most_common()),
        shards=len(report.shards),
        input_tokens_expected=cost.input_expected,
        input_tokens_upper=cost.input_upper,
        output_tokens_expected=cost.output_expected,
        output_tokens_upper=cost.output_upper,
        cost_expected_usd=cost.expected_usd,
        cost_upper_usd=cost.upper_usd,
        list_upper_usd=cost.list_upper_usd,
        max_cost_usd=limits.max_cost_usd,
        approve_above_usd=limits.approve_above_usd,
        template=digest,
        cached_tokens=cached_tokens,
        room_tokens=template.options.thinking.room_tokens,
        thinking=_thinking_in_words(template),
        effort=template.options.thinking.effort,
        betas=template.betas,
        cut=max(report.cut.values(), default=0),
        # Of all requests, since one that was collected may have an unknown cost, too.
        request_upper_usd=request_upper_usd(sum(report.sizes, RequestSizes()), profile),
        us_possible=profile.us_possible,
        asks=describe_request_parts(template),
        room_upper_usd=cost.room_usd,
        settled_usd=settled_usd,
        uncounted=uncounted,
        other_models=_other_models(template, billed, profile, history.counted_tokens, today),
        notes=[
            *notes_on_the_day(run, source, report, reuse, digest),
            *notes_on_model(template.options, today),
            *notes_on_cost(cost, profile, history, counted),
            *notes_on_cache(prefix, billed.requests),
        ],
    )


def _cached_tokens(template: RequestTemplate, prefix: SharedPrefix | None, profile: RequestProfile) -> int:
    """Return the most tokens of each request that may be written to the prompt cache.

    What is cached begins with the tools and with what the API adds, which come before the system prompt.
    """
    if prefix is None:
        return 0
    config = template.output.output_config if template.output is not None else None
    before = [msgspec.json.encode([template.options.extra_parameters.get("tools"), config])]
    tokens = prefix.upper_tokens + measure_requests(before).upper_tokens(profile.facts) + profile.added_tokens
    return tokens if tokens >= prefix.minimum else 0


def describe_request_parts(template: RequestTemplate) -> str:
    """Describe the parts of each request: lengths and names of fields, never text.

    So a person who approves a plan can check the question, and Airflow's database has no prompt.
    """
    named = [f"{{{name}}}" for name in template.prompt.names]
    parts = [f"a prompt of {len(template.prompt.template):,} characters with {', '.join(named)}"]
    if template.system:
        parts.append(f"a system prompt of {len(template.system):,} characters")
    if template.output is not None:
        names = [column.name for column in template.output.fields]
        more = f" and {len(names) - _FIELDS_NAMED} more" if len(names) > _FIELDS_NAMED else ""
        parts.append(f"the answer's fields {', '.join(names[:_FIELDS_NAMED])}{more}")
    return "; ".join(parts)


def _thinking_in_words(template: RequestTemplate) -> str:
    if isinstance(template.thinking, str):
        return template.thinking
    return msgspec.json.encode(template.thinking).decode()


def _other_models(
    template: RequestTemplate, sizes: RequestSizes, asked: RequestProfile, counted: int | None, today: date
) -> list[ModelCost]:
    """Return the cost of the same requests with the other models that support them, cheapest first.

    :param counted: tokens that the API counted for all requests; valid for models with the same tokenizer.
    """
    found = []
    for model in offered_ids(today):
        try:
            options = resolve_options(
                model,
                template.max_tokens,
                thinking=template.thinking,
                effort=template.effort,
                thinking_room=template.thinking_room,
                request=template.request,
                betas=template.betas,
            )
        except ConfigurationError:
            continue  # this model does not support the parameters
        profile = make_profile(options, cached_tokens=asked.cached_tokens, typed=template.output is not None)
        same_tokens = profile.facts.chars_per_token == asked.facts.chars_per_token
        cost = estimate(
            sizes,
            replace(profile, us_expected=asked.us_expected, us_possible=asked.us_possible),
            AnswerHistory(counted_tokens=counted if same_tokens else None),
        )
        found.append(ModelCost(model=model, expected_usd=cost.expected_usd, upper_usd=cost.upper_usd))
    others = [cost for cost in found if cost.model != template.model]
    return sorted(others, key=lambda cost: inf if cost.upper_usd is None else cost.upper_usd)


def _split_by_ledger(
    run: Run, report: ReadReport, profile: RequestProfile
) -> tuple[int, RequestSizes, float, list[str]]:
    """Look up the batches of the shards.

    :return: the articles in shards that may have a batch, the request sizes to be billed, USD paid at most, and the
        names of shards whose batch of another day is not collected yet: nothing of these is counted.
    """
    attached, billed, settled_usd = 0, RequestSizes(), 0.0
    uncounted: list[str] = []
    for shard, sizes in zip(report.shards, report.sizes, strict=True):
        entry = run.ledger.load(shard.key) if run.ledger is not None else None
        if entry is None or not entry.may_have_batch:
            billed += sizes
            continue
        attached += shard.articles
        if entry.batch_id is None:
            billed += sizes
        elif entry.collected_at is not None:
            # Articles without an answer are sent again, whichever run sent them first: with more max_tokens,
            # or with the invalid answer and the reason, which is at most twice the request.
            billed += sizes.scaled(shard.articles - (entry.answered or 0))
            twice = sizes.scaled(sum((entry.by_status or {}).get(name, 0) for name in _ASKED_DIFFERENTLY))
            billed += twice + twice
            settled_usd += _paid_at_most(run, entry, sizes, profile)
        elif (entry.pipeline, entry.day) == (run.pipeline, run.day):
            billed += sizes
        else:
            uncounted.append(shard.name)
    return attached, billed, settled_usd, uncounted


def _paid_at_most(run: Run, entry: Entry, sizes: RequestSizes, profile: RequestProfile) -> float:
    """Return the most that a collected batch cost the run's day; without a price, the plan has no bound anyway."""
    if (entry.pipeline, entry.day) != (run.pipeline, run.day):
        return 0.0
    if entry.cost_usd is not None:
        return entry.cost_usd
    return estimate(sizes, profile).upper_usd or entry.known_cost_usd or 0.0


_ASKED_DIFFERENTLY = [name for name, status in STATUSES.items() if status.again in {"more_room", "repair"}]


def digest_of(template: RequestTemplate) -> str:
    """Return the SHA-256 of all parts of a request except the article."""
    asked: list[object] = [
        template.model,
        template.max_tokens,
        template.system,
        template.prompt.template,
        template.prompt.max_content_chars,
    ]
    if template.output is not None:
        asked.append(template.output.digest)
    if template.cache:
        asked.append(LIFETIME)
    thinking = template.options.thinking
    options = (thinking.parameter, thinking.effort, thinking.room_tokens, template.request, template.betas)
    if any(options):
        asked.append(options)
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
