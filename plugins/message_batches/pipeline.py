"""A pipeline as one call inside a DAG: read; submit, wait and write for each shard; once more; publish."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, task_group

from message_batches.config import DEFAULT_CONN_ID
from message_batches.operators import (
    CollectFailuresOperator,
    PublishResultsOperator,
    ReadArticlesOperator,
    SubmitBatchOperator,
    WriteResultsOperator,
)
from message_batches.sensors import MessageBatchSensor

RETRIES: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}
"""For what can pass: an API that is down, a full disk, a killed worker. None of it costs money twice."""


def message_batch_pipeline(
    name: str,
    *,
    prompt: Any,
    source: Any = None,
    day: Any = None,
    conn_id: str = DEFAULT_CONN_ID,
    poll_seconds: float | None = None,
    **reading: Any,
) -> Asset:
    """Add a whole pipeline to the DAG in whose context this is called.

    Every value may be a reference to a param of the DAG, such as ``dag.param("model")``.

    :param name: the pipeline's name; its answers are published under it, and the asset is named after it.
    :param prompt: the user message, with ``{content}`` and, if wanted, ``{title}`` and ``{id}``.
    :param source: file, glob or folder; None reads the day's inbox.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param poll_seconds: seconds between looks at the API; see :class:`MessageBatchSensor`.
    :param reading: further arguments of :class:`ReadArticlesOperator`: model, max_tokens, limit, fields, …
    :return: the asset that a published day updates, partition by day.
    """
    asset = Asset(name)
    shards = ReadArticlesOperator(
        task_id="read_articles",
        pipeline=name,
        prompt=prompt,
        source=source,
        day=day,
        **RETRIES,
        **reading,
    ).output

    def walk(reference: Any) -> Any:
        labelled = {"map_index_template": "{{ shard_label }}", **RETRIES}
        submitted = SubmitBatchOperator(
            task_id="submit_batch",
            shard=reference,
            pipeline=name,
            conn_id=conn_id,
            skip_on_account_trouble=True,
            **labelled,
        )
        ended = MessageBatchSensor(
            task_id="wait_for_batch",
            batch_id=submitted.output,  # type: ignore[arg-type]
            conn_id=conn_id,
            poll_seconds=poll_seconds,
            map_index_template="{{ task.batch_id }}",
            **RETRIES,
        )
        return WriteResultsOperator(
            task_id="write_results",
            shard=reference,
            batch_id=ended.output,  # type: ignore[arg-type]
            pipeline=name,
            conn_id=conn_id,
            **labelled,
        ).output

    results = task_group(group_id="shard")(walk).expand(reference=shards)
    second_shards = CollectFailuresOperator(
        task_id="collect_failures",
        shards=shards,
        results=results,
        conn_id=conn_id,
        # No shard at all, or shards that were not submitted, are skipped; both are this task's business.
        trigger_rule="none_failed",
        **RETRIES,
    ).output
    second_results = task_group(group_id="second_round")(walk).expand(reference=second_shards)
    PublishResultsOperator(
        task_id="publish",
        shards=shards,
        results=results,
        second_shards=second_shards,
        second_results=second_results,
        pipeline=name,
        day=day,
        outlets=[asset],
        # Without failures there is no second round to wait for, and the day is published all the same.
        trigger_rule="none_failed",
        **RETRIES,
    )
    return asset
