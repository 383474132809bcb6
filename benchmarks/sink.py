"""A loopback server that reads the body of a create, as fast as a socket allows, and discards it.

``python -m benchmarks.sink PORT_FILE``. The batch in its answer has ``received``, the size of the last body in bytes;
a body below a megabyte is kept, and returned by ``GET /last``.
"""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from benchmarks.contest import PROJECT, environment

_KEPT_BYTES = 1_000_000
_last = b""


class _Handler(socketserver.StreamRequestHandler):
    rbufsize = 1024 * 1024

    def handle(self) -> None:
        while head := self.rfile.readline():
            headers = {}
            while (line := self.rfile.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            self._answer(head.startswith(b"POST"), headers)

    def _answer(self, is_post: bool, headers: dict[bytes, bytes]) -> None:
        global _last  # noqa: PLW0603 - one server, one memory
        if is_post:
            size = int(headers[b"content-length"])
            _last = _take(cast("BinaryIO", self.rfile), size)
            body = json.dumps(_batch(size)).encode()
        else:
            body = _last
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


def _take(stream: BinaryIO, size: int) -> bytes:
    if size < _KEPT_BYTES:
        return stream.read(size)
    buffer = memoryview(bytearray(1024 * 1024))
    while size:
        got = stream.readinto(buffer[: min(len(buffer), size)])  # type: ignore[attr-defined]
        if not got:
            raise ConnectionError(f"{size} bytes of the body are missing")
        size -= got
    return b""


def _batch(size: int) -> dict[str, object]:
    now = "2026-11-22T00:00:00Z"
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    return {
        "id": "msgbatch_local_sink",
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": counts,
        "results_url": None,
        "ended_at": None,
        "archived_at": None,
        "cancel_initiated_at": None,
        "created_at": now,
        "expires_at": now,
        "received": size,
    }


class Sink:
    """The server in a separate process."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="nightpress-sink-")
        port_file = Path(self._folder.name) / "port"
        command = [sys.executable, "-m", "benchmarks.sink", str(port_file)]
        self._process = subprocess.Popen(command, cwd=PROJECT, env=environment())
        deadline = time.monotonic() + 30
        while not port_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError("the sink did not start")
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{port_file.read_text()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), _Handler) as server:
        aside = Path(sys.argv[1] + ".new")
        aside.write_text(str(server.server_address[1]))
        aside.rename(sys.argv[1])
        server.serve_forever()
