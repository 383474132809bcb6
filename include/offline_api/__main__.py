"""Start the offline Message Batches API: ``python -m offline_api --data DIR``."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offline_api.app import build_app
from offline_api.batch_life import Speed
from offline_api.server import Server

_STOP_SECONDS = 1.5


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m offline_api", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="0 picks a free one (default: 8765)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--data", type=Path, required=True, help="folder of the server's state")
    parser.add_argument("--seed", type=int, default=1, help="of the order of results (default: 1)")
    parser.add_argument("--seconds-per-batch", type=float, default=3.0)
    parser.add_argument("--seconds-per-1000-requests", type=float, default=0.0)
    parser.add_argument("--port-file", type=Path, help="gets the port when the server is ready")
    parser.add_argument("--gzip", action="store_true", help="compress result streams")
    parser.add_argument("--api-key", help="accept only this key (default: any)")
    return parser.parse_args(arguments)


class _Protocol(HttpToolsProtocol):
    """Hands each request its connection, so that a fault can break it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class _Uvicorn(uvicorn.Server):
    """Tells its port when it is ready, and stops within two seconds whatever its threads do."""

    def __init__(self, config: uvicorn.Config, port: int, port_file: Path | None) -> None:
        super().__init__(config)
        self.port, self.port_file = port, port_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.port_file is not None:
            self.port_file.parent.mkdir(parents=True, exist_ok=True)
            aside = self.port_file.with_name(f".{self.port_file.name}.{os.getpid()}")
            aside.write_text(f"{self.port}\n")
            aside.replace(self.port_file)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        yield

    def _stop(self, *_: object) -> None:
        # A thread may be decoding a big body. What was accepted is on disk, so nothing is lost by leaving.
        timer = threading.Timer(_STOP_SECONDS, os._exit, [0])
        timer.daemon = True
        logging.getLogger("uvicorn.error").disabled = True  # it would show each request that is cut off
        timer.start()
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        listening = socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise SystemExit(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Is another server running there? "
            "Choose another --port; 0 picks a free one."
        ) from None
    # asyncio does so only for sockets it made itself; without it each answer on a kept connection waits 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _lock(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    handle = (folder / "lock").open("wb")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(
            f"{folder} belongs to an offline API that is running; choose another --data"
        ) from None
    return handle


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    options = parse_arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    with _lock(options.data):
        server = Server(
            options.data,
            speed=Speed(options.seconds_per_batch, options.seconds_per_1000_requests),
            seed=options.seed,
            gzip=options.gzip,
            api_key=options.api_key,
        )
        config = uvicorn.Config(
            build_app(server),
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=_Protocol,
            timeout_graceful_shutdown=1,
        )
        print(f"Offline Message Batches API at http://{options.host}:{port} (no model is called)", flush=True)
        asyncio.run(_Uvicorn(config, port, options.port_file).serve([listener]))


if __name__ == "__main__":
    main(sys.argv[1:])
