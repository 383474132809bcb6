"""The server as a process: starting, stopping, dying, speed and memory."""

from __future__ import annotations

import gzip
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.batch_requests import item, items
from tests.support.offline_api_server import PROJECT, LocalApiServer

TEXT = "The marker sentence of this article, MARKER-7f3a, is somewhat long. " * 50


def large_body(count: int = 10_000) -> bytes:
    return json.dumps({"requests": [item(f"a-{index}", TEXT) for index in range(count)]}).encode()


def test_state_survives_sigkill(tmp_path: Path) -> None:
    with (
        LocalApiServer(tmp_path) as server,
        anthropic.Anthropic(api_key="k", base_url=server.base_url, max_retries=0) as client,
    ):
        first = client.messages.batches.create(requests=items(20))
        server.advance_clock(3600)
        before = [row.to_json() for row in client.messages.batches.results(first.id)]
        meter = server.billing()
        second = client.messages.batches.create(requests=items(3))
        (tmp_path / "batches" / "cut.partial").write_bytes(b"{")
        server.kill()
        server.restart()
        assert [batch.id for batch in client.messages.batches.list()] == [second.id, first.id]
        assert [row.to_json() for row in client.messages.batches.results(first.id)] == before
        assert server.billing()["by_batch"][first.id] == meter["by_batch"][first.id]
        assert server.get(f"/local/batches/{second.id}/requests") == {"requests": items(3)}
        assert not (tmp_path / "batches" / "cut.partial").exists()
        assert client.messages.batches.create(requests=items(1)).id > second.id


def test_the_same_seed_gives_the_same_results(tmp_path: Path) -> None:
    orders = []
    for number, seed in enumerate([5, 5, 6]):
        with LocalApiServer(tmp_path / str(number), seconds_per_batch=0, seed=seed) as server:
            batch = server.post("/v1/messages/batches", {"requests": items(30)})
            lines = server.get(f"/v1/messages/batches/{batch['id']}/results").splitlines()
            orders.append([json.loads(line)["custom_id"] for line in lines])
    assert orders[0] == orders[1] != orders[2]


def test_larger_batches_take_longer(tmp_path: Path) -> None:
    options = ("--seconds-per-1000-requests", "100000")
    with LocalApiServer(tmp_path, seconds_per_batch=100, extra_args=options) as server:
        batch = server.post("/v1/messages/batches", {"requests": items(10)})
        path = f"/v1/messages/batches/{batch['id']}"
        server.advance_clock(1095)
        assert server.get(path)["processing_status"] == "in_progress"
        server.advance_clock(6)
        assert server.get(path)["processing_status"] == "ended"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_although_a_client_is_still_sending(tmp_path: Path, number: int) -> None:
    with LocalApiServer(tmp_path) as server:
        idle = socket.create_connection(("127.0.0.1", server.port))
        sending = socket.create_connection(("127.0.0.1", server.port))
        sending.sendall(b"POST /v1/messages/batches HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        time.sleep(0.3)
        os.kill(server.pid, number)
        assert server.stop() == 0
        idle.close()
        sending.close()
        assert "Traceback" not in server.log


def test_a_client_that_leaves_does_no_harm(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path) as server:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port)) as leaving:
                head = b"POST /v1/messages/batches HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
                leaving.sendall(head)
        while any((tmp_path / "batches").glob("*.partial")):
            time.sleep(0.02)
        assert server.billing()["batches_accepted"] == 0
        assert "Traceback" not in server.log


OLD_TABLES = """
CREATE TABLE batches (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL, ends_at REAL NOT NULL, expires_at REAL NOT NULL,
    cancel_initiated_at REAL, listed_at REAL NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL, succeeded INTEGER NOT NULL, errored INTEGER NOT NULL,
    canceled INTEGER NOT NULL, expired INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL
) STRICT;
CREATE TABLE plans (
    id TEXT PRIMARY KEY, codes BLOB NOT NULL, input_tokens BLOB NOT NULL, output_tokens BLOB NOT NULL
) STRICT;
CREATE TABLE settings (name TEXT PRIMARY KEY, value REAL NOT NULL) STRICT;
INSERT INTO plans VALUES ('msgbatch_local_1', x'0000', x'0000000000000000', x'0000000000000000');
"""


def test_a_folder_of_an_earlier_version_is_taken_up(tmp_path: Path) -> None:
    """What the launcher's folder holds from before: no workspaces, no bills."""
    created = time.time() - 100
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches" / "msgbatch_local_1.json").write_text(json.dumps({"requests": items(2)}))
    with closing(sqlite3.connect(tmp_path / "batches.sqlite")) as db:
        db.executescript(OLD_TABLES)
        times = (created, created + 3, created + 86400, None, created)
        values = ("msgbatch_local_1", *times, 0, 2, 2, 0, 0, 0, 10, 20)
        db.execute(f"INSERT INTO batches VALUES (NULL, {', '.join('?' * 14)})", values)
        db.commit()
    with (
        LocalApiServer(tmp_path) as server,
        anthropic.Anthropic(api_key="k", base_url=server.base_url) as client,
    ):
        assert [batch.id for batch in client.messages.batches.list()] == ["msgbatch_local_1"]
        assert len(list(client.messages.batches.results("msgbatch_local_1"))) == 2
        assert server.billing()["requests_billed"] == 2
        client.messages.batches.create(requests=items(1))
        server.restart()
        assert len(list(client.messages.batches.list())) == 2


def run_server(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "offline_api", *options]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False)


def test_a_taken_port_and_a_taken_folder_are_said_clearly(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path / "a") as server:
        port = run_server("--port", str(server.port), "--data", str(tmp_path / "b"))
        folder = run_server("--port", "0", "--data", str(tmp_path / "a"))
    assert port.returncode == folder.returncode == 1
    assert port.stderr.count("\n") == folder.stderr.count("\n") == 1
    assert f"Cannot listen on 127.0.0.1:{server.port}" in port.stderr
    assert "choose another --data" in folder.stderr


def test_only_the_given_key(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path, extra_args=("--api-key", "right")) as server:
        with anthropic.Anthropic(api_key="right", base_url=server.base_url) as client:
            assert list(client.messages.batches.list()) == []
        with (
            anthropic.Anthropic(api_key="wrong", base_url=server.base_url) as client,
            pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"),
        ):
            client.messages.batches.list()


def test_gzip(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path, seconds_per_batch=0, extra_args=("--gzip",)) as server:
        batch = server.post("/v1/messages/batches", {"requests": items(500)})
        url = f"{server.base_url}/v1/messages/batches/{batch['id']}/results"
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            plain = response.read()
        asking = urllib.request.Request(url, headers={**headers, "accept-encoding": "gzip"})
        with urllib.request.urlopen(asking) as response:
            assert response.headers["content-encoding"] == "gzip"
            packed = response.read()
        assert len(packed) < len(plain) / 3
        assert gzip.decompress(packed) == plain
        with anthropic.Anthropic(api_key="k", base_url=server.base_url) as client:
            assert len(list(client.messages.batches.results(batch["id"]))) == 500


def test_ten_thousand_at_a_time_in_flat_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    body, seconds, memory = large_body(), [], []
    with LocalApiServer(tmp_path, seconds_per_batch=0) as server:
        for _ in range(5):
            started = server.cpu_seconds()
            batch = server.request("POST", "/v1/messages/batches", body)
            seconds.append(server.cpu_seconds() - started)
            lines = server.get(f"/v1/messages/batches/{batch['id']}/results")
            assert lines.count("\n") == 10_000
            memory.append(server.rss_bytes())
        assert server.billing()["requests_billed"] == 50_000
        assert "MARKER-7f3a" not in server.log
    assert len(body) > 30e6
    assert min(seconds) < 1
    assert max(memory) < 150e6
    assert memory[-1] - memory[0] < 15e6


def test_the_event_loop_stays_responsive(tmp_path: Path) -> None:
    body = large_body(20_000)
    with LocalApiServer(tmp_path, seconds_per_batch=0) as server:
        server.get("/v1/messages/batches")
        answers: list[Any] = []
        submitting = threading.Thread(
            target=lambda: answers.append(server.request("POST", "/v1/messages/batches", body))
        )
        submitting.start()
        slowest, begun = 0.0, time.monotonic()
        while submitting.is_alive():
            started = time.monotonic()
            server.get("/v1/messages/batches")
            slowest = max(slowest, time.monotonic() - started)
        submitting.join()
        assert answers[0]["request_counts"]["succeeded"] == 20_000
        assert slowest < (time.monotonic() - begun) / 2


def test_answers_on_a_kept_connection_do_not_wait_for_an_acknowledgement(tmp_path: Path) -> None:
    with (
        LocalApiServer(tmp_path) as server,
        anthropic.Anthropic(api_key="k", base_url=server.base_url, max_retries=0) as client,
    ):
        client.messages.batches.list()
        seconds = []
        for _ in range(50):
            started = time.monotonic()
            client.messages.batches.list()
            seconds.append(time.monotonic() - started)
        assert min(seconds) < 0.035  # every one takes 40 ms with Nagle's algorithm
