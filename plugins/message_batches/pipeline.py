"""A pipeline as one call inside a DAG: read, approve; submit, wait, write for each shard; once more; publish."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import DAG, Asset, task_group

from message_batches.airflow_private import DagContext, ResolveMixin
from message_batches.assets import PUBLISHED_DAYS
from message_batches.config import DEFAULT_CONN_ID
from message_batches.form import add_form, describe_request
from message_batches.operators import (
    ApprovePlanOperator,
    CollectFailuresOperator,
    PublishResultsOperator,
    ReadArticlesOperator,
    SubmitBatchOperator,
    WriteResultsOperator,
)
from message_batches.operators.read_articles import check_model_options
from message_batches.sensors import MessageBatchSensor
from nightpress.articles.published_source import Published
from nightpress.errors import ConfigurationError
from nightpress.layout import check_pipeline_name
from nightpress.runs.ceilings import Ceilings
from nightpress.settings import (
    DEFAULT_KEPT_PUBLICATIONS,
    DEFAULT_MAX_CONTENT_CHARS,
    DEFAULT_MAX_REQUESTS_IN_FLIGHT,
    DEFAULT_MIN_ANSWERED_SHARE,
    DEFAULT_MODEL,
)
from nightpress.shards.prompts import PromptTemplate

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier
    from pydantic import BaseModel

RETRIES: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}
"""Retry policy for transient failures: API down, disk full, worker killed. No retry costs money twice."""


FIRST_TO_SPEND = "shard.submit_batch"
"""The task of a pipeline before which nothing is paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Arguments of a pipeline that its tasks take and its trigger form does not show."""

    source: Any = None
    system: str | None = None
    output: type[BaseModel] | Mapping[str, Any] | None = None
    cache: bool = False
    conn_id: str = DEFAULT_CONN_ID
    poll_seconds: float | None = None
    approval_timeout: timedelta = timedelta(hours=12)
    approvers: Sequence[str] = ()
    self_approval: bool = True
    max_requests_in_flight: int = DEFAULT_MAX_REQUESTS_IN_FLIGHT
    notify: Sequence[BaseNotifier] = ()
    min_answered_share: float = DEFAULT_MIN_ANSWERED_SHARE
    keep_publications: int = DEFAULT_KEPT_PUBLICATIONS


def message_batch_pipeline(
    name: str,
    *,
    prompt: Any,
    system: str | None = None,
    output: type[BaseModel] | Mapping[str, Any] | None = None,
    cache: bool = False,
    model: Any = DEFAULT_MODEL,
    models: Sequence[str] = (),
    max_tokens: Any = None,
    thinking: Any = "off",
    effort: Any = None,
    request: Mapping[str, object] | None = None,
    betas: Sequence[str] = (),
    limit: Any = None,
    source: Any = None,
    day: Any = None,
    conn_id: str = DEFAULT_CONN_ID,
    poll_seconds: float | None = None,
    approval_timeout: timedelta = timedelta(hours=12),
    approvers: Sequence[str] = (),
    self_approval: bool = True,
    max_requests_in_flight: int = DEFAULT_MAX_REQUESTS_IN_FLIGHT,
    notify: Sequence[BaseNotifier] = (),
    min_answered_share: float = DEFAULT_MIN_ANSWERED_SHARE,
    keep_publications: int = DEFAULT_KEPT_PUBLICATIONS,
    **reading: Any,
) -> Asset:
    """Add a whole pipeline to the DAG in whose context this is called, and its trigger form.

    Values given here are what the form shows first; a person who triggers the DAG may change them for that
    run. **What is given here for max_cost_usd, approve_above_usd, max_tokens and limit is also the most that the
    form can ask for**, and an empty field of the form takes it: see :class:`~nightpress.runs.ceilings.Ceilings`. A
    value that is a reference, such as ``dag.param("model")``, is taken as it is and limits nothing.

    :param name: the pipeline's name; its answers are published under it, and the asset is named after it.
    :param prompt: the user message, with ``{content}`` and, if wanted, ``{title}``, ``{id}`` and any other field
        of the source, such as ``{brand}``.
    :param system: what all requests begin with, or None.
    :param output: a Pydantic model's class or a JSON schema. Answers are then JSON of that shape, and each field
        is a typed column; see docs/typed-columns.md for what can be one.
    :param cache: keep ``system`` in the prompt cache for an hour; the plan says when it is too short for that.
    :param model: model id.
    :param models: the only models that the form offers and the run accepts, ``model`` among them; empty allows all.
    :param max_tokens: tokens of one answer at most; None is 200, and the form may ask for more. Thinking has room
        of its own.
    :param thinking: ``"off"`` (the least that the model allows), ``"auto"`` (the model decides) or a ``thinking``
        object as in the Messages API; see docs/models.md.
    :param effort: effort level, such as ``"low"``; None takes the model's own.
    :param request: further parameters of a Messages request, such as ``{"stop_sequences": ["END"]}``.
    :param betas: beta headers of the batches, such as ``["output-300k-2026-03-24"]``.
    :param limit: read at most this many articles; None reads all.
    :param source: file, glob or folder, with ``{day}`` for the day, or :func:`published`; None reads the inbox.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param poll_seconds: seconds between looks at the API; see :class:`MessageBatchSensor`.
    :param approval_timeout: how long a plan that needs approval waits for a person; nothing is spent without.
    :param approvers: ids of the Airflow users who may approve a plan; empty allows everybody who may edit the run.
    :param self_approval: False refuses the approval of the person who triggered the run.
    :param max_requests_in_flight: requests that may wait at the API at once, all runs together; a shard that
        would exceed it waits before it is submitted. The API's own queue holds 200,000 to 500,000 by tier.
    :param notify: Airflow notifiers that are told when a plan waits for approval, when a day is published, and when a
        run failed: each once, whatever the number of shards. See docs/notify.md.
    :param min_answered_share: 0 to 1, of the articles that must have an answer if the published day has any; with 0,
        one answer is enough. The form's *Replace whatever was answered* lifts it for one run.
    :param keep_publications: earlier publications of a day that are kept for ``nightpress restore``; 0 keeps none.
    :param reading: further arguments of :class:`ReadArticlesOperator`: fields, max_content_chars, … and
        defaults of the form's money section: max_cost_usd, approve_above_usd, fresh, reuse_days.
    :return: the asset that a published day updates, partition by day.
    """
    asked = {"prompt": prompt, "model": model, "max_tokens": max_tokens, "limit": limit, "day": day} | reading
    asked |= {"thinking": thinking, "effort": effort}
    check_model_options(asked | {"request": request, "betas": betas})
    options = TaskOptions(
        source=source,
        system=system,
        output=output,
        cache=cache,
        conn_id=conn_id,
        poll_seconds=poll_seconds,
        approval_timeout=approval_timeout,
        approvers=approvers,
        self_approval=self_approval,
        max_requests_in_flight=max_requests_in_flight,
        notify=notify,
        min_answered_share=min_answered_share,
        keep_publications=keep_publications,
    )
    shown = describe_request(system, output)
    arguments = with_form(asked, models=models, beside_prompt=shown) | {"request": request, "betas": betas}
    return add_tasks(name, arguments, options).asset


class PipelineTasks(NamedTuple):
    """What a pipeline begins and ends with, for tasks that come before, between or after."""

    read: ReadArticlesOperator
    approve: ApprovePlanOperator
    publish: PublishResultsOperator
    asset: Asset


def add_tasks(name: str, arguments: Mapping[str, Any], options: TaskOptions) -> PipelineTasks:
    """Add the tasks of a pipeline, without a form.

    :param arguments: further ones of :class:`ReadArticlesOperator`, ``prompt`` and ``day`` among them.
    """
    asset = Asset(name)
    arguments = dict(arguments)
    lose_answers = arguments.pop("lose_answers", False)
    chained = Published.of_source(options.source)
    read = ReadArticlesOperator(
        task_id="read_articles",
        pipeline=name,
        source=options.source,
        system=options.system,
        output=options.output,
        cache=options.cache,
        conn_id=options.conn_id,
        inlets=[Asset(chained.pipeline if chained else f"{name}_articles")],
        **RETRIES,
        **arguments,
    )
    plan = read.output["plan"]  # type: ignore[index]
    # What is expanded over passes through the approval, so that nothing is sent before it.
    approve = ApprovePlanOperator(
        task_id="approve_plan",
        shards=read.output,
        plan=plan,
        response_timeout=options.approval_timeout,
        approvers=options.approvers,
        self_approval=options.self_approval,
        notifiers=list(options.notify),
        **RETRIES,
    )
    shards = approve.output
    results = (
        task_group(group_id="shard")(_send_shard)
        .partial(pipeline=name, options=options)
        .expand(reference=shards)
    )
    second_shards = CollectFailuresOperator(
        task_id="collect_failures",
        shards=shards,
        results=results,
        conn_id=options.conn_id,
        plan=plan,
        # No shard at all, or shards that were not submitted, are skipped; both are this task's business.
        trigger_rule="none_failed",
        **RETRIES,
    ).output
    second_results = (
        task_group(group_id="second_round")(_send_shard)
        .partial(pipeline=name, options=options)
        .expand(reference=second_shards)
    )
    publish = PublishResultsOperator(
        task_id="publish",
        shards=shards,
        results=results,
        second_shards=second_shards,
        second_results=second_results,
        plan=plan,
        pipeline=name,
        day=arguments["day"],
        conn_id=options.conn_id,
        min_answered_share=options.min_answered_share,
        lose_answers=lose_answers,
        keep_publications=options.keep_publications,
        outlets=[asset, PUBLISHED_DAYS],
        on_success_callback=list(options.notify) or None,
        # Without failures there is no second round to wait for, and the day is published all the same.
        trigger_rule="none_failed",
        **RETRIES,
    )
    _notify_of_failures(current_dag("message_batch_pipeline"), options.notify)
    return PipelineTasks(read, approve, publish, asset)


def _notify_of_failures(dag: DAG, notifiers: Sequence[BaseNotifier]) -> None:
    """Let a DAG's failed runs be told, once a run: a task's own callback would tell once a shard."""
    if not notifiers:
        return
    present = dag.on_failure_callback or []
    callbacks = list(present) if isinstance(present, list) else [present]
    dag.on_failure_callback = [*callbacks, *(notifier for notifier in notifiers if notifier not in callbacks)]
    dag.has_on_failure_callback = True


def _send_shard(reference: Any, pipeline: str, options: TaskOptions) -> Any:
    """Add the tasks of one shard: submit, wait, write."""
    labelled = {"map_index_template": "{{ shard_label }}", **RETRIES}
    submitted = SubmitBatchOperator(
        task_id="submit_batch",
        shard=reference,
        pipeline=pipeline,
        conn_id=options.conn_id,
        skip_on_account_trouble=True,
        max_requests_in_flight=options.max_requests_in_flight,
        **labelled,
    )
    ended = MessageBatchSensor(
        task_id="wait_for_batch",
        batch_id=submitted.output,
        conn_id=options.conn_id,
        poll_seconds=options.poll_seconds,
        map_index_template="{{ task.batch_id }}",
        **RETRIES,
    )
    return WriteResultsOperator(
        task_id="write_results",
        shard=reference,
        batch_id=ended.output,
        pipeline=pipeline,
        conn_id=options.conn_id,
        model=options.output if isinstance(options.output, type) else None,
        **labelled,
    ).output


def published(pipeline: str, *, content: str = "text", whole: bool = False) -> str:
    """Return what another pipeline publishes for the day, as a source.

    The columns of its answers are fields of the prompt, as the source's own are, e.g. ``{severity}``.

    :param content: the column that is ``{content}``: the answer's text, or a column of a typed answer.
    :param whole: the day is one article: titles and texts, one after the other.
    """
    return Published(check_pipeline_name(pipeline), content, whole).to_source()


def with_form(
    asked: dict[str, Any],
    notes: Mapping[str, str] | None = None,
    left_out: Collection[str] = (),
    models: Sequence[str] = (),
    beside_prompt: str = "",
) -> dict[str, Any]:
    """Add the trigger form to the DAG, and return the reader's arguments: references to the form's params.

    :param notes: what is added to the help of a param, by name.
    :param left_out: params that this form does not have.
    :param models: the only models that the form offers; empty offers all.
    :param beside_prompt: Markdown that is shown with the prompt.
    """
    ceilings = Ceilings.declared(asked, models)
    dag = current_dag("message_batch_pipeline")
    references = {
        # An object for thinking is the DAG file's; the form has no field for one.
        name: value
        for name, value in asked.items()
        if isinstance(value, ResolveMixin) or (name == "thinking" and isinstance(value, Mapping))
    }
    if isinstance(asked.get("prompt"), str):
        PromptTemplate(asked["prompt"], asked.get("max_content_chars", DEFAULT_MAX_CONTENT_CHARS))
    shown = {name: value for name, value in asked.items() if name not in references}
    skip = {*references, *left_out, *(["other_model"] if models else [])}
    form = add_form(dag, shown, ceilings, skip=skip, notes=notes, beside_prompt=beside_prompt)
    return shown | form | references | {"ceilings": ceilings}


def current_dag(caller: str) -> DAG:
    """Return the DAG in whose context this is called.

    :raises ConfigurationError: there is none.
    """
    dag = DagContext.get_current()
    if dag is None:
        raise ConfigurationError(f"{caller} is called outside a DAG; call it inside `with DAG(…)` or @dag")
    return dag
