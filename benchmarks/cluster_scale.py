"""100,000 articles through a cluster: ``python -m benchmarks.cluster_scale [ARTICLES]``.

The cluster of ``make cluster`` (Celery, Postgres, Redis, two schedulers, triggerers and workers), first with source and
data root on a shared disk, then on S3. It prints the seconds from trigger to published day, the CPU of all Airflow
processes, the requests to the S3 server, and the peak memory of the largest worker process. For the laptop row:
``python -m benchmarks.end_to_end``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.contest import say
from benchmarks.end_to_end import DAG_ID, DAY, write_articles
from benchmarks.sampling import Sampler, cpu_seconds, private_mb
from launch.airflow_api import AirflowApiError
from launch.cluster.servers import BUCKET
from launch.cluster.topology import Cluster
from launch.orphans import session_members

ARTICLES = 100_000
_TIMEOUT_SECONDS = 1_800.0


class _Workers(Sampler):
    """The peak memory of the workers' processes, and the CPU of all of Airflow's."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        leaders = cluster.processes.leaders()
        self._sessions = [pid for name, pid in leaders.items() if name.startswith("worker")]
        self._all = [leaders[name] for name in cluster.components]
        self._cpu_before = cpu_seconds(session_members(self._all))
        self.peak_mb = 0.0

    def cpu(self) -> float:
        """Return the seconds of CPU since the start."""
        return cpu_seconds(session_members(self._all)) - self._cpu_before

    def sample(self) -> None:
        """Look at all of them."""
        for pid in session_members(self._sessions):
            with suppress(psutil.Error):
                self.peak_mb = max(self.peak_mb, private_mb(psutil.Process(pid)))


def measure(articles: int, *, on_s3: bool) -> str:
    """Publish a day and return a row of the table."""
    with tempfile.TemporaryDirectory(prefix="nightpress-scale-") as name:
        folder = Path(name)
        source = folder / "articles.jsonl"
        write_articles(source, articles)
        settings = {"NIGHTPRESS_ALLOWED_SOURCES": f"{folder},s3://aws_default@{BUCKET}"}
        if not on_s3:
            (folder / "root").mkdir()
            settings["NIGHTPRESS_ROOT"] = (folder / "root").as_uri()
        with Cluster(folder / "cluster", settings=settings, seconds_per_batch=0) as cluster:
            given = str(source)
            if on_s3:
                cluster.servers.file_system().put_file(given, f"{BUCKET}/articles/articles.jsonl")
                given = f"s3://aws_default@{BUCKET}/articles/articles.jsonl"
            before = cluster.servers.s3_requests()
            with _Workers(cluster) as workers:
                seconds = _publish(cluster, given, articles)
                cpu = workers.cpu()
            made = cluster.servers.s3_requests()
    requests = {kind: count - before.get(kind, 0) for kind, count in made.items()}
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(requests.items()) if count)
    place = "S3" if on_s3 else "local disk"
    counted = f"{sum(requests.values())} ({told})" if on_s3 else "none"
    return f"| cluster, {place} | {seconds:.0f} s | {cpu:.0f} s | {counted} | {workers.peak_mb:.0f} MB |"


def _publish(cluster: Cluster, source: str, articles: int) -> float:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        with suppress(AirflowApiError):
            cluster.api.dag(DAG_ID)
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"Airflow has not read {DAG_ID}")
        time.sleep(1)
    conf = {"source": source, "max_cost_usd": 1_000_000, "approve_above_usd": 1_000_000}
    cluster.api.set_paused(DAG_ID, False)
    started = time.monotonic()
    run_id = cluster.api.trigger(DAG_ID, conf=conf, partition_key=DAY)
    while (state := cluster.api.run(DAG_ID, run_id)["state"]) not in ("success", "failed"):
        cluster.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{run_id} is {state}")
        time.sleep(1)
    seconds = time.monotonic() - started
    published = cluster.api.xcom(DAG_ID, run_id, "publish")
    assert published["articles"] == published["succeeded"] == articles, published
    return seconds


def main() -> None:
    """Print the table."""
    articles = int(sys.argv[1]) if len(sys.argv) > 1 else ARTICLES
    rows = [
        "| where | trigger to published | CPU of Airflow's processes | requests to S3 | largest process of a worker |",
        "|---|---|---|---|---|",
    ]
    for on_s3 in (False, True):
        rows.append(measure(articles, on_s3=on_s3))
        say(rows[-1])
    print("\n".join(rows))


if __name__ == "__main__":
    main()
