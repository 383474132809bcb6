"""# Daily report

What the night came to, to be read in the morning: one HTML file and one Markdown for each day, over all
pipelines that published it, under `reports/day=YYYY-MM-DD/`. It follows the published partition by itself, in
backfills too, and costs nothing.

**By hand**: trigger with a day to write its report again, e.g. after another pipeline published it.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Asset, Param, PartitionedAssetTimetable
from message_batches import WriteReportOperator

ANSWERS = Asset("article_summaries")

with DAG(
    "daily_report",
    schedule=PartitionedAssetTimetable(assets=ANSWERS),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
    # Not 1: events of days that would have to wait are lost upstream. Reports of two days do not meet.
    max_active_runs=4,
    doc_md=__doc__,
    tags=["nightpress", "daily"],
    params={
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description="The day to report on, for a run by hand. Empty: the run's own day.",
        ),
    },
) as dag:
    WriteReportOperator(
        task_id="write_report",
        day=dag.param("day"),
        inlets=[ANSWERS],
        outlets=[Asset("daily_report")],
        retries=3,
        retry_delay=pendulum.duration(seconds=15),
    )
