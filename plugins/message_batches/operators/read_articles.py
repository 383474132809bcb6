"""Read articles, write them as shards, and plan what sending them costs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from message_batches import config
from message_batches.dag_context import rendered
from message_batches.form_keys import check_run_keys
from message_batches.links import TaskLink, plan_url
from message_batches.operators.chosen_source import SourceChoice, merge_read_options
from message_batches.parse_checks import check_arguments, read_schema
from message_batches.remedies import fail_without_retry
from nightpress.errors import ConfigurationError
from nightpress.layout import check_pipeline_name
from nightpress.plain_text import for_log
from nightpress.settings import (
    DEFAULT_MAX_CONTENT_CHARS,
    DEFAULT_MAX_REJECTED_SHARE,
    DEFAULT_MAX_TOKENS,
    DEFAULT_MODEL,
    ShardLimits,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pydantic import BaseModel

    from message_batches.airflow_private import ResolveMixin
    from message_batches.dag_context import Templated
    from nightpress.articles.article import ReadStats
    from nightpress.batches.model_api import ModelApi
    from nightpress.costs.plan import Plan
    from nightpress.runs.ceilings import Ceilings, RunSettings
    from nightpress.runs.preparation import Prepared
    from nightpress.runs.run import Run
    from nightpress.runs.unrequested_runs import MissingDay
    from nightpress.shards.requests import RequestTemplate
    from nightpress.storage import StoragePath

PLAN = "plan"
"""XCom key of the plan's numbers."""


class ReadArticlesOperator(BaseOperator):
    """Read and check articles, write them as shards ready to be submitted, and plan what that costs.

    Returns a list of shard references, ``{"uri", "articles", "bytes", "key"}``, for a mapped task group. Rejected
    rows are in ``rejected.parquet`` with file, position and reason; articles whose request was answered before are in
    ``reused-*.parquet``. The plan is in the log, in ``plan.json`` and, as numbers, in XCom under ``plan``; if it costs
    more than ``max_cost_usd``, this task fails.

    :param pipeline: name of the pipeline; a folder is named after it.
    :param prompt: the user message, with ``{content}`` and, if wanted, ``{title}``, ``{id}`` and any field of the
        source; text, or a reference such as ``dag.param("prompt")``. It is never templated and never rendered.
    :param source: a file, glob or folder of any kind that docs/sources.md names, or several of them in a list, on any
        store Airflow knows, with ``{day}`` for the day; a function of the day that yields dicts;
        :func:`message_batches.sql_source.sql`; or
        ``published:<pipeline>`` for what another pipeline published for the day; None
        reads ``inbox/day=<day>/`` under the data root, and a day without that folder is an empty day.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param model: model id.
    :param max_tokens: most tokens of one answer.
    :param system: system prompt, or None.
    :param output: a Pydantic model's class or a JSON schema that answers must fit; its fields become columns.
    :param cache: keep the system prompt in the prompt cache for an hour, which saves money if it is long.
    :param thinking: ``"off"`` asks for the least thinking that the model allows, ``"auto"`` lets the model decide,
        and a ``thinking`` object is sent as it is. Room for thinking is added to ``max_tokens`` where it is needed.
    :param effort: effort level, e.g. ``"low"``; None takes the model's own.
    :param thinking_room: tokens that are added to ``max_tokens`` where the model may think; None goes by the effort.
    :param request: other parameters of a Messages request, by name, e.g. ``{"stop_sequences": ["END"]}``.
    :param betas: beta headers of the batches, e.g. ``["output-300k-2026-03-24"]``.
    :param limit: read at most this many articles; None reads all.
    :param max_content_chars: characters of an article's content that are sent; None sends all.
    :param fields: the source's names of the fields, e.g. ``{"id": "sku", "content": "body"}``.
    :param encoding: of text files; None detects it.
    :param read_options: settings that replace the detection, by the names of :class:`ReadOptions`: delimiter, quoting,
        columns, record_path, metadata …
    :param delimiter: between the values of a table; wins over that of ``read_options``.
    :param quoting: of a table; wins over that of ``read_options``.
    :param limits: when a shard closes.
    :param max_rejected_share: 0 to 1; more rejected rows than this fail the task before money is spent.
    :param max_cost_usd: USD; a plan whose upper bound is above it fails; None for no budget.
    :param approve_above_usd: USD; a plan whose upper bound is above it waits in :class:`ApprovePlanOperator`.
    :param fresh: send requests again that were answered before, and pay again.
    :param reuse_days: how many published days before this one answers may be copied from, 0 or more.
    :param plan_only: end after the plan; :class:`ApprovePlanOperator` ends the run.
    :param chosen_source: the form's source; wins over ``source`` unless empty.
    :param chosen_model: wins over ``model`` unless empty.
    :param allowed_sources: folders or URLs below which ``chosen_source`` may lie, besides the inbox, the project's
        examples, what ``source`` names, and the setting ``NIGHTPRESS_ALLOWED_SOURCES``; ``published:`` of a pipeline
        allows its days. What the DAG file says as ``source`` is not restricted.
    :param on_missing_day: what a run does whose day has no articles: ``"fail"``; ``"skip"``, which ends it without
        publishing; or ``"publish_empty"``, which never replaces a day with answers. The absent folder is named.
    :param late_schedule: ``"ask"`` lets a run of the schedule wait for approval when its DAG was switched on after it
        was due, or when it starts more than half an hour late: Airflow starts one when a DAG is switched on, and nobody
        asked for it. Without articles it ends. ``"run"`` lets it continue.
    :param ceilings: the most that a run may cost and ask for, whatever its other arguments are; None sets no limits.
    :param conn_id: Airflow connection of type ``anthropic`` whose ledger tells what was submitted before;
        None when that does not matter.
    """

    template_fields: Sequence[str] = (
        "source",
        "chosen_source",
        "day",
        "limit",
        "conn_id",
        "model",
        "chosen_model",
        "max_tokens",
        "thinking",
        "effort",
        "max_content_chars",
        "max_cost_usd",
        "approve_above_usd",
        "fresh",
        "reuse_days",
        "plan_only",
        "fields",
        "encoding",
        "read_options",
        "delimiter",
        "quoting",
    )
    operator_extra_links = (TaskLink("Plan"),)
    ui_color = "#e4ecf0"

    def __init__(
        self,
        *,
        pipeline: str,
        prompt: str | ResolveMixin,
        source: Any = None,
        day: Templated[None] = None,
        model: Templated[str] = DEFAULT_MODEL,
        max_tokens: Templated[int | None] = DEFAULT_MAX_TOKENS,
        system: str | None = None,
        output: type[BaseModel] | Mapping[str, Any] | None = None,
        cache: bool = False,
        thinking: Templated[Mapping[str, object]] = "off",
        effort: Templated[None] = None,
        thinking_room: int | None = None,
        request: Mapping[str, object] | None = None,
        betas: Sequence[str] = (),
        limit: Templated[int | None] = None,
        max_content_chars: Templated[int | None] = DEFAULT_MAX_CONTENT_CHARS,
        fields: Templated[Mapping[str, str] | None] = None,
        encoding: Templated[None] = None,
        read_options: Templated[Mapping[str, object] | None] = None,
        delimiter: Templated[None] = None,
        quoting: Templated[None] = None,
        limits: ShardLimits | None = None,
        max_rejected_share: float = DEFAULT_MAX_REJECTED_SHARE,
        max_cost_usd: Templated[float | None] = None,
        approve_above_usd: Templated[float | None] = None,
        fresh: Templated[bool | None] = False,
        reuse_days: Templated[int | None] = 0,
        plan_only: Templated[bool | None] = False,
        chosen_source: Templated[None] = None,
        chosen_model: Templated[None] = None,
        allowed_sources: Sequence[str] = (),
        on_missing_day: MissingDay = "fail",
        late_schedule: config.LateSchedule = "ask",
        ceilings: Ceilings | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = check_pipeline_name(pipeline)
        self.prompt = prompt
        self.source = source
        self.day = day
        self.model = model
        self.max_tokens = max_tokens
        self.system = system
        self.schema = read_schema(output)
        self.cache = cache
        self.thinking = thinking
        self.effort = effort
        self.thinking_room = thinking_room
        self.request = request
        self.betas = betas
        self.limit = limit
        self.max_content_chars = max_content_chars
        self.fields = fields
        self.encoding = encoding
        self.read_options = read_options
        self.delimiter = delimiter
        self.quoting = quoting
        self.limits = limits or ShardLimits()
        self.max_rejected_share = max_rejected_share
        self.max_cost_usd = max_cost_usd
        self.approve_above_usd = approve_above_usd
        self.fresh = fresh
        self.reuse_days = reuse_days
        self.plan_only = plan_only
        self.chosen_source = chosen_source
        self.chosen_model = chosen_model
        self.allowed_sources = (
            [allowed_sources] if isinstance(allowed_sources, str) else list(allowed_sources)
        )
        self.on_missing_day = on_missing_day
        self.late_schedule = late_schedule
        self.ceilings = ceilings
        self.conn_id = conn_id
        self.plan_url = ""
        check_arguments(vars(self))

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Write the shards, publish the plan and return the shards' references."""
        from nightpress.costs.plan import plan_values
        from nightpress.runs.unrequested_runs import end_without_articles

        with fail_without_retry():
            check_run_keys(self.get_dag(), context["dag_run"])
            run = self._run(context)
            self.plan_url = plan_url(run.pipeline, run.day, run.folder.name)
            # For the Batches page, which shows the run before there is a plan.
            context["ti"].xcom_push(key="about", value={"pipeline": run.pipeline, "day": run.day})
            prepared = self.prepare(run, context)
            start = config.start_of_run(context, self.late_schedule)
            plan = end_without_articles(run, prepared.plan, self.on_missing_day, start)
        self._log_plan(plan, prepared.stats)
        context["ti"].xcom_push(key=PLAN, value=plan_values(plan))
        with fail_without_retry():
            plan.check_budget()
            check_map_length(len(prepared.shards))
        return [shard.to_reference() for shard in prepared.shards]

    def prepare(
        self,
        run: Run,
        context: Context,
        *,
        open_path: Callable[[StoragePath], StoragePath] = lambda path: path,
        write: bool = True,
    ) -> Prepared:
        """Read the source of a run's day and plan it, with this task's rendered settings.

        :param open_path: opens files where Airflow's connections are not available.
        :param write: False stores nothing at all: a preview.
        """
        from nightpress.costs.plan import Limits
        from nightpress.runs.preparation import prepare_run
        from nightpress.runs.run import Reuse

        settings, notes = self._settings(context)
        source = self._choose_source(settings.limit).open(run, open_path, write=write)
        if write:
            self.log.info("reading %d file(s) of %s", len(source.files), for_log(source.shown))
        return prepare_run(
            run,
            source,
            self._template(context, settings),
            shard_limits=self.limits,
            max_rejected_share=self.max_rejected_share,
            reuse=Reuse(fresh=bool(self.fresh), days=int(rendered(self.reuse_days) or 0)),
            limits=Limits(settings.max_cost_usd, settings.approve_above_usd),
            plan_only=bool(self.plan_only),
            notes=notes,
            write=write,
            model_api=self._model_api() if write else None,
        )

    def _model_api(self) -> ModelApi | None:
        """Return the API that is asked about the model, if there is a connection."""
        if not self.conn_id:
            return None
        from nightpress.batches.model_api import SdkModelApi

        api = config.connect(self.conn_id)
        return SdkModelApi(api.client, api.scope)

    def _run(self, context: Context) -> Run:
        from nightpress.runs.run import Run

        day = config.day_of_run(context, rendered(self.day) or None)
        ledger = config.open_ledger(config.connect(self.conn_id).scope) if self.conn_id else None
        return Run(self.pipeline, day, context["run_id"], config.data_root(), ledger)

    def _log_plan(self, plan: Plan, stats: ReadStats) -> None:
        from nightpress.costs.plan_lines import plan_lines

        lines = plan_lines(plan)
        width = max(len(name) for name, _ in lines)
        self.log.info("plan\n%s", "\n".join(f"  {name:<{width}}  {for_log(value)}" for name, value in lines))
        facts = set(stats.source.facts())
        for note in plan.notes:
            self.log.log(logging.INFO if note in facts else logging.WARNING, "%s", for_log(note))
        if stats.replaced_characters:
            self.log.warning(
                "replaced %d characters that are not text (NUL, lone surrogates)", stats.replaced_characters
            )

    def _settings(self, context: Context) -> tuple[RunSettings, list[str]]:
        """Return what the run may cost and ask, and a note on each value that is not as it was asked for."""
        from nightpress.runs.ceilings import Ceilings, RunSettings
        from nightpress.runs.unrequested_runs import ask_if_unrequested

        asked = RunSettings.read(
            model=str(self.chosen_model or self.model),
            max_tokens=self.max_tokens,
            max_cost_usd=self.max_cost_usd,
            approve_above_usd=self.approve_above_usd,
            limit=self.limit,
        )
        settings, notes = (self.ceilings or Ceilings()).apply(asked)
        settings, unrequested = ask_if_unrequested(settings, config.start_of_run(context, self.late_schedule))
        return settings, [*unrequested, *notes]

    def _choose_source(self, limit: int | None) -> SourceChoice:
        own = {"encoding": self.encoding, "delimiter": self.delimiter, "quoting": self.quoting}
        return SourceChoice(
            declared=self.source,
            chosen=str(self.chosen_source) if self.chosen_source else None,
            allowed=self.allowed_sources,
            fields=self.fields,
            options=merge_read_options(self.read_options, own, self.ceilings),
            may_be_absent=self.on_missing_day != "fail",
            limit=limit,
        )

    def _template(self, context: Context, settings: RunSettings) -> RequestTemplate:
        from nightpress.runs.ceilings import MAX_CHARACTERS, read_count
        from nightpress.shards.prompts import PromptTemplate
        from nightpress.shards.requests import RequestTemplate

        longest = read_count("max_content_chars", self.max_content_chars, MAX_CHARACTERS)
        prompt = PromptTemplate(str(config.resolve(self.prompt, context)), longest)
        return RequestTemplate(
            settings.model,
            settings.max_tokens,
            prompt,
            self.system,
            self.schema,
            self.cache,
            thinking=rendered(self.thinking) or "off",
            effort=rendered(self.effort) or None,
            thinking_room=self.thinking_room,
            request=self.request,
            betas=tuple(self.betas),
        )


def check_map_length(shards: int) -> None:
    """Refuse more shards than Airflow maps tasks, before anything is approved: it would fail only after that.

    :raises ConfigurationError: naming the setting.
    """
    from airflow.sdk.configuration import conf

    most = conf.getint("core", "max_map_length", fallback=1024)
    if shards > most:
        raise ConfigurationError(
            f"the articles came to {shards:,} shards, and Airflow maps a task over at most {most:,} ([core] "
            "max_map_length). Nothing was sent. Use larger shards, such as limits=ShardLimits(max_requests=50_000), or "
            "raise the setting on scheduler and workers.",
            code="too_many_shards",
        )
