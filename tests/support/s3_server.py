"""An S3 server for one test, and ways in which other servers differ from it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEYS = {"key": "test", "secret": "test"}


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run moto's server on a free port of 127.0.0.1 and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "s3.log").open("ab") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def options(url: str) -> dict[str, Any]:
    """Return the storage options of a path on the server.

    Paths with equal options share a driver, as they do in Airflow; making one takes a third of a second.
    """
    return {**KEYS, "endpoint_url": url, "client_kwargs": {"region_name": "us-east-1"}}


def own_driver(url: str) -> dict[str, Any]:
    """Return storage options with which every path has a driver of its own, as in another process."""
    return options(url) | {"skip_instance_cache": True}
