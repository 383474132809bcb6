"""One Airflow for all modules of this folder: the project's own DAGs, with schedules and assets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.shared_airflow import SharedAirflow, shared_airflow
from tests.support.statsd_server import StatsdServer


@pytest.fixture(scope="package")
def _metrics() -> Iterator[StatsdServer]:
    with StatsdServer() as server:
        yield server


@pytest.fixture(scope="package")
def _airflow(tmp_path_factory: pytest.TempPathFactory, _metrics: StatsdServer) -> Iterator[SharedAirflow]:
    with (
        own_folder(tmp_path_factory) as folder,
        shared_airflow(folder, "test-key", schedules=True, env=_metrics.settings()) as shared,
    ):
        yield shared


@contextmanager
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder; where pictures are taken, the same on every machine, because they show it."""
    if "NIGHTPRESS_SCREENSHOTS" not in os.environ:
        yield tmp_path_factory.mktemp("project-dags")
        return
    shown = Path("/tmp/nightpress")
    shown.mkdir()
    try:
        yield shown
    finally:
        shutil.rmtree(shown, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(_airflow: SharedAirflow) -> SharedAirflow:
    """Return the Airflow, as if it were new."""
    _airflow.begin_anew()
    return _airflow


@pytest.fixture(scope="module")
def metrics(shared: SharedAirflow, _metrics: StatsdServer) -> StatsdServer:
    """Return what receives Airflow's metrics, without those of earlier modules."""
    del shared
    _metrics.forget()
    return _metrics
