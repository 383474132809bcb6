"""The right to POST on a real S3 server that is not moto: see `tests.support.races`."""

from __future__ import annotations

import os

from launch.cluster.servers import BUCKET, S3_KEY, S3_SECRET
from launch.cluster.topology import Cluster
from tests.support.races import run_races
from tests.support.s3_server import options

RACES = 10_000 if os.environ.get("NIGHTPRESS_CLUSTER_SWEEP") else 200


def test_each_race_for_the_right_to_post_has_one_winner(cluster: Cluster) -> None:
    driver = options(cluster.servers.s3_url) | {"key": S3_KEY, "secret": S3_SECRET}
    outcome = run_races(f"s3://{BUCKET}/races", driver, RACES)
    assert outcome.is_exclusive, outcome.describe()
