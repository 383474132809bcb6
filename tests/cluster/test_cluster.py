"""Every promise on Celery, Postgres and S3: what is killed in the middle is paid once and lost never.

Without ``NIGHTPRESS_CLUSTER_SWEEP`` a sample is run; ``make cluster-test`` runs all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from launch.cluster.topology import Cluster
from nightpress.costs.money import dollars
from tests.support.cluster_runs import (
    DAG,
    ROOT,
    ClusterClock,
    backfill,
    billed,
    billed_by_receipts,
    published_rows,
    put_articles,
    receipt,
    start_run,
    triggerers_of,
    wait_for_run,
    wait_for_task,
    wait_until,
    workers_of,
)
from tests.support.offline_clock import BATCH_SECONDS, batches_ending

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.airflow
ARTICLES = 500
sweep = pytest.mark.sweep


def start_days(cluster: Cluster, days: Sequence[str]) -> list[str]:
    """Put articles for some days and start a run for each."""
    for day in days:
        put_articles(cluster, day, ARTICLES)
    return [start_run(cluster, day) for day in days]


def check_days(cluster: Cluster, runs: Sequence[str], days: Sequence[str], billed_before: int) -> None:
    """Every run succeeds, each article is paid once by the API's meter and the receipts, and none is lost."""
    with batches_ending(ClusterClock(cluster)):
        assert [wait_for_run(cluster, run) for run in runs] == ["success"] * len(runs)
    assert billed(cluster) - billed_before == ARTICLES * len(days) == billed_by_receipts(cluster, *days)
    assert [published_rows(cluster, day) for day in days] == [(ARTICLES, ARTICLES)] * len(days)


def test_a_day_is_paid_once_and_its_second_run_costs_nothing(cluster: Cluster, browser: Browser) -> None:
    days, before = ["2026-11-18"], billed(cluster)
    runs = start_days(cluster, days)
    wait_until("both shards wait", lambda: triggerers_of(cluster, *runs).keys() >= {0, 1})
    # Moved only once, so that the page shows a plausible duration.
    ClusterClock(cluster).advance_clock(BATCH_SECONDS + 60)
    assert wait_for_run(cluster, *runs) == "success"
    check_days(cluster, runs, days, before)
    fs = cluster.servers.file_system()
    wait_until("the report of the day", lambda: fs.exists(f"{ROOT}/reports/day={days[0]}/report.html"))
    assert receipt(cluster, *days)["paid_usd"] > 0
    look_in_browser(cluster, browser, *runs, *days)
    # No batch is made, so none need end.
    assert wait_for_run(cluster, start_run(cluster, *days)) == "success"
    assert billed(cluster) - before == ARTICLES == billed_by_receipts(cluster, *days)


def look_in_browser(cluster: Cluster, browser: Browser, run_id: str, day: str) -> None:
    """See the page, a plan and the report, which the API server reads from S3; keep pictures if they are wanted."""
    paid = dollars(receipt(cluster, day)["paid_usd"])
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.goto(cluster.login_link())
    for name, path, texts in (
        ("batches", f"batches?day={day}", ("published", paid, "msgbatch_")),
        ("plan", f"plans/{DAG}/{day}/{quote(run_id, safe='')}", (f"{ARTICLES}",)),
        ("report", f"reports/{day}", ("every article answered", paid)),
    ):
        page.goto(f"{cluster.url}/nightpress/{path}")
        for text in texts:
            page.locator("body").get_by_text(text).first.wait_for(timeout=60_000)
        if folder := os.environ.get("NIGHTPRESS_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"s3-{name}.png", full_page=name == "plan")
    page.close()


def test_a_backfill_goes_on_when_a_worker_dies_writing_results(cluster: Cluster) -> None:
    days, before = ["2026-11-13", "2026-11-14"], billed(cluster)
    for day in days:
        put_articles(cluster, day, ARTICLES)
    runs = backfill(cluster, days)
    with batches_ending(ClusterClock(cluster)):
        wait_for_task(cluster, runs[0], "shard.write_results", "running")
    cluster.kill(min(workers_of(cluster, runs[0], "shard.write_results"), default="worker-1"))
    check_days(cluster, runs, days, before)


def test_a_triggerer_a_scheduler_and_the_servers_die_while_batches_are_waited_for(cluster: Cluster) -> None:
    days, before = ["2026-11-16"], billed(cluster)
    runs = start_days(cluster, days)
    wait_for_task(cluster, runs[0], "shard.submit_batch", "running", "success")
    cluster.kill("scheduler-1")
    # No batch ends before the clock is moved: both shards wait in a triggerer when it is killed.
    wait_until(
        "both shards wait", lambda: all(triggerers_of(cluster, runs[0]).get(shard) for shard in (0, 1))
    )
    killed = triggerers_of(cluster, runs[0])[0]
    for name in (killed, "redis", "s3"):
        cluster.kill(name)
    cluster.servers.start_one("redis")
    cluster.servers.start_one("s3")
    (other,) = {"triggerer-1", "triggerer-2"} - {killed}
    wait_until(
        "the other triggerer has them", lambda: triggerers_of(cluster, runs[0]) == {0: other, 1: other}
    )
    check_days(cluster, runs, days, before)


@sweep
def test_a_worker_that_dies_while_it_submits(cluster: Cluster) -> None:
    """A POST whose outcome is not known is not repeated before it is sure that no batch came of it."""
    days, before = ["2026-11-12"], billed(cluster)
    runs = start_days(cluster, days)
    wait_for_task(cluster, runs[0], "shard.submit_batch", "running")
    cluster.kill(min(workers_of(cluster, runs[0], "shard.submit_batch"), default="worker-1"))
    with batches_ending(ClusterClock(cluster)):
        assert wait_for_run(cluster, runs[0], 1_200.0) == "success"
    check_days(cluster, runs, days, before)


@sweep
def test_a_worker_is_replaced_in_good_order(cluster: Cluster) -> None:
    days, before = ["2026-11-10", "2026-11-11"], billed(cluster)
    runs = start_days(cluster, days)
    wait_for_task(cluster, runs[0], "shard.submit_batch", "running", "success")
    cluster.stop_warmly("worker-2")
    cluster.start_component("worker-2")
    check_days(cluster, runs, days, before)


def test_nothing_is_left_aside_on_s3(cluster: Cluster) -> None:
    fs = cluster.servers.file_system()
    names = [name.rsplit("/", 1)[-1] for name in fs.find(ROOT)]
    assert names
    assert [name for name in names if name.endswith(".aside")] == []
    assert cluster.api.runs(DAG)
