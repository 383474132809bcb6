"""One POST is one POST: the real SDK over a real socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anthropic
import pytest
from upath import UPath

from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.errors import SubmitLaterError, UnknownOutcomeError
from tests.support.model_api import Clock

KEY = "a" * 64
REQUESTS = json.dumps({"requests": [{"custom_id": f"{KEY[:16]}-0", "params": {}}]}).encode()
BATCH = {
    "id": "msgbatch_1",
    "processing_status": "in_progress",
    "created_at": "2027-01-15T08:00:00Z",
    "request_counts": {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
}


class Server(ThreadingHTTPServer):
    """Takes bodies, and answers each as told.

    :param plan: ``drop`` the connection, a status, or ``accept``; the last one stays.
    """

    daemon_threads = True

    def __init__(self, plan: list[object]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = plan
        self.whole: list[bytes] = []
        self.begun = 0


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10

    def do_POST(self) -> None:
        self.server.begun += 1
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if len(body) == size:
            self.server.whole.append(body)
        what = self.server.plan.pop(0) if len(self.server.plan) > 1 else self.server.plan[0]
        if what == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif what == "accept":
            self.reply(200, BATCH)
        else:
            error = {"type": "some_error", "message": "said"}
            self.reply(int(str(what)), {"type": "error", "error": error})

    def reply(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-should-retry", "true")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(*plan: object) -> Iterator[tuple[Server, MessageBatches, Clock]]:
    server = Server(list(plan))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    clock = Clock()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with anthropic.Anthropic(api_key="test", base_url=url) as client:
            yield server, MessageBatches(client, clock), clock
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def body(tmp_path: Path) -> Body:
    path = UPath(tmp_path / "requests-00000.json")
    path.write_bytes(REQUESTS)
    return Body(path, len(REQUESTS))


def submit(body: Body, api: MessageBatches, clock: Clock) -> object:
    ledger = Ledger(UPath(body.path.parent) / "ledger", api.scope)
    return submit_shard(Entry(key=KEY, requests=1, bytes=body.size), body, api, ledger, clock)


def test_what_is_sent_is_the_file_to_the_byte(body: Body) -> None:
    with serve("accept") as (server, api, clock):
        submit(body, api, clock)
    assert server.whole == [REQUESTS]


def test_a_dropped_reply_is_exactly_one_post(body: Body) -> None:
    with serve("drop", "accept") as (server, api, clock):
        with pytest.raises(UnknownOutcomeError, match="a batch may exist"):
            submit(body, api, clock)
        assert (server.begun, len(server.whole)) == (1, 1)


@pytest.mark.parametrize("status", [408, 409, 500, 502])
def test_an_error_that_the_sdk_would_retry_is_exactly_one_post(body: Body, status: int) -> None:
    with serve(status, "accept") as (server, api, clock):
        with pytest.raises(UnknownOutcomeError):
            submit(body, api, clock)
        assert server.begun == 1


@pytest.mark.parametrize("status", [429, 529])
def test_a_busy_api_is_told_to_the_caller_who_waits(body: Body, status: int) -> None:
    with serve(status, "accept") as (server, api, clock):
        with pytest.raises(SubmitLaterError):
            submit(body, api, clock)
        assert server.begun == 1


def test_a_body_is_cut_off_at_its_deadline_and_so_never_accepted(tmp_path: Path) -> None:
    path = UPath(tmp_path / "requests-00000.json")
    size = 2_000_000
    path.write_bytes(b" " * size)

    class Late(Clock):
        calls = 0

        def __call__(self) -> float:
            # The body takes longer than anyone will look for its batch.
            self.calls += 1
            return self.now + (10_000 if self.calls > 3 else 0)

    with serve("accept") as (server, api, clock):
        api.now = late = Late()
        with pytest.raises(SubmitLaterError, match="not sent to its end: it took too long"):
            submit(Body(path, size), api, clock)
        assert late.calls == 4
    assert server.whole == []
