"""From a source to shards and a plan: what a run would send, reuse and pay, before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import msgspec

from include.articles.chain import Published
from include.articles.model import Article, FieldMap, ReadStats, Rejected
from include.articles.reader import iter_articles
from include.batches.ledger import Ledger
from include.costs.caching import LIFETIME, SharedPrefix
from include.costs.plan import Cost, Limits, Plan, RequestSizes, dollars, estimate, write_plan
from include.costs.prices import find_prices
from include.costs.receipt import read_history
from include.errors import ConfigurationError
from include.results.publish import count_rows
from include.results.published import iter_published
from include.results.reuse import AnswerIndex, ReusedRows
from include.results.sources import read_made_by
from include.results.typed import keep_output
from include.settings import ShardLimits
from include.shards.requests import RequestTemplate
from include.shards.shard import Shard
from include.shards.writer import ReadReport, write_shards
from include.storage import StoragePath

TEMPLATE = "template"
"""Name in the metadata of ``answers.parquet`` of the digest of what was asked."""


OFFLINE = "offline"
"""Name in that metadata of whether the offline API answered: yes or no."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is read.

    :param shown: as the user wrote it, for people.
    :param files: what it came to.
    :param limit: only the first so many articles; None takes all.
    :param published: what the one file is, when it is a published day of another pipeline.
    """

    shown: str
    files: Sequence[StoragePath]
    fields: FieldMap
    encoding: str = "utf-8"
    limit: int | None = None
    published: Published | None = None

    def iter_rows(self, day: str, stats: ReadStats) -> Iterator[Article | Rejected]:
        """Yield its rows.

        :raises InputError: it cannot be read.
        """
        if self.published is not None:
            return iter_published(self.files[0], self.published, day, stats, self.limit)
        return iter_articles(
            self.files, fields=self.fields, limit=self.limit, encoding=self.encoding, stats=stats
        )


@dataclass(frozen=True, slots=True)
class Reuse:
    """Which earlier answers may stand in.

    :param fresh: none: everything is asked and paid again.
    :param days: published days before this one to look in, besides itself; 0 or more.
    :raises ConfigurationError: a negative number of days.
    """

    fresh: bool = False
    days: int = 0

    def __post_init__(self) -> None:
        if self.days < 0:
            raise ConfigurationError(f"reuse_days is {self.days}; it must be 0 or more days before this one")


@dataclass(frozen=True, slots=True)
class Run:
    """Which run it is, and where its things are.

    :param root: the data root.
    :param folder: the run's folder.
    :param ledger: of the API that would be used; None when it is not known: then nothing counts as submitted.
    """

    pipeline: str
    day: str
    run_id: str
    root: StoragePath
    folder: StoragePath
    ledger: Ledger | None = None

    @property
    def offline(self) -> bool:
        """True when the offline API would answer."""
        return self.ledger is not None and self.ledger.offline

    def published(self, day: str) -> StoragePath:
        """Return where a day of the pipeline is published."""
        return self.root / self.pipeline / f"day={day}" / "answers.parquet"


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
    write: bool = True,
) -> Prepared:
    """Read a source, write its shards and reused rows, and plan what sending them costs.

    Whoever goes on to send them asks :meth:`Plan.check_budget` first.

    :param write: False stores nothing at all: a preview.
    :raises InputError: the source cannot be read.
    """
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
    plan = _plan(run, source, template, report, reuse, limits, plan_only)
    plan = replace(plan, reused_files=len(reused.files))
    if write:
        write_plan(plan, run.folder)
    return Prepared(report.shards, plan, stats)


def _protect_what_was_paid(run: Run) -> None:
    """Refuse to replace a model's answers, which were paid for, by those of the offline API."""
    published = run.published(run.day)
    if run.offline and read_made_by(published).get(OFFLINE) == "no":
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
    return AnswerIndex(map(run.published, days), offline=run.offline)


def _plan(  # noqa: PLR0917 - private, called once
    run: Run,
    source: Source,
    template: RequestTemplate,
    report: ReadReport,
    reuse: Reuse,
    limits: Limits,
    plan_only: bool,
) -> Plan:
    attached, billed = _split_by_ledger(run, report)
    digest = digest_of(template)
    history = read_history(run.root, run.pipeline, digest)
    prefix = SharedPrefix.of(template.system, template.model) if template.cache and template.system else None
    cached_tokens = prefix.upper_tokens if prefix is not None and prefix.verdict != "too_short" else 0
    cost = estimate(billed, template.model, template.max_tokens, history, cached_tokens)
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
        notes=[
            *_notes_on_the_day(run, source, report, reuse, digest),
            *_notes_on_cost(cost, history.day),
            *_notes_on_cache(prefix, billed.requests),
        ],
    )


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
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def _notes_on_the_day(run: Run, source: Source, report: ReadReport, reuse: Reuse, digest: str) -> list[str]:
    notes = []
    published = run.published(run.day)
    rows = count_rows(published) if published.exists() else 0
    if reuse.fresh:
        notes.append("Fresh answers were asked for: nothing is reused, everything is paid again.")
    elif rows and read_made_by(published).get(TEMPLATE, digest) != digest:
        notes.append(
            f"The prompt, the model or a setting of it changed since {run.day} was published: its answers fit no "
            f"longer, and {report.articles:,} articles are sent and paid for again."
        )
    coming = report.articles + report.reused
    if source.limit is not None and coming < rows:
        notes.append(
            f"{run.day} is published with {rows:,} articles; with this limit it will hold {coming:,} only."
        )
    return notes


def _notes_on_cost(cost: Cost, history_day: str) -> list[str]:
    if cost.upper_usd is None:
        return ["The model's price is not known, so the cost is not either."]
    if history_day and cost.output_expected:
        return [f"Expected answers are as long as on {history_day}."]
    return []


def _notes_on_cache(prefix: SharedPrefix | None, requests: int) -> list[str]:
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
