"""# Daily report

What the night came to, to be read in the morning: one HTML file and one Markdown for each day, over all
pipelines that published it, under `reports/day=YYYY-MM-DD/`. It follows what they publish by itself, in
backfills too, costs nothing, and opens with the digest of the day when there is one.

**Your own pipeline**: add its name below. **By hand**: trigger with a day to write its report again.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Asset, AssetAny, Param, PartitionedAssetTimetable

from message_batches import WriteReportOperator

EXAMPLES = (
    *("compare_prompts", "digest_of_the_day", "moderate", "product_descriptions", "question_pairs"),
    "translate",
)
ANSWERS = [Asset(name) for name in ("article_summaries", *EXAMPLES)]

with DAG(
    "daily_report",
    schedule=PartitionedAssetTimetable(assets=AssetAny(*ANSWERS)),
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
        inlets=ANSWERS,
        outlets=[Asset("daily_report")],
        retries=3,
        retry_delay=pendulum.duration(seconds=15),
    )
