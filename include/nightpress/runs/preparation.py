"""Prepare a run: write its shards, its reused rows and its plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from nightpress.articles.article import ReadStats
from nightpress.batches.model_api import ModelApi
from nightpress.costs.plan import Limits, Plan, write_plan
from nightpress.costs.request_profile import make_profile
from nightpress.days.answer_index import AnswerIndex
from nightpress.days.day_sources import OFFLINE, read_published
from nightpress.days.publications import list_publication_files
from nightpress.days.reuse import ReusedRows
from nightpress.errors import ConfigurationError
from nightpress.results.typed_answers import keep_output
from nightpress.runs.counted_tokens import CountedTokens, count_requests
from nightpress.runs.live_models import check_model, today_of
from nightpress.runs.run import Reuse, Run, Source
from nightpress.runs.run_plan import make_plan
from nightpress.runs.sent_meanwhile import keep_sent_before
from nightpress.runs.unpublished_runs import ask_before_paying_twice, find_unpublished
from nightpress.settings import ShardLimits
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to be sent.

    :param stats: statistics of reading.
    """

    shards: Sequence[Shard]
    plan: Plan
    stats: ReadStats


def prepare_run(
    run: Run,
    source: Source,
    template: RequestTemplate,
    *,
    shard_limits: ShardLimits,
    max_rejected_share: float,
    reuse: Reuse,
    limits: Limits,
    plan_only: bool = False,
    notes: Sequence[str] = (),
    write: bool = True,
    model_api: ModelApi | None = None,
    now: Callable[[], float] = time.time,
) -> Prepared:
    """Read a source, write its shards and reused rows, and plan the cost of sending them.

    The caller calls :meth:`Plan.check_budget` before sending them.

    :param notes: more notes for the plan.
    :param write: False stores nothing: a preview.
    :param model_api: API for the list of models and for token counts, both free; None makes no calls.
    :param now: returns epoch seconds.
    :raises ConfigurationError: the model is retired, or batches do not support it.
    :raises InputError: the source cannot be read.
    """
    checked = check_model(template.options, today_of(now()), model_api, run.root, now(), keep=write)
    if write and not plan_only:
        _protect_what_was_paid(run)
    if write:
        keep_sent_before(run.root, run.folder, run.pipeline, run.day, fresh=reuse.fresh)
    unpublished = find_unpublished(run) if write and not reuse.fresh else []
    stats = ReadStats()
    if write:
        keep_output(template.output, run.folder)
    reused = ReusedRows(_open_index(run, reuse), run.folder, run.day, output=template.output, write=write)
    report = write_shards(
        source.iter_rows(run.day, stats),
        run.folder,
        template,
        limits=shard_limits,
        max_rejected_share=max_rejected_share,
        salt=f"fresh answers of {run.run_id}" if reuse.fresh else "",
        answered=reused,
        write=write,
    )
    limits, warnings = ask_before_paying_twice(run, report.shards, unpublished, limits)
    # A plan alone must not send any article to the API, not even to count tokens.
    counter = model_api if write and not plan_only else None
    counted = _count_tokens(run, report.shards, template, counter, now)
    plan = make_plan(
        run, source, template, report, reuse, limits, counted=counted, plan_only=plan_only, now=now
    )
    notes = [*warnings, *notes, *checked.notes, *plan.notes, *stats.source.notes(), *report.notes(template)]
    plan = replace(plan, reused_files=len(reused.files), notes=notes)
    if write:
        write_plan(plan, run.folder)
    # A plan above the budget is accepted only if all its shards were sent before; none of them is sent again.
    look_only = plan.may_exceed_budget and not plan.over_budget
    shards = [
        replace(shard, uri=run.root.reference(run.folder / _file_name(shard)), look_only=look_only)
        for shard in report.shards
    ]
    return Prepared(shards, plan, stats)


def _count_tokens(
    run: Run,
    shards: Sequence[Shard],
    template: RequestTemplate,
    model_api: ModelApi | None,
    now: Callable[[], float],
) -> CountedTokens:
    if model_api is None:
        return CountedTokens()
    profile = make_profile(template.options, typed=template.output is not None)
    return count_requests(shards, run.folder, model_api, profile, now)


def _file_name(shard: Shard) -> str:
    return shard.uri.rsplit("/", 1)[-1]


def _protect_what_was_paid(run: Run) -> None:
    """Refuse to replace a model's paid answers with answers of the offline API."""
    if run.offline and read_published(run.published(run.day)).made_by.get(OFFLINE) == "no":
        raise ConfigurationError(
            f"{run.pipeline} {run.day} is published with answers of a model, and this run would replace them by the "
            "offline API's. Nothing was sent. Set ANTHROPIC_API_KEY, or try things on another day or another "
            "NIGHTPRESS_ROOT."
        )


def _open_index(run: Run, reuse: Reuse) -> AnswerIndex:
    if reuse.fresh:
        return AnswerIndex([], offline=False)
    day = date.fromisoformat(run.day)
    days = [run.day, *((day - timedelta(days=back)).isoformat() for back in range(1, reuse.days + 1))]
    today = run.published(run.day)
    replaced = [path for path in list_publication_files(run.root, run.pipeline, run.day) if path != today]
    return AnswerIndex(map(run.published, days), offline=run.offline, same_day=today, replaced=replaced)
