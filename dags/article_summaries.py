"""# Article summaries

Every night after midnight: the day's articles are read, sent to Claude in message batches at half the
list price, and their two-sentence summaries published as one Parquet file for the day.

**By hand**: trigger with a source of your own (a file, glob or folder of JSON, JSONL, CSV or Parquet).
**Backfill**: choose a range of days; what was submitted before is found again, not paid for twice.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, CronPartitionTimetable, Param
from message_batches.pipeline import message_batch_pipeline

from include.settings import DEFAULT_MAX_TOKENS, DEFAULT_MODEL, SUMMARY_PROMPT

with DAG(
    "article_summaries",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=4,
    doc_md=__doc__,
    tags=["nightpress", "daily"],
    params={
        "source": Param(
            None,
            type=["null", "string"],
            description="File, glob or folder of articles, here or on an object store. Empty: the day's inbox.",
        ),
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            description="The day to publish, for a run without a partition. Empty: the run's own day.",
        ),
        "model": Param(
            DEFAULT_MODEL, type="string", minLength=1, description="Model id, e.g. claude-haiku-4-5."
        ),
        "prompt": Param(
            SUMMARY_PROMPT,
            type="string",
            format="multiline",
            description="What is asked of each article: {content}, and if wanted {title} and {id}, are filled in.",
        ),
        "max_tokens": Param(
            DEFAULT_MAX_TOKENS, type="integer", minimum=1, description="Most tokens of one answer."
        ),
        "limit": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            description="Only the first so many articles. Empty: all.",
        ),
    },
) as dag:
    message_batch_pipeline("article_summaries", **{name: dag.param(name) for name in dag.params})
