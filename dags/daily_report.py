"""# Daily report

What the night came to, to be read in the morning, under `reports/day=YYYY-MM-DD/`: `report.html`, a short `report.md`
to be mailed, and `report-full.md`. It covers all pipelines that published the day, follows each of them by itself, in
backfills too, costs nothing, and opens with the digest of the day when there is one.

**Your own pipeline** is in it as soon as it publishes a day. **By hand**: trigger with a day to write its report again.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Asset, Param, PartitionedAssetTimetable

from message_batches import PUBLISHED_DAYS, WriteReportOperator

with DAG(
    "daily_report",
    schedule=PartitionedAssetTimetable(assets=PUBLISHED_DAYS),
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
        inlets=[PUBLISHED_DAYS],
        outlets=[Asset("daily_report")],
        retries=3,
        retry_delay=pendulum.duration(seconds=15),
    )
