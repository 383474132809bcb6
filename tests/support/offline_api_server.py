"""A real offline Message Batches API for one test: in its own process and on its own port.

with LocalApiServer(tmp_path / "api") as server:
    client = anthropic.Anthropic(api_key="test-key", base_url=server.base_url)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

import psutil

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0


class LocalApiServer:
    """``python -m offline_api`` as a context manager.

    :param data_dir: folder of the server's state; it is kept, so that :meth:`restart` finds it.
    :param seconds_per_batch: how long a batch takes.
    :param extra_args: other options of the command line.
    :param key: required for ``/v1`` and ``/local``; None accepts any.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        seconds_per_batch: float = 0.2,
        seed: int = 1,
        extra_args: Sequence[str] = (),
        key: str | None = None,
    ) -> None:
        self.data_dir, self.key = data_dir, key
        self.port = 0
        self.log_path = data_dir / "server.log"
        self._port_file = data_dir / "port"
        self._options = (
            "--data",
            str(data_dir),
            "--port-file",
            str(self._port_file),
            "--seconds-per-batch",
            str(seconds_per_batch),
            "--seed",
            str(seed),
            *extra_args,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Address of the server; the same after a restart."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return self.log_path.read_text(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "offline_api", "--port", str(self.port), *self._options]
        with self.log_path.open("ab") as log:
            key = {} if self.key is None else {"OFFLINE_API_KEY": self.key}
            environment = {**os.environ, **key}
            self._process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
        try:
            self._await_port()
        except BaseException:
            self.kill()
            raise

    def _await_port(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._port_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the offline API did not start:\n{self.log}")
            time.sleep(0.02)
        self.port = int(self._port_file.read_text())

    def stop(self) -> int | None:
        """End the server with SIGTERM, and with SIGKILL if that does not help; return its exit code."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            code = self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Start again on the same state and port, after :meth:`kill` or instead of it."""
        self.stop()
        self.start()

    def request(self, method: str, path: str, content: Any = None) -> Any:
        """Send one request with an API key and return the decoded answer, also of an error."""
        data = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        headers = {
            "x-api-key": self.key or "test-key",
            "anthropic-version": "2023-06-01",
            "content-type": "application/json",
        }
        request = urllib.request.Request(self.base_url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                body = response.read()
        except HTTPError as error:
            with error:
                body = error.read()
        try:
            return json.loads(body)
        except ValueError:
            return body.decode()

    def get(self, path: str) -> Any:
        """GET a path."""
        return self.request("GET", path)

    def post(self, path: str, json: Any = None) -> Any:
        """POST ``json`` to a path."""
        return self.request("POST", path, json if json is not None else {})

    def billing(self) -> dict[str, Any]:
        """Return the billing meter."""
        meter: dict[str, Any] = self.get("/local/billing")
        return meter

    def request_counts(self) -> dict[str, int]:
        """Return how many HTTP requests came to each ``METHOD /route`` since the server started."""
        counts: dict[str, int] = self.get("/local/requests")
        return counts

    def advance_clock(self, seconds: float) -> None:
        """Move the server's clock ahead."""
        self.post("/local/clock", {"advance_seconds": seconds})

    def faults(self, *rules: dict[str, Any]) -> None:
        """Add fault rules."""
        answer = self.post("/local/faults", list(rules))
        assert "rules" in answer, answer

    def reset(self) -> None:
        """Forget batches, bills, counters, faults and the clock's offset."""
        self.post("/local/reset")

    def cpu_seconds(self) -> float:
        """Return the server's CPU time, which does not depend on what else runs."""
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)

    def rss_bytes(self) -> int:
        """Return the server's own memory, without mapped files."""
        memory = psutil.Process(self.pid).memory_info()
        return int(memory.rss - memory.shared)
