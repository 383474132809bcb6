"""A whole Airflow for one test: its own home, ports, database and data root.

with AirflowInstance(tmp_path, base_url=server.url, key="test-key") as airflow:
    run_id = airflow.trigger("article_summaries", {"source": str(path)}, partition_key="2026-11-22")
    assert airflow.wait(run_id)["state"] == "success"
"""

from __future__ import annotations

import atexit
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from types import TracebackType
from typing import Any, Self

import psutil

from launch.airflow_api import AirflowApi
from launch.environment import IMPORT_BEFORE_FORK, Layout
from launch.instance import API_SERVER, COMPONENTS, Instance, airflow_component
from launch.orphans import session_members
from message_batches.command.command_settings import Api

PROJECT = Path(__file__).resolve().parents[2]
STUB_DAGS = PROJECT / "tests" / "integration" / "stub_dags"
NOWHERE = "http://127.0.0.1:9"
QUICK = {
    # No test edits a DAG file while its Airflow runs: reading all of them every 15 s would waste half a core.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
    # An idle scheduler loop runs again after half a second instead of one.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    # A task's own imports take a quarter of its time. Tests of the cluster and of the launcher still import in tasks.
    IMPORT_BEFORE_FORK: "nightpress message_batches",
}
"""Settings that make a test's Airflow lighter than one for users."""

_migrated: list[Path] = []


class AirflowInstance:
    """A test's own Airflow; `stop` ends all its processes.

    :param folder: an empty folder for home (``airflow``) and data root (``data``).
    :param base_url: of the Message Batches API, e.g. an offline one (default: an address that refuses connections).
    :param key: sent as ``x-api-key``.
    :param env: settings added for all components, ``AIRFLOW__…`` included.
    :param dags: folder of the DAGs (default: the project's).
    :param plugins: folder of the plugins (default: the project's).
    :param schedules: True lets the scheduler start scheduled and asset-triggered runs by itself.
    :param project: the project root (default: this checkout).
    :param quick: False runs it with the settings of ``make run``, for measurements.
    """

    def __init__(
        self,
        folder: Path,
        *,
        base_url: str = NOWHERE,
        key: str = "test-key",
        env: Mapping[str, str] | None = None,
        dags: Path | None = None,
        plugins: Path | None = None,
        schedules: bool = False,
        project: Path = PROJECT,
        quick: bool = True,
    ) -> None:
        self.folder = folder
        self.home = folder / "airflow"
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        layout = Layout(project, self.home, self.data.as_uri(), dags, plugins)
        # Tests keep their articles in temporary folders, which a trigger form could not name otherwise.
        own = (QUICK if quick else {}) | {"NIGHTPRESS_ALLOWED_SOURCES": gettempdir()} | dict(env or {})
        self.instance = Instance(layout, api=Api(key, base_url), own=own, schedules=schedules, login=False)
        self._dag_of: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api(self) -> AirflowApi:
        """The REST client."""
        return self.instance.api

    @property
    def database_path(self) -> Path:
        """Airflow's SQLite file."""
        return self.instance.layout.database

    @property
    def logs_dir(self) -> Path:
        """Task logs, and the components' own as ``launch-<component>.log``."""
        return self.instance.layout.logs

    @property
    def environment(self) -> dict[str, str]:
        """The components' environment, for commands beside them."""
        return self.instance.environment()

    def start(self, seconds: float = 180.0) -> None:
        """Start all components and wait until each has sent a heartbeat."""
        self._seed_database()
        self.instance.migrate()
        self.instance.start()
        self.instance.wait_healthy(seconds)

    def _seed_database(self) -> None:
        if self.database_path.exists():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        if not _migrated:
            folder = mkdtemp(prefix="nightpress-db-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            template = Instance(Layout(PROJECT, Path(folder), ""), api=Api("", NOWHERE))
            template.migrate()
            _migrated.append(template.layout.home)
        for name in ("airflow.db", "launch-migrated"):
            shutil.copy(_migrated[0] / name, self.home / name)

    def stop(self) -> None:
        """Stop everything, in good order where possible."""
        self.instance.stop()

    def kill(self, component: str) -> None:
        """SIGKILL one of api-server, task-api, scheduler, triggerer, dag-processor, and all its processes."""
        self.instance.processes.kill(component)

    def start_component(self, name: str, env: Mapping[str, str] | None = None) -> None:
        """Start a killed or stopped component, with additional settings; return at once."""
        component = airflow_component(name, self.instance.task_port)
        self.instance.processes.start(component, self.environment | dict(env or {}))
        if name == API_SERVER:
            self.instance.wait_for_api()

    def pids(self) -> list[int]:
        """Every live process of this instance."""
        return self.instance.processes.pids()

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        partition_key: str | None = None,
        *,
        unpause: bool = True,
    ) -> str:
        """Start a manual run of the DAG as its file is now, and give the run's id."""
        self.instance.wait_for_dag(dag_id)
        if unpause:
            self.api.set_paused(dag_id, False)
        run_id = self.api.trigger(dag_id, conf=conf, partition_key=partition_key)
        self._dag_of[run_id] = dag_id
        return run_id

    def wait(self, run_id: str, timeout: float = 180.0, *, dag_id: str | None = None) -> dict[str, Any]:
        """Wait until the run is over and give it as the REST API does; the caller checks its state.

        :raises TimeoutError: it is not over in time; the message has the states of its tasks.
        """
        dag_id = dag_id or self._dag_of[run_id]
        deadline = time.monotonic() + timeout
        while (run := self.api.run(dag_id, run_id))["state"] not in ("success", "failed"):
            self.instance.check()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{run_id} is {run['state']} after {timeout:.0f} s: {self.states(run_id, dag_id)}"
                )
            time.sleep(0.3)
        return run

    def wait_for_state(
        self, run_id: str, task_id: str, state: str, *, count: int = 1, timeout: float = 90.0
    ) -> None:
        """Wait until a number of instances of a task are in a state.

        :raises TimeoutError: they are not in time; the message has the states of all tasks.
        """
        deadline = time.monotonic() + timeout
        while list(self.states(run_id).get(task_id, {}).values()).count(state) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"no {count} × {task_id} {state} in {timeout:.0f} s: {self.states(run_id)}"
                )
            time.sleep(0.3)

    def states(self, run_id: str, dag_id: str | None = None) -> dict[str, dict[int, str | None]]:
        """Give the state of each task by map index."""
        states: dict[str, dict[int, str | None]] = {}
        for instance in self.api.task_instances(dag_id or self._dag_of[run_id], run_id):
            states.setdefault(instance["task_id"], {})[instance["map_index"]] = instance["state"]
        return states

    def xcom(self, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """Give the return value of a task."""
        return self.api.xcom(self._dag_of[run_id], run_id, task_id, map_index=map_index)


def processes_with_home(home: Path) -> list[int]:
    """List the processes that belong to this home, whoever started them.

    Airflow's workers and API server change their process titles, which erases command line and environment;
    they are recognised by their output, which goes to a log in the home.
    """
    wanted = str(home)
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("AIRFLOW_HOME", "")]
            words += [file.path for file in process.open_files()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(wanted in word for word in words):
            found.append(process.pid)
    return found


__all__ = ["COMPONENTS", "STUB_DAGS", "AirflowInstance", "processes_with_home", "session_members"]
