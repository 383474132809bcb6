"""Pipelines with small shards, so that a few articles make many batches."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset, Param

from message_batches import (
    MessageBatchSensor,
    ReadArticlesOperator,
    SubmitBatchOperator,
    message_batch_pipeline,
    send_requests,
)
from nightpress.settings import DEFAULT_MAX_CONTENT_CHARS, ShardLimits

SUMMARY_PROMPT = """Summarize the following article in exactly two sentences, in the article's own language.

<title>{title}</title>
<article>
{content}
</article>"""

for name, size, conn_id in (
    ("shards_of_3", 3, "anthropic_default"),
    ("shards_of_1000", 1000, "anthropic_default"),
    ("wrong_key_pipeline", 2, "wrong_key"),
):
    with DAG(
        name,
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        params={"source": Param("", type="string"), "day": Param(None, type=["null", "string"])},
    ) as dag:
        message_batch_pipeline(
            name,
            prompt=SUMMARY_PROMPT,
            source=dag.param("source"),
            day=dag.param("day"),
            conn_id=conn_id,
            # Room for an answer that repeats all that was sent, a token a character: none is ever cut off.
            max_tokens=DEFAULT_MAX_CONTENT_CHARS,
            limits=ShardLimits(max_requests=size),
            on_missing_day="publish_empty",
        )

with DAG(
    "short_wait",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
) as impatient:
    message_batch_pipeline(
        "short_wait",
        prompt=SUMMARY_PROMPT,
        approve_above_usd=1e-6,
        approval_timeout=timedelta(seconds=5),
    )

with DAG(
    "waits_for_approval",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"source": Param("", type="string"), "day": Param(None, type=["null", "string"])},
) as waits:
    message_batch_pipeline(
        "waits_for_approval",
        prompt=SUMMARY_PROMPT,
        source=waits.param("source"),
        day=waits.param("day"),
        approve_above_usd=1e-6,
    )

with DAG(
    "single_operators",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"source": Param("", type="string")},
) as alone:
    shards = ReadArticlesOperator(
        task_id="read", pipeline="alone", prompt="{content}", source=alone.param("source")
    ).output
    batches = SubmitBatchOperator.partial(task_id="submit", pipeline="alone").expand(shard=shards)
    MessageBatchSensor.partial(task_id="wait", outlets=[Asset("alone")]).expand(batch_id=batches.output)

for name in ("often_scheduled", "often_scheduled_by_hand"):
    # Paused until a test switches it on: its latest slot is then some seconds old.
    with DAG(
        name,
        schedule=timedelta(seconds=20),
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=True,
    ):
        if name == "often_scheduled":
            # No run of it can spend: the plan says what the run would have done.
            message_batch_pipeline(name, prompt=SUMMARY_PROMPT, max_cost_usd=1e-9)
        else:
            send_requests(name, [], max_cost_usd=1e-9)
