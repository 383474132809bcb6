"""Every promise on Celery, Postgres and S3: what is killed in the middle is paid once and lost never."""

from __future__ import annotations

import pytest

from launch.cluster.topology import Cluster
from tests.support.cluster_runs import (
    DAG,
    ROOT,
    billed,
    billed_by_receipts,
    published_rows,
    put_articles,
    receipt,
    start_run,
    wait_for_run,
    wait_for_task,
    wait_until,
    workers_of,
)

pytestmark = pytest.mark.airflow
ARTICLES = 1_000


def test_a_day_is_paid_once_and_its_second_run_costs_nothing(cluster: Cluster) -> None:
    day, before = "2026-11-18", billed(cluster)
    put_articles(cluster, day, ARTICLES)
    assert wait_for_run(cluster, start_run(cluster, day)) == "success"
    assert billed(cluster) - before == ARTICLES
    assert published_rows(cluster, day) == (ARTICLES, ARTICLES)
    assert wait_for_run(cluster, start_run(cluster, day)) == "success"
    assert billed(cluster) - before == ARTICLES == billed_by_receipts(cluster, day)
    fs = cluster.servers.file_system()
    wait_until("the report of the day", lambda: fs.exists(f"{ROOT}/reports/day={day}/report.html"))
    assert receipt(cluster, day)["paid_usd"] > 0


def test_a_worker_that_dies_while_it_writes_results(cluster: Cluster) -> None:
    day, before = "2026-11-17", billed(cluster)
    put_articles(cluster, day, ARTICLES)
    run_id = start_run(cluster, day)
    wait_for_task(cluster, run_id, "shard.write_results", "running")
    hosts = workers_of(cluster, run_id, "shard.write_results")
    cluster.kill("worker-1" if any("worker-1" in host for host in hosts) or not hosts else "worker-2")
    assert wait_for_run(cluster, run_id) == "success"
    assert billed(cluster) - before == ARTICLES == billed_by_receipts(cluster, day)
    assert published_rows(cluster, day) == (ARTICLES, ARTICLES)


def test_a_triggerer_a_scheduler_and_the_servers_die_while_batches_are_waited_for(cluster: Cluster) -> None:
    day, before = "2026-11-16", billed(cluster)
    put_articles(cluster, day, ARTICLES)
    run_id = start_run(cluster, day)
    wait_for_task(cluster, run_id, "shard.submit_batch", "running", "success")
    cluster.kill("scheduler-1")
    wait_for_task(cluster, run_id, "shard.wait_for_batch", "deferred", "success")
    for name in ("triggerer-1", "redis", "s3"):
        cluster.kill(name)
    cluster.servers.start_one("redis")
    cluster.servers.start_one("s3")
    assert wait_for_run(cluster, run_id) == "success"
    assert billed(cluster) - before == ARTICLES == billed_by_receipts(cluster, day)
    assert published_rows(cluster, day) == (ARTICLES, ARTICLES)


def test_days_side_by_side_while_a_worker_is_replaced(cluster: Cluster) -> None:
    days, before = ("2026-11-13", "2026-11-14"), billed(cluster)
    for day in days:
        put_articles(cluster, day, ARTICLES // 2)
    runs = [start_run(cluster, day) for day in days]
    wait_for_task(cluster, runs[0], "shard.submit_batch", "running", "success")
    cluster.stop_warmly("worker-2")
    cluster.start_component("worker-2")
    assert [wait_for_run(cluster, run) for run in runs] == ["success", "success"]
    assert billed(cluster) - before == ARTICLES == billed_by_receipts(cluster, *days)
    assert [published_rows(cluster, day) for day in days] == [(ARTICLES // 2, ARTICLES // 2)] * 2


def test_nothing_is_left_aside_on_s3(cluster: Cluster) -> None:
    fs = cluster.servers.file_system()
    names = [name.rsplit("/", 1)[-1] for name in fs.find(ROOT)]
    assert names
    assert [name for name in names if name.endswith(".aside")] == []
    assert cluster.api.runs(DAG)
