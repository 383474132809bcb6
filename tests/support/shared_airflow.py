"""An Airflow that the modules of one folder share; it is reset for each of them.

A start costs a minute of CPU, more than most of the tests that use it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import BATCH_SECONDS
from tests.support.running_airflow import AirflowInstance

ENDED = ("success", "failed")
ALWAYS_ON = ("daily_report",)
"""DAGs that are not paused when Airflow first sees them."""


@dataclass(frozen=True, slots=True)
class SharedAirflow:
    """An offline API, whose batches end when a test says so, and an Airflow that uses it."""

    server: LocalApiServer
    airflow: AirflowInstance

    def begin_anew(self) -> None:
        """Remove what earlier modules left: faults, batches, files, waiting runs and unpaused DAGs."""
        api = self.airflow.api
        for dag in api.call("GET", "/api/v2/dags", query={"paused": False})["dags"]:
            if dag["dag_id"] not in ALWAYS_ON:
                api.set_paused(dag["dag_id"], True)
        for run in api.call("GET", "/api/v2/dags/~/dagRuns", query={"limit": 1000})["dag_runs"]:
            if run["state"] not in ENDED:
                api.set_run_state(run["dag_id"], run["dag_run_id"], "failed")
        self.server.reset()
        self.server.request("DELETE", "/local/faults")
        for path in self.airflow.data.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def shared_airflow(
    folder: Path, key: str, *, wrong_key: str = "", env: Mapping[str, str] | None = None, **options: Any
) -> Iterator[SharedAirflow]:
    """Start both.

    :param key: the only one that the offline API accepts.
    :param wrong_key: key of a connection that has this name.
    :param options: passed to `AirflowInstance`.
    """
    with LocalApiServer(folder / "api", seconds_per_batch=BATCH_SECONDS, key=key) as server:
        wrong = {"conn_type": "anthropic", "password": wrong_key, "host": server.base_url}
        settings = {"AIRFLOW_CONN_WRONG_KEY": json.dumps(wrong), **(env or {})}
        with AirflowInstance(folder, base_url=server.base_url, key=key, env=settings, **options) as airflow:
            yield SharedAirflow(server, airflow)
