"""One Airflow on this machine: its components, from the first migration to the last process gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from launch.airflow_api import AirflowApi, AirflowApiError
from launch.environment import LaunchError, Layout, airflow_environment, free_port
from launch.login import USER, read_secrets, write_login
from launch.processes import Component, Processes
from message_batches.command.command_settings import Api

API_SERVER = "api-server"
TASK_API = "task-api"
"""The API that running tasks report to, in a process of its own.

Airflow's UI writes its audit log inside the server's event loop (``log_action``). On SQLite, with a task's
request of the same process holding the write lock until that loop continues, both wait until the lock times
out: a click on Trigger while tasks start hung for a minute.
"""

OFFLINE_API = "offline-api"
APIS = (API_SERVER, TASK_API)
COMPONENTS = (*APIS, "scheduler", "triggerer", "dag-processor")
START_SECONDS = 120.0

Notify = Callable[[str], None]


class Instance:
    """An Airflow with its own home, ports and data root.

    :param layout: its folders.
    :param api: the Message Batches API; None starts the offline one with the instance.
    :param port: preferred port of the UI; another free one is taken if it is in use.
    :param base: the inherited environment (default: this process's).
    :param own: settings for this instance, e.g. from ``.env``.
    :param schedules: False for manual runs only, see `airflow_environment`.
    :param login: False lets in everybody who can connect; only for tests.
    :param lock: the held lock file of the home, if any.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        api: Api | None = None,
        port: int | None = None,
        base: Mapping[str, str] | None = None,
        own: Mapping[str, str] | None = None,
        schedules: bool = True,
        login: bool = True,
        lock: IO[str] | None = None,
    ) -> None:
        self.layout = layout
        self.port = free_port(port)
        self._login = login
        self.api = AirflowApi(f"http://127.0.0.1:{self.port}", login=self._read_login if login else None)
        self.task_port = free_port()
        self.processes = Processes(logs=layout.logs, cwd=layout.project, lock=lock)
        self.batches_api = api
        self._base = os.environ if base is None else base
        self._own = own
        self._schedules = schedules
        self._started_at: datetime | None = None

    @property
    def url(self) -> str:
        """Address of the UI."""
        return self.api.url

    def environment(self) -> dict[str, str]:
        """Build the components' environment."""
        return airflow_environment(
            self.layout,
            port=self.port,
            task_port=self.task_port,
            api=self.batches_api or Api(key=self._offline_key(), offline=True),
            base=self._base,
            own=self._own,
            schedules=self._schedules,
            login=self._login,
        )

    def _read_login(self) -> tuple[str, str]:
        return USER, read_secrets(self.layout.home)["password"]

    def login_link(self) -> str:
        """Make the one-time link of this start; it works only once."""
        return f"{self.url}/auth/link?key={write_login(self.layout.home)}"

    def migrate(self) -> bool:
        """Make or upgrade Airflow's database, unless it was made by this version already.

        :returns: True when there was something to do.
        :raises LaunchError: the migration failed, with its last lines.
        """
        stamp = self.layout.home / "launch-migrated"
        wanted = version("apache-airflow-core")
        if self.layout.database.is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return False
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=self.environment(),
            cwd=self.layout.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            raise LaunchError(f"airflow db migrate failed:\n{_tail(done.stdout + done.stderr)}")
        stamp.write_text(wanted)
        return True

    def start_offline_api(self, seconds: float = 30.0) -> Api:
        """Start the offline API when no other was chosen, and wait until it has written its port.

        :raises LaunchError: it ended, or wrote no port in time.
        """
        if self.batches_api is not None:
            return self.batches_api
        port_file = self.layout.home / "offline-api.port"
        port_file.unlink(missing_ok=True)
        options = ("--port", "0", "--port-file", str(port_file), "--data", str(self._offline_data()))
        command = (sys.executable, "-m", "offline_api", *options)
        environment = {**self.environment(), "OFFLINE_API_KEY": self._offline_key()}
        self.processes.start(Component(OFFLINE_API, command), environment)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError, ValueError):
                port = int(port_file.read_text())
                self.batches_api = Api(self._offline_key(), f"http://127.0.0.1:{port}", offline=True)
                return self.batches_api
            self.check()
            time.sleep(0.05)
        raise LaunchError(f"the offline API was not ready in {seconds:.0f} s:\n{self.log_tail(OFFLINE_API)}")

    def _offline_key(self) -> str:
        return read_secrets(self.layout.home)["offline_api_key"]

    def _offline_data(self) -> Path:
        root = self.layout.root.removeprefix("file://")
        if "://" not in root:
            return Path(root) / "local_api"
        return self.layout.home / "local_api"

    def start(self, *names: str) -> None:
        """Start the named components; without names, all that are not running."""
        if self._started_at is None:
            self._started_at = datetime.now(UTC)
            if self._login:
                write_login(self.layout.home)
        environment = self.environment()
        for name in names or [name for name in COMPONENTS if not self.processes.is_running(name)]:
            self.processes.start(airflow_component(name, self.task_port), environment)

    def wait_for_api(self, seconds: float = START_SECONDS) -> None:
        """Wait until the API server answers.

        :raises LaunchError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            with suppress(AirflowApiError):
                self.api.health()
                return
            self.check()
            if time.monotonic() > deadline:
                raise LaunchError(f"Airflow did not answer in {seconds:.0f} s:\n{self.log_tail(API_SERVER)}")
            time.sleep(0.1)

    def wait_healthy(self, seconds: float = START_SECONDS, notify: Notify | None = None) -> None:
        """Wait until every component has sent a heartbeat since it was started.

        Airflow itself counts the last heartbeat of an earlier start for half a minute; this method does not.

        :param notify: called with the missing components whenever they change.
        :raises LaunchError: a component ended, or sent no heartbeat in time.
        """
        self.wait_for_api(seconds)
        deadline = time.monotonic() + seconds
        shown = None
        while missing := self._missing():
            if notify and missing != shown:
                notify(", ".join(missing))
                shown = missing
            self.check()
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"not healthy in {seconds:.0f} s: {', '.join(missing)}; see {self.layout.logs}"
                )
            time.sleep(0.2)

    def _missing(self) -> list[str]:
        try:
            health = self.api.health()
        except AirflowApiError:
            return ["API server"]
        try:
            AirflowApi(f"http://127.0.0.1:{self.task_port}").warm_up()
        except AirflowApiError:
            return ["task API"]
        started = self._started_at or datetime.min.replace(tzinfo=UTC)
        parts = ("scheduler", "triggerer", "dag_processor")
        return [
            part.replace("_", " ") for part in parts if not _is_fresh(part, health.get(part) or {}, started)
        ]

    def wait_for_dag(self, dag_id: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Wait until this start's Airflow has read the DAG, so that no older version of it runs.

        :raises LaunchError: the DAG's file does not load, or there is no such DAG.
        """
        deadline = time.monotonic() + seconds
        while True:
            with suppress(AirflowApiError):
                dag = self.api.dag(dag_id)
                if _is_after(dag.get("last_parsed_time"), self._started_at):
                    return dag
                self._raise_import_errors()
            self.check()
            if time.monotonic() > deadline:
                raise LaunchError(f"there is no DAG {dag_id} in {self.layout.dags_folder}")
            with suppress(AirflowApiError):
                self._raise_import_errors()
            time.sleep(0.2)

    def _raise_import_errors(self) -> None:
        errors = [e for e in self.api.import_errors() if _is_after(e.get("timestamp"), self._started_at)]
        if errors:
            described = "\n".join(
                f"{e.get('filename')}:\n{_tail(str(e.get('stack_trace')), 6)}" for e in errors
            )
            raise LaunchError(f"Airflow could not load:\n{described}")

    def check(self) -> None:
        """Check that no component has ended by itself.

        :raises LaunchError: one has; the message has its last lines and the path of its log.
        """
        for name, code in self.processes.exited().items():
            raise LaunchError(f"{name} ended with exit code {code}:\n{self.log_tail(name)}")

    def log_tail(self, name: str, lines: int = 12) -> str:
        """Give the last lines of a component's log and its path."""
        path = self.processes.log_path(name)
        text = path.read_text(errors="replace") if path.is_file() else ""
        return f"{_tail(text, lines)}\n(all of it: {path})"

    def stop(self) -> None:
        """Stop everything that was started: workers first, while the APIs they report to still answer."""
        try:
            self.processes.stop([name for name in COMPONENTS if name not in APIS])
        finally:
            self.processes.close()


def airflow_component(name: str, task_port: int) -> Component:
    """Describe one of Airflow's components.

    No log servers: they would listen on all interfaces, and the API server reads the logs from the home.
    The triggerer gets its signal twice: after only one it waits ten seconds for a process that has already ended.

    :param task_port: of the task API.
    """
    words = {
        API_SERVER: (API_SERVER, "--apps", "core"),
        TASK_API: (API_SERVER, "--apps", "execution", "--port", str(task_port)),
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "triggerer": ("triggerer", "--skip-serve-logs"),
    }
    command = (sys.executable, "-m", "airflow", *words.get(name, (name,)))
    signals = (signal.SIGTERM,) * (2 if name == "triggerer" else 1)
    return Component(name, command, signals)


def _is_fresh(part: str, health: Mapping[str, Any], started: datetime) -> bool:
    return health.get("status") == "healthy" and _is_after(health.get(f"latest_{part}_heartbeat"), started)


def _is_after(text: str | None, moment: datetime | None) -> bool:
    if not text:
        return False
    return moment is None or datetime.fromisoformat(text.replace("Z", "+00:00")) >= moment


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
