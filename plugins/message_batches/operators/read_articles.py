"""Articles to shards, and the plan of what sending them costs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from message_batches import config
from message_batches.airflow_private import ResolveMixin
from message_batches.form_keys import check_run_keys
from message_batches.links import TaskLink, plan_url
from message_batches.remedies import fail_without_retry
from nightpress.errors import ConfigurationError
from nightpress.layout import check_pipeline_name
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

    from nightpress.batches.model_api import ModelApi
    from nightpress.costs.plan import Plan
    from nightpress.outputs.output_schema import OutputSchema
    from nightpress.runs.ceilings import Ceilings, RunSettings
    from nightpress.runs.preparation import Prepared
    from nightpress.runs.run import Run, Source
    from nightpress.runs.unrequested_runs import MissingDay
    from nightpress.shards.requests import RequestTemplate
    from nightpress.storage import StoragePath

_CHOICES = {"on_missing_day": ("fail", "skip", "publish_empty"), "late_schedule": ("ask", "run")}

PLAN = "plan"
"""XCom key of the plan's numbers."""


class ReadArticlesOperator(BaseOperator):
    """Read and check articles, write them as shards ready to be submitted, and plan what that costs.

    Returns a list of shard references, ``{"uri", "articles", "bytes", "key"}``, to expand a mapped task
    group over. What is rejected goes to ``rejected.parquet`` with file, position and reason; articles whose
    request was answered before go to ``reused-*.parquet``. The plan is in the log, in ``plan.json`` and,
    as numbers, in XCom under ``plan``; one that costs more than ``max_cost_usd`` fails here.

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
    :param output: a Pydantic model's class or a JSON schema: what an answer must be. Its fields become columns.
    :param cache: keep the system prompt in the prompt cache for an hour; pays where it is long.
    :param thinking: ``"off"`` asks for the least thinking that the model allows, ``"auto"`` lets the model decide,
        and a ``thinking`` object is sent as it is. Room for thinking is added to ``max_tokens`` where it is needed.
    :param effort: effort level, e.g. ``"low"``; None takes the model's own.
    :param request: further parameters of a Messages request, by name, e.g. ``{"stop_sequences": ["END"]}``.
    :param betas: beta headers of the batches, e.g. ``["output-300k-2026-03-24"]``.
    :param limit: read at most this many articles; None reads all.
    :param max_content_chars: characters of an article's content that are sent; None sends all.
    :param fields: the source's names of the fields, e.g. ``{"id": "sku", "content": "body"}``.
    :param encoding: of text files; None detects it.
    :param read_options: what is not to be detected, by the names of :class:`ReadOptions`: delimiter, quoting, columns,
        record_path, metadata …
    :param delimiter: between the values of a table; wins over that of ``read_options``.
    :param quoting: of a table; wins over that of ``read_options``.
    :param limits: when a shard closes.
    :param max_rejected_share: 0 to 1; more rejected rows than this fail the task before money is spent.
    :param max_cost_usd: USD; a plan whose upper bound is above it fails; None for no budget.
    :param approve_above_usd: USD; a plan whose upper bound is above it waits in :class:`ApprovePlanOperator`.
    :param fresh: ask again what was answered before, and pay again.
    :param reuse_days: published days before this one whose answers may stand in, 0 or more.
    :param plan_only: end after the plan; :class:`ApprovePlanOperator` sees to it.
    :param chosen_source: wins over ``source`` unless empty: what a person gave in the form.
    :param chosen_model: wins over ``model`` unless empty.
    :param allowed_sources: folders or URLs below which ``chosen_source`` may lie, besides the inbox, the project's
        examples, what ``source`` names, and the setting ``NIGHTPRESS_ALLOWED_SOURCES``; ``published:`` of a pipeline
        allows its days. What the DAG file says as ``source`` is not restricted.
    :param on_missing_day: what a run does whose day has no articles: ``"fail"``; ``"skip"``, which ends it without
        publishing; or ``"publish_empty"``, which never replaces a day with answers. The absent folder is named.
    :param late_schedule: ``"ask"`` lets a run of the schedule that starts more than half an hour after it was due wait
        for approval, because Airflow starts one when a DAG is switched on; ``"run"`` lets it go on.
    :param ceilings: the most that a run may cost and ask, whatever its other arguments come to; None has none.
    :param conn_id: Airflow connection of type ``anthropic`` whose ledger tells what was submitted before;
        None when that does not matter.
    """

    template_fields: Sequence[str] = (
        *("source", "day", "model", "max_tokens", "limit", "max_cost_usd", "approve_above_usd"),
        *(
            "fresh",
            "reuse_days",
            "plan_only",
            "conn_id",
            "chosen_source",
            "chosen_model",
            "thinking",
            "effort",
        ),
        *("max_content_chars", "fields", "encoding", "read_options", "delimiter", "quoting"),
    )
    operator_extra_links = (TaskLink("Plan"),)
    ui_color = "#e4ecf0"

    def __init__(
        self,
        *,
        pipeline: str,
        prompt: Any,
        source: Any = None,
        day: Any = None,
        model: Any = DEFAULT_MODEL,
        max_tokens: Any = DEFAULT_MAX_TOKENS,
        system: str | None = None,
        output: type[BaseModel] | Mapping[str, Any] | None = None,
        cache: bool = False,
        thinking: Any = "off",
        effort: Any = None,
        request: Mapping[str, object] | None = None,
        betas: Sequence[str] = (),
        limit: Any = None,
        max_content_chars: Any = DEFAULT_MAX_CONTENT_CHARS,
        fields: Any = None,
        encoding: Any = None,
        read_options: Any = None,
        delimiter: Any = None,
        quoting: Any = None,
        limits: ShardLimits | None = None,
        max_rejected_share: float = DEFAULT_MAX_REJECTED_SHARE,
        max_cost_usd: Any = None,
        approve_above_usd: Any = None,
        fresh: Any = False,
        reuse_days: Any = 0,
        plan_only: Any = False,
        chosen_source: Any = None,
        chosen_model: Any = None,
        allowed_sources: Sequence[str] = (),
        on_missing_day: MissingDay = "fail",
        late_schedule: Literal["ask", "run"] = "ask",
        ceilings: Ceilings | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = check_pipeline_name(pipeline)
        if not 0 <= max_rejected_share <= 1:
            raise ConfigurationError(f"max_rejected_share is {max_rejected_share}; it must be 0 to 1")
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
        self._check_what_is_known()

    def _check_what_is_known(self) -> None:
        """Refuse at parse time what is wrong whatever the run's params are."""
        if isinstance(self.prompt, str):
            from nightpress.shards.prompts import PromptTemplate

            PromptTemplate(self.prompt, None if _open(self.max_content_chars) else self.max_content_chars)
        if self.cache and not self.system:
            raise ConfigurationError("cache needs system: the shared part of the prompts is what is cached")
        from nightpress.articles.reading_options import FieldMap, ReadOptions, check_encoding

        if not _open(self.fields):
            FieldMap.of(self.fields)
        if not _open(self.read_options):
            ReadOptions.of(self.read_options or {})
        if self.encoding and not _open(self.encoding):
            check_encoding(self.encoding)
        check_model_options(vars(self))
        from nightpress.runs.ceilings import Ceilings

        Ceilings.declared(vars(self))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)!r}; use one of: {', '.join(allowed)}"
                )

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Write the shards, tell the plan and return the shards' references."""
        from nightpress.costs.plan import plan_values
        from nightpress.costs.plan_lines import plan_lines

        with fail_without_retry():
            check_run_keys(self.get_dag(), context["dag_run"])
            run = self._run(context)
            self.plan_url = plan_url(run.pipeline, run.day, run.folder.name)
            # For the Batches page, which shows the run before there is a plan.
            context["ti"].xcom_push(key="about", value={"pipeline": run.pipeline, "day": run.day})
            prepared = self.prepare(run, context)
            plan = self._end_without_articles(run, prepared)
        lines = plan_lines(plan)
        width = max(len(name) for name, _ in lines)
        self.log.info("plan\n%s", "\n".join(f"  {name:<{width}}  {value}" for name, value in lines))
        facts = set(prepared.stats.source.facts())
        for note in plan.notes:
            self.log.log(logging.INFO if note in facts else logging.WARNING, "%s", note)
        if prepared.stats.replaced_characters:
            self.log.warning(
                "%d characters that are no text (NUL, lone surrogates) were replaced",
                prepared.stats.replaced_characters,
            )
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

        :param open_path: opens what is to be read where Airflow's own connections are not at hand.
        :param write: False stores nothing at all: a preview.
        """
        from nightpress.costs.plan import Limits
        from nightpress.runs.preparation import prepare_run
        from nightpress.runs.run import Reuse

        settings, notes = self._settings(context)
        source = self._source(run, open_path, settings.limit, write)
        if write:
            self.log.info("reading %d file(s) of %s", len(source.files), source.shown)
        return prepare_run(
            run,
            source,
            self._template(context, settings),
            shard_limits=self.limits,
            max_rejected_share=self.max_rejected_share,
            reuse=Reuse(fresh=bool(self.fresh), days=int(self.reuse_days or 0)),
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

        day = config.day_of_run(context, self.day or None)
        ledger = config.open_ledger(config.connect(self.conn_id).scope) if self.conn_id else None
        return Run(self.pipeline, day, context["run_id"], config.data_root(), ledger)

    def _end_without_articles(self, run: Run, prepared: Prepared) -> Plan:
        """Return the plan; one that ends the run when its day has no articles and is not to be published empty."""
        from nightpress.costs.plan import write_plan
        from nightpress.runs.unrequested_runs import check_missing_day

        plan = prepared.plan
        if plan.articles or plan.plan_only or check_missing_day(run, plan.source, self.on_missing_day):
            return plan
        note = f"{plan.source} has no article: the run ends here, and what is published stays as it is."
        plan = replace(plan, plan_only=True, notes=[note, *plan.notes])
        write_plan(plan, run.folder)
        return plan

    def _settings(self, context: Context) -> tuple[RunSettings, list[str]]:
        """Return what the run may cost and ask, and a note on each value that is not as it was asked for."""
        from nightpress.runs.ceilings import (
            MAX_ANSWER_TOKENS,
            MAX_LIMIT,
            Ceilings,
            RunSettings,
            read_count,
            read_usd,
        )
        from nightpress.runs.unrequested_runs import ask_if_late

        asked = RunSettings(
            str(self.chosen_model or self.model),
            read_count("max_tokens", self.max_tokens, MAX_ANSWER_TOKENS) or DEFAULT_MAX_TOKENS,
            read_usd("max_cost_usd", self.max_cost_usd),
            read_usd("approve_above_usd", self.approve_above_usd),
            read_count("limit", self.limit, MAX_LIMIT),
        )
        settings, notes = (self.ceilings or Ceilings()).apply(asked)
        run: Any = context["dag_run"]
        settings, late = ask_if_late(
            settings,
            scheduled=self.late_schedule == "ask" and getattr(run, "run_type", "") == "scheduled",
            due=getattr(run, "run_after", None),
            started=getattr(run, "start_date", None),
            cleared=bool(getattr(run, "clear_number", 0)),
        )
        return settings, [*late, *notes]

    def _source(
        self,
        run: Run,
        open_path: Callable[[StoragePath], StoragePath],
        limit: int | None,
        write: bool,
    ) -> Source:
        from nightpress.articles.published_source import Published
        from nightpress.articles.reader import find_files
        from nightpress.articles.reading_options import FieldMap, ReadOptions
        from nightpress.articles.row_sources import as_row_source, stage_rows
        from nightpress.runs.run import Source

        given, fields, said = (
            self.chosen_source or self.source,
            FieldMap.of(self.fields),
            self._read_options(),
        )
        declared = self.source if isinstance(self.source, (list, tuple)) else [self.source]
        allowed = (
            config.allowed_sources([*declared, *self.allowed_sources], run.day)
            if self.chosen_source
            else None
        )
        if allowed is not None:
            allowed.check(config.absolute_source(str(given), run.day))
        if (published := Published.of_source(given)) is not None:
            file = open_path(config.data_root().answers(published.pipeline, run.day))
            return Source(given, [file], FieldMap(), limit=limit, published=published)
        if (rows := as_row_source(given)) is not None:
            options = ReadOptions.of({**said, "partition_columns": False})
            if not write:
                return Source(rows.shown, [], fields, limit=limit, options=options, rows=rows)
            files = stage_rows(rows, run.day, run.folder, options.limits)
            return Source(rows.shown, files, fields, limit=limit, options=options)
        # The folders of the inbox say the day, which is the run's own.
        options = ReadOptions.of({"partition_columns": bool(given), **said})
        several = given if isinstance(given, (list, tuple)) else [given]
        places = [open_path(config.source_path(place, run.day)) for place in several]
        files = find_files(places, missing_ok=not given or self._may_miss(given), format=options.format)
        if allowed is not None:
            allowed.check_files([file.path for file in files])
        shown = ", ".join(map(str, places))
        return Source(shown, files, fields, limit=limit, options=options)

    def _read_options(self) -> dict[str, Any]:
        """Return what is said about the source; a field of the form wins over the object that has the same name."""
        options = self.read_options or {}
        if not isinstance(options, Mapping):
            raise ConfigurationError(
                f"read_options is of type {type(options).__name__}; it must be an object such as {{'delimiter': ';'}}"
            )
        own = {"encoding": self.encoding, "delimiter": self.delimiter, "quoting": self.quoting}
        said = {**options, **{name: value for name, value in own.items() if value}}
        return self.ceilings.limit_reading(said) if self.ceilings else said

    def _may_miss(self, given: Any) -> bool:
        """Tell whether an absent source is a day without articles: only one that the DAG file names by day."""
        return not self.chosen_source and "{day}" in str(given) and self.on_missing_day != "fail"

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
            thinking=self.thinking or "off",
            effort=self.effort or None,
            request=self.request,
            betas=tuple(self.betas),
        )


def _open(value: Any) -> bool:
    """Tell whether a value is known only when a run has rendered it."""
    return isinstance(value, ResolveMixin) or (isinstance(value, str) and "{{" in value)


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


def check_model_options(options: Mapping[str, Any]) -> None:
    """Refuse what the API would refuse, as far as it is known when the DAG is parsed.

    :param options: ``model``, ``max_tokens``, ``thinking``, ``effort``, ``request`` and ``betas``; a reference to a
        param is left for the run, and what the form shows first is checked where the form is made.
    :raises ConfigurationError: naming model, parameter and what is allowed.
    """
    from nightpress.models.request_options import resolve_options

    known = {
        name: value
        for name in ("model", "max_tokens", "thinking", "effort", "request", "betas")
        if (value := options.get(name)) is not None and not isinstance(value, ResolveMixin)
    }
    if any(isinstance(value, str) and "{{" in value for value in known.values()) or not isinstance(
        known.get("model"), str
    ):
        return
    resolve_options(**{"max_tokens": DEFAULT_MAX_TOKENS} | {"model_id": known.pop("model")} | known)


def read_schema(output: type[BaseModel] | Mapping[str, Any] | None) -> OutputSchema | None:
    """Return the schema of an ``output``.

    :raises ConfigurationError: the API or Parquet cannot express it; names the field by its path.
    """
    if output is None:
        return None
    from nightpress.outputs.output_schema import OutputSchema
    from nightpress.shards.column_names import RESERVED

    return OutputSchema.of(output, RESERVED)
