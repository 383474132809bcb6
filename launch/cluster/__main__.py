"""``make cluster``: start a cluster on this machine, run the sample through it, and stay until Ctrl-C."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from launch.airflow_api import AirflowApiError
from launch.cluster.servers import BUCKET
from launch.cluster.topology import PROJECT, Cluster, describe_processes
from launch.environment import LaunchError
from launch.processes import Interrupted, interruptible

DAG = "article_summaries"
RUN_SECONDS = 600.0


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop when the sample has been published")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nightpress-cluster-"))
    cluster = Cluster(folder)
    try:
        with interruptible(cluster.processes):
            print("Starting Postgres, Redis, S3, the offline API and Airflow …", flush=True)
            cluster.start()
            for name, what in describe_processes(cluster):
                print(f"  {name:<16} {what}")
            _run_sample(cluster)
            if not options.once:
                print("\nBreak something: kill -9 a process above. Ctrl-C ends all of it.", flush=True)
                while True:
                    time.sleep(1)
        return 0
    except Interrupted:
        return 0
    except (LaunchError, AirflowApiError) as error:
        print(f"nightpress cluster: {error}", file=sys.stderr)
        return 1
    finally:
        cluster.stop()
        if options.keep:
            print(f"Logs and data: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _run_sample(cluster: Cluster) -> None:
    """Put the sample into yesterday's inbox, run the pipeline for it, and print the result.

    :raises LaunchError: the run failed or took too long.
    """
    day = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    files = cluster.servers.file_system()
    for path in sorted((PROJECT / "include" / "sample").iterdir()):
        if path.suffix in (".json", ".jsonl"):
            files.put_file(str(path), f"{BUCKET}/nightpress/inbox/day={day}/{path.name}")
    deadline = time.monotonic() + RUN_SECONDS
    run_id = _trigger(cluster, day, deadline)
    print(f"run {run_id} for {day}: {cluster.url}/dags/{DAG}/runs/{run_id}", flush=True)
    while (state := cluster.api.run(DAG, run_id)["state"]) not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise LaunchError(f"{run_id} is {state} after {RUN_SECONDS:.0f} s; see {cluster.processes.logs}")
        time.sleep(1)
    if state == "failed":
        raise LaunchError(f"{run_id} failed; see {cluster.url}/dags/{DAG}/runs/{run_id}")
    published = cluster.api.xcom(DAG, run_id, "publish")
    print(
        f"Published {day}: {published['uri']}: {published['succeeded']:,} of {published['articles']:,} answered"
    )


def _trigger(cluster: Cluster, day: str, deadline: float) -> str:
    while True:
        try:
            cluster.api.dag(DAG)
            cluster.api.set_paused(DAG, False)
            return cluster.api.trigger(DAG, partition_key=day)
        except AirflowApiError as error:
            if error.status != 404 or time.monotonic() > deadline:
                raise
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
