"""One Airflow for all modules of this folder: the tests' own pipelines, whose shards are small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.running_airflow import PROJECT
from tests.support.shared_airflow import SharedAirflow, shared_airflow

KEY = "sk-ant-marker-KEY-7f3a9c"
WRONG_KEY = "the-wrong-one"


@pytest.fixture(scope="package")
def key() -> str:
    """Return the key that must be nowhere in Airflow."""
    return KEY


@pytest.fixture(scope="package")
def wrong_key() -> str:
    """Return the key of the connection ``wrong_key``."""
    return WRONG_KEY


@pytest.fixture(scope="package")
def _airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedAirflow]:
    folder = tmp_path_factory.mktemp("small-shards")
    dags = PROJECT / "tests" / "integration" / "dags"
    with shared_airflow(folder, KEY, dags=dags, schedules=True, wrong_key=WRONG_KEY) as shared:
        yield shared


@pytest.fixture(scope="module")
def shared(_airflow: SharedAirflow) -> SharedAirflow:
    """Return the Airflow, as if it were new."""
    _airflow.begin_anew()
    return _airflow
