"""One cluster for all tests of this folder: it takes most of a minute to start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.cluster.servers import missing_programs
from launch.cluster.topology import Cluster
from tests.support.offline_clock import BATCH_SECONDS

DAGS = Path(__file__).parent / "dags"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what takes long to ``make cluster-test``; pytest's last line counts it as deselected."""
    if os.environ.get("NIGHTPRESS_CLUSTER_SWEEP"):
        return
    left_out = [item for item in items if item.get_closest_marker("sweep")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster: two schedulers, triggerers and workers, Postgres, Redis and S3."""
    if missing := missing_programs():
        pytest.fail(
            f"the cluster's tests need {', '.join(missing)}: set-up installs them as wheels on Linux; elsewhere "
            "install Debian's packages postgresql and redis-server"
        )
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, dags=DAGS, seconds_per_batch=BATCH_SECONDS) as running:
        yield running


@pytest.fixture(autouse=True)
def whole_cluster(cluster: Cluster) -> Iterator[None]:
    """Start again, after a test, what it has killed."""
    yield
    for name in ("postgres", "redis", "s3", *cluster.components):
        if not cluster.processes.is_running(name):
            if name in ("postgres", "redis", "s3"):
                cluster.servers.start_one(name)
            else:
                cluster.start_component(name)
