"""# Article summaries

Every night after midnight: the day's articles are read, sent to Claude in message batches at half the
list price, and their two-sentence summaries published as one Parquet file for the day.

**By hand**: press Trigger, fill the form: which articles, which question, how much it may cost. The first
task's log, and *Plan* under its *Details*, show what would be sent and paid; *Plan only* ends there.

**Backfill**: choose a range of days. A day that is done and unchanged costs nothing; changed or new articles
are paid for alone; a changed prompt pays again, and the plan says so first.

**Afterwards**: the answers are one Parquet a day, and the `daily_report` follows by itself.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, CronPartitionTimetable

from message_batches import message_batch_pipeline

SUMMARY_PROMPT = """Summarize the following article in exactly two sentences, in the article's own language.

<title>{title}</title>
<article>
{content}
</article>"""

with DAG(
    "article_summaries",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=4,
    doc_md=__doc__,
    tags=["nightpress", "daily"],
) as dag:
    message_batch_pipeline("article_summaries", prompt=SUMMARY_PROMPT)
