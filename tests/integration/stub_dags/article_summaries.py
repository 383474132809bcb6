"""A stand-in for the pipeline with the same task ids and XComs, for tests of the launcher alone.

It reads no article and calls no API: `conf` says how many shards there are, how long each waits, and whether
the write of one of them fails.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, CronPartitionTimetable, get_current_context, task, task_group


class StubWaitOperator(BaseOperator):
    """Defers as the sensor of the pipeline does; the first wait is long enough to avoid the deferral race."""

    template_fields = ("batch_id",)

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def execute(self, context: Any) -> None:
        seconds = float((context["dag_run"].conf or {}).get("wait_seconds", 12))
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=seconds)), method_name="resume")

    def resume(self, context: Any, event: Any = None) -> str:
        return self.batch_id


@task
def read_articles() -> list[dict[str, Any]]:
    conf = get_current_context()["dag_run"].conf or {}
    count = int(conf.get("shards", 2))
    return [
        {"uri": f"file:///stub/{i}", "articles": 20, "bytes": 1000, "key": f"{i:032x}"} for i in range(count)
    ]


@task
def submit_batch(shard: dict[str, Any]) -> str:
    return f"msgbatch_stub_{shard['key'][-4:]}"


@task
def write_results(batch_id: str) -> int:
    context = get_current_context()
    if (context["dag_run"].conf or {}).get("fail") and context["ti"].map_index == 0:
        raise ValueError(f"the results of {batch_id} could not be written, as asked")
    return 20


@task
def publish() -> dict[str, Any]:
    run = get_current_context()["dag_run"]
    articles = 20 * int((run.conf or {}).get("shards", 2))
    return {
        "uri": f"file:///stub/article_summaries/day={run.partition_key}/answers.parquet",
        "day": run.partition_key,
        "pipeline": "article_summaries",
        "articles": articles,
        "succeeded": articles - 3,
        "failed": {"errored": 2, "expired": 1},
        "rejected": 4,
        "rejected_uri": "file:///stub/rejected.parquet",
        "input_tokens": 12_345,
        "output_tokens": 2_345,
        "cost_usd": 0.012,
        "list_cost_usd": 0.024,
        "saved_usd": 0.012,
        "batches": 2,
        "reused": 0,
    }


with DAG(
    "article_summaries",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 0},
):

    @task_group(group_id="shard")
    def shard_group(shard: dict[str, Any]) -> None:
        batch = submit_batch(shard)
        waited = StubWaitOperator(
            task_id="wait_for_batch", batch_id=batch, retries=3, retry_delay=timedelta(seconds=1)
        )
        write_results(waited.output)

    shard_group.expand(shard=read_articles()) >> publish()
