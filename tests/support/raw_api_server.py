"""An HTTP server on 127.0.0.1 whose answers a test defines, and which records its requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """An answer. Content that is not bytes is sent as JSON."""

    content: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class RawApiServer:
    """``with RawApiServer(answer) as server`` serves ``answer(request)`` at ``server.url``."""

    def __init__(self, answer: Callable[[Received], Reply]) -> None:
        self.answer = answer
        self.received: list[Received] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Received(self.command, self.path, headers, self.rfile.read(size))
                outer.received.append(request)
                reply = outer.answer(request)
                data = (
                    reply.content if isinstance(reply.content, bytes) else json.dumps(reply.content).encode()
                )
                self.send_response_only(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def batch(number: int = 1, **changed: Any) -> dict[str, Any]:
    """A batch as the API describes it."""
    counts = {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": f"msgbatch_{number}",
        "type": "message_batch",
        "processing_status": "ended",
        "created_at": "2026-11-22T01:02:03Z",
        "request_counts": counts,
        "results_url": None,
    } | changed


def error(kind: str = "invalid_request_error", message: str = "said", **details: str) -> dict[str, Any]:
    """An error as the API describes it."""
    found: dict[str, Any] = {"type": kind, "message": message}
    return {"type": "error", "error": found | ({"details": details} if details else {})}
