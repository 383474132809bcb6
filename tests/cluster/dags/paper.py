"""A pipeline with small shards whose articles are on S3, and the report that follows it."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset, AssetAny, CronPartitionTimetable, PartitionedAssetTimetable

from message_batches import WriteReportOperator, message_batch_pipeline
from nightpress.settings import ShardLimits

with DAG(
    "paper",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=4,
    default_args={"retry_delay": timedelta(seconds=5)},
) as paper:
    message_batch_pipeline(
        "paper",
        prompt="Say it shorter.\n\n<article>\n{content}\n</article>",
        limits=ShardLimits(max_requests=250),
        source="s3://aws_default@nightpress/articles/day={day}/*.jsonl",
    )

with DAG(
    "paper_report",
    schedule=PartitionedAssetTimetable(assets=AssetAny(Asset("paper"))),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
) as report:
    WriteReportOperator(
        task_id="write_report", inlets=[Asset("paper")], outlets=[Asset("paper_report")], retries=3
    )
