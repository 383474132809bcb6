"""A StatsD server on loopback, for Airflow's metrics."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Self


class StatsdServer:
    """Receives Airflow's metrics; keeps only those of Nightpress."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._seen: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def settings(self) -> dict[str, str]:
        """Return Airflow's settings for this server."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "nightpress",
        }

    def read(self) -> dict[str, list[float]]:
        """Return all values received since `forget`, by name."""
        with suppress(BlockingIOError):
            while True:
                for line in self._socket.recv(65536).decode().splitlines():
                    name, _, rest = line.partition(":")
                    self._seen.setdefault(name, []).append(float(rest.partition("|")[0]))
        return self._seen

    def forget(self) -> None:
        """Drop all values received so far."""
        self.read()
        self._seen = {}
