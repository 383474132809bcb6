"""A run is made ready: its shards and reused rows are written, and its plan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import inf

import msgspec

from nightpress.articles.article import ReadStats
from nightpress.costs.estimate import History, estimate, request_upper_usd
from nightpress.costs.plan import Limits, ModelCost, Plan, write_plan
from nightpress.costs.question import Question, make_question
from nightpress.costs.receipt_files import read_history
from nightpress.costs.shared_prefix import LIFETIME, SharedPrefix
from nightpress.costs.text_sizes import RequestSizes
from nightpress.days.day_sources import OFFLINE, read_published
from nightpress.days.reuse import AnswerIndex, ReusedRows
from nightpress.errors import ConfigurationError
from nightpress.models.lookup import offered_ids
from nightpress.models.request_options import resolve_options
from nightpress.results.typed_answers import keep_output
from nightpress.runs.plan_notes import notes_on_cache, notes_on_cost, notes_on_model, notes_on_the_day
from nightpress.runs.run import Reuse, Run, Source
from nightpress.settings import ShardLimits
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import ReadReport, write_shards


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to be sent.

    :param stats: what was seen while reading.
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
    today: date | None = None,
) -> Prepared:
    """Read a source, write its shards and reused rows, and plan what sending them costs.

    Whoever goes on to send them asks :meth:`Plan.check_budget` first.

    :param notes: what else a person should read with the plan.
    :param write: False stores nothing at all: a preview.
    :param today: for what is retired; None takes the clock's.
    :raises InputError: the source cannot be read.
    """
    _refuse_retired(template, today or datetime.now(UTC).date())
    if write and not plan_only:
        _protect_what_was_paid(run)
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
<<<<<<< HEAD
    plan = _plan(run, source, template, report, reuse, limits, plan_only)
    plan = replace(plan, reused_files=len(reused.files), notes=[*notes, *plan.notes])
=======
    plan = _plan(run, source, template, report, reuse, limits, plan_only, today or datetime.now(UTC).date())
    plan = replace(plan, reused_files=len(reused.files))
>>>>>>> 428e553 (One formatting of money, one plan in words, an upper bound by script)
    if write:
        write_plan(plan, run.folder)
    shards = [
        replace(shard, uri=run.root.reference(run.folder / _file_name(shard))) for shard in report.shards
    ]
    return Prepared(shards, plan, stats)


def _file_name(shard: Shard) -> str:
    return shard.uri.rsplit("/", 1)[-1]


def _refuse_retired(template: RequestTemplate, today: date) -> None:
    model = template.options.model
    if model.retires is not None and model.retires <= today:
        raise ConfigurationError(
            f"{model.id} is retired since {model.retires}; the API refuses it. Nothing was sent. Choose one of: "
            f"{', '.join(offered_ids(today))}"
        )


def _protect_what_was_paid(run: Run) -> None:
    """Refuse to replace a model's answers, which were paid for, by those of the offline API."""
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
    return AnswerIndex(map(run.published, days), offline=run.offline, same_day=run.published(run.day))


def _plan(  # noqa: PLR0917 - private, called once
    run: Run,
    source: Source,
    template: RequestTemplate,
    report: ReadReport,
    reuse: Reuse,
    limits: Limits,
    plan_only: bool,
    today: date,
) -> Plan:
    attached, billed = _split_by_ledger(run, report)
    digest = digest_of(template)
    history = read_history(run.root, run.pipeline, digest, run.offline)
    prefix = SharedPrefix.of(template.system, template.model) if template.cache and template.system else None
    cached_tokens = prefix.upper_tokens if prefix is not None and prefix.verdict != "too_short" else 0
    question = make_question(
        template.options,
        cached_tokens=cached_tokens,
        typed=template.output is not None,
        geographies=history.geographies,
    )
    cost = estimate(billed, question, history)
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
        request_upper_usd=request_upper_usd(billed, question),
        us_possible=question.us_possible,
        other_models=_other_models(template, billed, question, today),
        notes=[
            *notes_on_the_day(run, source, report, reuse, digest),
            *notes_on_model(template.options, today),
            *notes_on_cost(cost, question, history.day),
            *notes_on_cache(prefix, billed.requests),
        ],
    )


def _thinking_in_words(template: RequestTemplate) -> str:
    if isinstance(template.thinking, str):
        return template.thinking
    return msgspec.json.encode(template.thinking).decode()


def _other_models(
    template: RequestTemplate, sizes: RequestSizes, asked: Question, today: date
) -> list[ModelCost]:
    """Return what the same requests would cost with the other models that can be asked so, cheapest first."""
    found = []
    for model in offered_ids(today):
        try:
            options = resolve_options(
                model,
                template.max_tokens,
                thinking=template.thinking,
                effort=template.effort,
                request=template.request,
                betas=template.betas,
            )
        except ConfigurationError:
            continue  # this model takes other parameters
        question = make_question(
            options, cached_tokens=asked.cached_tokens, typed=template.output is not None
        )
        cost = estimate(
            sizes, replace(question, us_expected=asked.us_expected, us_possible=asked.us_possible), History()
        )
        found.append(ModelCost(model=model, expected_usd=cost.expected_usd, upper_usd=cost.upper_usd))
    others = [cost for cost in found if cost.model != template.model]
    return sorted(others, key=lambda cost: inf if cost.upper_usd is None else cost.upper_usd)


def _split_by_ledger(run: Run, report: ReadReport) -> tuple[int, RequestSizes]:
    """Return how many articles are in shards that have a batch already, and what may still be billed."""
    attached, billed = 0, RequestSizes()
    for shard, sizes in zip(report.shards, report.sizes, strict=True):
        entry = run.ledger.load(shard.key) if run.ledger is not None else None
        if entry is None or entry.batch_id is None:
            billed += sizes
            continue
        attached += shard.articles
        if entry.collected_at is not None:
            # What has no answer is asked again, whoever asked first.
            billed += sizes.scaled(shard.articles - (entry.answered or 0))
        elif (entry.pipeline, entry.day) == (run.pipeline, run.day):
            billed += sizes
    return attached, billed


def digest_of(template: RequestTemplate) -> str:
    """Return the SHA-256 of everything that is asked of an article, but the article."""
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
