"""The cluster: servers, Airflow's components and the offline API; each host has its own home.

"Hosts" are separate homes and temporary folders: two workers share only the database, the broker and the data
root on S3, never a disk. Names: ``ui``, ``scheduler-1``, ``scheduler-2``, ``dag-processor``, ``triggerer-1``,
``triggerer-2``, ``worker-1``, ``worker-2``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from dotenv import dotenv_values

from launch.airflow_api import AirflowApi, AirflowApiError
from launch.cluster.host import HOST_NAME
from launch.cluster.servers import BUCKET, Servers
from launch.environment import LaunchError, free_port, login_settings
from launch.login import USER, read_secrets, write_login
from launch.processes import Component, Processes
from message_batches.command.command_settings import Api

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = PROJECT / "deploy" / "airflow.env"
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "ui": ("api-server",),
    "scheduler-1": ("scheduler", "--skip-serve-logs"),
    "scheduler-2": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer-1": ("triggerer", "--skip-serve-logs"),
    "triggerer-2": ("triggerer", "--skip-serve-logs"),
    "worker-1": ("celery", "worker", "--celery-hostname", "worker-1@cluster", "--concurrency", "2"),
    "worker-2": ("celery", "worker", "--celery-hostname", "worker-2@cluster", "--concurrency", "2"),
}


@dataclass(slots=True)
class Cluster:
    """A cluster in a folder; as a context manager it stops everything at the end.

    :param folder: for the servers' data, the homes and the logs.
    :param dags: folder of the DAGs (default: the project's).
    :param components: which of :data:`COMPONENTS` to start.
    :param settings: environment variables that win over ``deploy/airflow.env``.
    :param seconds_per_batch: how long a batch takes at the offline API.
    :param batches_api: another Message Batches API; None starts the offline one.
    """

    folder: Path
    dags: Path = PROJECT / "dags"
    components: Sequence[str] = tuple(COMPONENTS)
    settings: Mapping[str, str] = field(default_factory=dict)
    seconds_per_batch: float = 3.0
    batches_api: Api | None = None
    processes: Processes = field(init=False)
    servers: Servers = field(init=False)
    api: AirflowApi = field(init=False)
    offline_url: str = field(init=False, default="")
    _port: int = field(init=False)
    _secrets: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.processes = Processes(logs=self.folder / "logs", cwd=PROJECT)
        self.servers = Servers(self.folder / "servers", self.processes)
        self._port = free_port()
        self.api = AirflowApi(f"http://127.0.0.1:{self._port}", login=self._read_login)
        write_login(self.folder)
        keys = read_secrets(self.folder)
        self._secrets = {
            "AIRFLOW_FERNET_KEY": keys["fernet_key"],
            "AIRFLOW_JWT_SECRET": keys["jwt_secret"],
            "AIRFLOW_SECRET_KEY": keys["api_secret_key"],
        }

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
    def root(self) -> str:
        """The data root, on S3."""
        return f"s3://aws_default@{BUCKET}/nightpress"

    @property
    def url(self) -> str:
        """Address of the UI."""
        return self.api.url

    def environment(self, host: str) -> dict[str, str]:
        """Build the environment of a component: ``deploy/airflow.env`` filled in, and the host's own folders."""
        home, temporary = self.folder / "hosts" / host / "home", self.folder / "hosts" / host / "tmp"
        home.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(exist_ok=True)
        environment = fill_settings(SETTINGS, self._variables())
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "TMPDIR": str(temporary),
            "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "include", PROJECT / "plugins"))),
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            HOST_NAME: host,
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "launch.cluster.host.host_name",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__WORKERS": "1",
            **login_settings(self.folder),
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "1000",
        }
        return environment | dict(self.settings)

    def _read_login(self) -> tuple[str, str]:
        return USER, read_secrets(self.folder)["password"]

    def login_link(self) -> str:
        """Return a new one-time login link."""
        return f"{self.url}/auth/link?key={write_login(self.folder)}"

    def _variables(self) -> dict[str, str]:
        offline = self.batches_api or Api("offline-cluster-key", self.offline_url or None, offline=True)
        return self._secrets | {
            "AIRFLOW_API_URL": self.api.url,
            "DATABASE_ADDRESS": self.servers.database_address,
            "REDIS_URL": self.servers.redis_url,
            "NIGHTPRESS_ROOT": self.root,
            "AWS_CONNECTION": self.servers.connection(),
            "ANTHROPIC_CONNECTION": offline.connection(),
            # So that a killed worker is noticed within a test.
            "TASK_HEARTBEAT_TIMEOUT": "30",
            "TASK_QUEUED_TIMEOUT": "60",
            "TASK_QUEUED_CHECK_INTERVAL": "10",
        }

    def start(self) -> None:
        """Start everything and wait until it is healthy.

        :raises LaunchError: a program is missing, or a component ended or was not ready in time.
        """
        self.servers.start()
        self._start_offline_api()
        self._migrate()
        for name in self.components:
            self.start_component(name)
        self._wait_healthy()

    def start_component(self, name: str) -> None:
        """Start one of :data:`COMPONENTS`."""
        command = (sys.executable, "-m", "airflow", *COMPONENTS[name])
        if name.startswith("worker"):
            command += ("--skip-serve-logs",)
        signals = (signal.SIGTERM,) * (2 if name.startswith("triggerer") else 1)
        self.processes.start(Component(name, command, signals), self.environment(name))

    def kill(self, name: str) -> None:
        """SIGKILL a component or server and all its processes, as if its machine died."""
        self.processes.kill(name)

    def stop_warmly(self, name: str, seconds: float = 60.0) -> None:
        """Ask a worker to finish its tasks and take no more, as in a rolling upgrade."""
        self.processes.stop([name], seconds)

    def stop(self) -> None:
        """Stop everything: Airflow first, then its servers."""
        servers = {"postgres", "redis", "s3", "offline-api"}
        try:
            self.processes.stop([name for name in COMPONENTS if name not in servers], 5.0)
            # The servers' data is not needed any more.
            for name in servers:
                if self.processes.is_running(name):
                    self.processes.kill(name)
        finally:
            self.processes.close()
            self.servers.remove()

    def check(self) -> None:
        """Check that no component has ended by itself.

        :raises LaunchError: one has; the message has its last lines.
        """
        for name, code in self.processes.exited().items():
            raise LaunchError(f"{name} ended with exit code {code}:\n{self.log_tail(name)}")

    def log_tail(self, name: str, lines: int = 20) -> str:
        """Return the last lines of a component's own output."""
        path = self.processes.log_path(name)
        text = path.read_text(errors="replace") if path.is_file() else ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def _start_offline_api(self) -> None:
        if self.batches_api is not None:
            return
        port_file = self.folder / "offline-api.port"
        port_file.unlink(missing_ok=True)
        options = ("--port", "0", "--port-file", str(port_file), "--data", str(self.folder / "offline_api"))
        seconds = ("--seconds-per-batch", str(self.seconds_per_batch))
        command = (sys.executable, "-m", "offline_api", *options, *seconds)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment["PYTHONPATH"] = str(PROJECT / "include")
        self.processes.start(Component("offline-api", command), environment)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(OSError, ValueError):
                self.offline_url = f"http://127.0.0.1:{int(port_file.read_text())}"
                return
            self.check()
            time.sleep(0.05)
        raise LaunchError(f"the offline API was not ready in 30 s:\n{self.log_tail('offline-api')}")

    def _migrate(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=self.environment("ui"),
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            raise LaunchError(f"airflow db migrate failed:\n{(done.stdout + done.stderr)[-3000:]}")

    def _wait_healthy(self, seconds: float = 150.0) -> None:
        deadline = time.monotonic() + seconds
        missing: list[str] = ["the API server"]
        while missing:
            self.check()
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"not healthy in {seconds:.0f} s: {', '.join(missing)}; see {self.processes.logs}"
                )
            time.sleep(0.5)
            with suppress(AirflowApiError):
                health = self.api.health()
                self.api.warm_up()
                parts = ("scheduler", "triggerer", "dag_processor")
                missing = [part for part in parts if (health.get(part) or {}).get("status") != "healthy"]
                missing += [
                    name for name in self.components if name.startswith("worker") and not self._is_ready(name)
                ]

    def _is_ready(self, worker: str) -> bool:
        return "ready." in self.log_tail(worker, 60)


def fill_settings(path: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Read an environment file and fill in its ``${NAME}`` and ``${NAME:-default}``.

    :raises LaunchError: a variable without a default is not set.
    """
    settings: dict[str, str] = {}
    for name, text in dotenv_values(path, interpolate=False).items():
        settings[name] = _PLACEHOLDER.sub(lambda match: _value(match, variables, path), text or "")
    return settings


_PLACEHOLDER = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::-(?P<default>(?:\$\{[A-Z_]+\}|[^}])*))?\}")


def _value(match: re.Match[str], variables: Mapping[str, str], path: Path) -> str:
    name, default = match["name"], match["default"]
    if name in variables:
        return variables[name]
    if default is None:
        raise LaunchError(f"{path} needs {name}, which is not set")
    return _PLACEHOLDER.sub(lambda inner: _value(inner, variables, path), default)


def describe_processes(cluster: Cluster) -> list[tuple[str, str]]:
    """Describe what runs where, for a person who wants to inspect or break it."""
    servers = cluster.servers
    rows = [
        ("Airflow UI", cluster.login_link()),
        ("Postgres", f"psql postgresql://{servers.database_address}"),
        ("Redis", servers.redis_url),
        ("S3", f"{servers.s3_url} (bucket {BUCKET})"),
        ("offline API", cluster.offline_url),
        ("data root", cluster.root),
        ("logs", str(cluster.processes.logs)),
    ]
    return [*rows, *((name, f"process {pid}") for name, pid in cluster.processes.leaders().items())]


__all__ = ["COMPONENTS", "Cluster", "describe_processes", "fill_settings"]
