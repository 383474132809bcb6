"""Start the offline Message Batches API."""

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
from offline_api.batch_state import Speed
from offline_api.server import Server

_STOP_SECONDS = 1.5
_KEY_VARIABLE = "OFFLINE_API_KEY"


_EPILOG = """\
examples:
  python -m offline_api --data /tmp/batches
  python -m offline_api --data /tmp/batches --port 0 --port-file /tmp/port --key-file key.txt
  ANTHROPIC_BASE_URL=http://127.0.0.1:8765 ANTHROPIC_API_KEY=any python my_client.py

No model is called and nothing is billed. GET / shows the batches, /openapi.json describes the endpoints, and
/local/billing says what a real bill would have been. Faults, credit, workspaces and the clock are set over
/local/*; the README beside this package describes them.
"""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m offline_api",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_argument_group("where it runs")
    where.add_argument("--port", type=int, default=8765, help="0 picks a free one (default: 8765)")
    where.add_argument(
        "--host", default="127.0.0.1", help="name or address to listen on (default: 127.0.0.1)"
    )
    where.add_argument("--port-file", type=Path, help="gets the port when the server is ready")
    where.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of its batches; made when missing, taken up when there",
    )
    access = parser.add_argument_group("who may use it")
    access.add_argument(
        "--api-key", help="the only API key that /v1 accepts (default: any; /local needs none)"
    )
    access.add_argument(
        "--key", help="the only key that /v1 and /local accept; others see it in the process list"
    )
    access.add_argument(
        "--key-file", type=Path, help=f"file with the --key; the variable {_KEY_VARIABLE} does the same"
    )
    batches = parser.add_argument_group("how batches go")
    batches.add_argument(
        "--seconds-per-batch", type=float, default=3.0, help="how long each batch takes (default: 3)"
    )
    batches.add_argument(
        "--seconds-per-1000-requests", type=float, default=0.0, help="on top, by size (default: 0)"
    )
    batches.add_argument("--seed", type=int, default=1, help="of the order of results (default: 1)")
    batches.add_argument("--gzip", action="store_true", help="compress results for clients that accept it")
    return parser.parse_args(arguments)


def _key(options: argparse.Namespace) -> str | None:
    if options.key_file is not None:
        try:
            key = options.key_file.read_text().strip()
        except OSError as error:
            raise SystemExit(f"--key-file {options.key_file}: {error.strerror or error}") from None
    else:
        key = options.key or os.environ.get(_KEY_VARIABLE, "")
    if not key and (options.key is not None or options.key_file is not None):
        raise SystemExit("the key is empty: give --key or --key-file with at least one character")
    return key or None


class _Protocol(HttpToolsProtocol):
    """Gives each request access to its connection, so that a fault can break it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class _Uvicorn(uvicorn.Server):
    """Announces its port when it is ready, and stops within two seconds whatever its threads do."""

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
        # A thread may be decoding a big body. Accepted batches are on disk, so exiting loses nothing.
        timer = threading.Timer(_STOP_SECONDS, os._exit, [0])
        timer.daemon = True
        logging.getLogger("uvicorn.error").disabled = True  # it would log each request that is cut off
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
    # asyncio sets this only on sockets that it made; without it each answer on a kept connection waits 40 ms.
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
            key=_key(options),
            host=options.host,
        )
        config = uvicorn.Config(
            build_app(server),
            log_level="warning",
            access_log=False,
            lifespan="off",
            date_header=False,  # ours shows the server's own clock
            http=_Protocol,
            timeout_graceful_shutdown=1,
        )
        print(f"Offline Message Batches API at http://{options.host}:{port} (no model is called)", flush=True)
        asyncio.run(_Uvicorn(config, port, options.port_file).serve([listener]))


if __name__ == "__main__":
    main(sys.argv[1:])
