"""The environment of Airflow's processes: folders, ports, API.

All settings of Airflow are given as environment variables: they reach every component, win over its own
configuration file, and leave nothing behind.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launch.login import LINK_VARIABLE, USER, link_file, passwords_file, read_secrets
from message_batches.command.command_settings import Api, CommandError, find_home, find_root_url

PROJECT = Path(__file__).resolve().parent.parent
CONNECTION_VARIABLE = "AIRFLOW_CONN_ANTHROPIC_DEFAULT"
IMPORT_BEFORE_FORK = "NIGHTPRESS_IMPORT_BEFORE_FORK"
"""Packages, separated by spaces, whose files do not change while this Airflow runs; see `launch.executor`."""

_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
_EXECUTOR_SLOTS = 4
_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


class LaunchError(CommandError):
    """An error that the user can correct, as the message says; a retry alone does not help."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one instance.

    :param project: the project root, put on PYTHONPATH of every component.
    :param home: AIRFLOW_HOME: database, logs, secrets, the lock.
    :param root: data root as a URL, e.g. ``file:///srv/nightpress/data`` or ``s3://conn@bucket/prefix``.
    :param dags: folder of the DAGs (default: ``dags`` in the project).
    :param plugins: folder of the plugins (default: ``plugins`` in the project).
    """

    project: Path
    home: Path
    root: str
    dags: Path | None = None
    plugins: Path | None = None

    @property
    def dags_folder(self) -> Path:
        """The folder of the DAGs that is used."""
        return self.dags or self.project / "dags"

    @property
    def plugins_folder(self) -> Path:
        """The folder of the plugins that is used."""
        return self.plugins or self.project / "plugins"

    @property
    def logs(self) -> Path:
        """Folder of the components' own logs, one file each: ``launch-<component>.log``."""
        return self.home / "logs"

    @property
    def database(self) -> Path:
        """Airflow's SQLite file."""
        return self.home / "airflow.db"


def read_layout(settings: Mapping[str, str]) -> Layout:
    """Read the folders from the environment: ``NIGHTPRESS_HOME``, ``NIGHTPRESS_ROOT``, ``NIGHTPRESS_DAGS``."""
    home = find_home(settings) or PROJECT / ".airflow"
    dags = settings.get("NIGHTPRESS_DAGS")
    return Layout(PROJECT, home, find_root_url(settings), dags=Path(dags).absolute() if dags else None)


def free_port(preferred: int | None = None) -> int:
    """Give a free TCP port on 127.0.0.1: the preferred one if possible."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LaunchError("no free TCP port on 127.0.0.1")


def airflow_environment(
    layout: Layout,
    *,
    port: int,
    task_port: int,
    api: Api,
    base: Mapping[str, str],
    own: Mapping[str, str] | None = None,
    schedules: bool = True,
    login: bool = True,
) -> dict[str, str]:
    """Build the whole environment of Airflow's processes.

    :param port: of the UI and its REST API, on 127.0.0.1.
    :param task_port: of the API that running tasks report to.
    :param base: the inherited environment. Its ``AIRFLOW__*`` settings are dropped: they belong to another
        Airflow, whose database must not be touched from here.
    :param own: settings for this instance, e.g. from ``.env``; they win over the tunable ones below.
    :param schedules: False keeps the scheduler from starting runs by itself. A run by hand needs the DAG
        unpaused, and unpausing would at once also start the paid scheduled run of the latest past day.
    :param login: False lets in everybody who can connect; only for tests.
    """
    own = dict(own or {})
    environment = {
        name: value
        for name, value in base.items()
        if not name.startswith("AIRFLOW__") and name not in (*_CREDENTIALS, "AIRFLOW_HOME", "AIRFLOW_CONFIG")
    }
    environment.update(_tunables())
    if _DATABASE not in own:
        for kind in ("ARGS", "ARGS_ASYNC"):
            environment[f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_{kind}"] = "launch.sqlite.CONNECT_ARGS"
    environment.update({name: value for name, value in own.items() if name not in _CREDENTIALS})
    environment.update(_fixed(layout, port=port, task_port=task_port, schedules=schedules))
    environment.update(login_settings(layout.home) if login else _NO_LOGIN)
    environment[CONNECTION_VARIABLE] = api.connection()
    paths = [
        str(layout.project),
        str(layout.project / "include"),
        *filter(None, [environment.get("PYTHONPATH")]),
    ]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    local = [
        *filter(None, [environment.get("NO_PROXY") or environment.get("no_proxy")]),
        "127.0.0.1",
        "localhost",
    ]
    environment["NO_PROXY"] = environment["no_proxy"] = ",".join(local)
    return environment


def _tunables() -> dict[str, str]:
    return {
        # More than 8 kills the components on SQLite with "database is locked".
        "AIRFLOW__CORE__PARALLELISM": str(_EXECUTOR_SLOTS),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        # After a restart, an edited DAG must not run in its version of 30 seconds before.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        # An edited file is read at once, since its time changes; an edited module that it imports within a minute.
        # All files take 6 s of CPU, so reading them every 15 s would occupy two fifths of a core.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "1000",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__LOGGING__UVICORN_LOGGING_LEVEL": "WARNING",
    }


_NO_LOGIN = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}


def login_settings(home: Path) -> dict[str, str]:
    """Return the settings of an Airflow with one user, whose password is in the home."""
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": "launch.auth.LocalAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(home)),
        LINK_VARIABLE: str(link_file(home)),
    }


def _fixed(layout: Layout, *, port: int, task_port: int, schedules: bool) -> dict[str, str]:
    keys = read_secrets(layout.home)
    return {
        "AIRFLOW_HOME": str(layout.home),
        "NIGHTPRESS_ROOT": layout.root,
        "AIRFLOW__CORE__DAGS_FOLDER": str(layout.dags_folder),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(layout.plugins_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "launch.executor.WarmLocalExecutor",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{task_port}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt_secret"],
        "AIRFLOW__API__SECRET_KEY": keys["api_secret_key"],
        # Nothing listens there: logs are read from the home. A free port cannot be another Airflow's log server.
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedules),
        "PYTHONUNBUFFERED": "1",
    }
