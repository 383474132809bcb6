"""The tasks of a pipeline: read, approve; submit, wait and write for each shard; the same for what failed; publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import DAG, Asset, BaseOperator, XComArg, task_group

from message_batches.assets import PUBLISHED_DAYS
from message_batches.config import DEFAULT_CONN_ID
from message_batches.dag_context import current_dag
from message_batches.operators import (
    ApprovePlanOperator,
    CollectFailuresOperator,
    PublishResultsOperator,
    ReadArticlesOperator,
    SubmitBatchOperator,
    WriteResultsOperator,
)
from message_batches.parse_checks import check_names
from message_batches.sensors import MessageBatchSensor
from nightpress.articles.published_source import Published
from nightpress.settings import (
    DEFAULT_KEPT_PUBLICATIONS,
    DEFAULT_MAX_REQUESTS_IN_FLIGHT,
    DEFAULT_MIN_ANSWERED_SHARE,
)

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


class PipelineTasks(NamedTuple):
    """The first and last tasks of a pipeline, to which other tasks can be attached."""

    read: ReadArticlesOperator
    approve: ApprovePlanOperator
    publish: PublishResultsOperator
    asset: Asset


def add_tasks(name: str, arguments: Mapping[str, Any], options: TaskOptions) -> PipelineTasks:
    """Add the tasks of a pipeline, without a form.

    :param arguments: other ones of :class:`ReadArticlesOperator`, including ``prompt`` and ``day``, and
        ``lose_answers`` of :class:`PublishResultsOperator`.
    """
    asset = Asset(name)
    arguments = dict(arguments)
    lose_answers = arguments.pop("lose_answers", False)
    read = _add_reader(name, arguments, options)
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
    rounds = _add_rounds(name, approve.output, plan, options)
    publish = PublishResultsOperator(
        task_id="publish",
        **rounds,
        plan=plan,
        pipeline=name,
        day=arguments["day"],
        conn_id=options.conn_id,
        min_answered_share=options.min_answered_share,
        lose_answers=lose_answers,
        keep_publications=options.keep_publications,
        outlets=[asset, PUBLISHED_DAYS],
        on_success_callback=list(options.notify) or None,
        # Without failures the second round is skipped, and the day is published.
        trigger_rule="none_failed",
        **RETRIES,
    )
    _notify_of_failures(current_dag("message_batch_pipeline"), options.notify)
    return PipelineTasks(read, approve, publish, asset)


def _add_reader(name: str, arguments: Mapping[str, Any], options: TaskOptions) -> ReadArticlesOperator:
    check_names(arguments, TaskOptions, ReadArticlesOperator.__init__, BaseOperator.__init__)
    chained = Published.of_source(options.source)
    return ReadArticlesOperator(
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


def _add_rounds(name: str, shards: XComArg, plan: XComArg, options: TaskOptions) -> dict[str, XComArg]:
    """Add the tasks that send each shard, and those that send the failures once more.

    :return: shards and results of both rounds, as :class:`PublishResultsOperator` takes them.
    """
    results = _add_shards("shard", name, shards, options)
    second_shards = CollectFailuresOperator(
        task_id="collect_failures",
        shards=shards,
        results=results,
        conn_id=options.conn_id,
        plan=plan,
        # No shard at all, or shards that were not submitted, are skipped; this task deals with both.
        trigger_rule="none_failed",
        **RETRIES,
    ).output
    second_results = _add_shards("second_round", name, second_shards, options)
    return {
        "shards": shards,
        "results": results,
        "second_shards": second_shards,
        "second_results": second_results,
    }


def _add_shards(group: str, name: str, shards: XComArg, options: TaskOptions) -> Any:
    send_each = task_group(group_id=group)(_send_shard).partial(pipeline=name, options=options)
    return send_each.expand(reference=shards)


def _notify_of_failures(dag: DAG, notifiers: Sequence[BaseNotifier]) -> None:
    """Notify once of a failed run, by the DAG's callback; a task's callback would be called for each shard."""
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
