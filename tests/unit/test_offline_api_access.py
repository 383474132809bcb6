"""Who may use the server: keys, web pages, other hosts; and how much it reads."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest

from tests.support.batch_requests import items
from tests.support.offline_api_server import PROJECT, LocalApiServer

KEY = "a-random-key"
LOCAL = ("/local/billing", "/local/requests", "/local/faults", "/local/account", "/local/batches/x/requests")


def call(
    server: LocalApiServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    folder = tmp_path_factory.mktemp("locked")
    key_file = folder / "key"
    key_file.write_text(f"{KEY}\n")
    with LocalApiServer(folder / "api", extra_args=["--key-file", str(key_file)]) as server:
        yield server


@pytest.mark.parametrize("path", [*LOCAL, "/v1/models", "/v1/messages/batches"])
@pytest.mark.parametrize("key", [None, "", "wrong", "A-RANDOM-KEY", f"{KEY}x"])
def test_nothing_without_the_key(locked: LocalApiServer, path: str, key: str | None) -> None:
    headers = {} if key is None else {"x_api_key": key}
    status, body = call(locked, "GET", path, anthropic_version="2023-06-01", **headers)
    assert status == 401
    assert json.loads(body)["error"]["type"] == "authentication_error"
    assert KEY.encode() not in body


@pytest.mark.parametrize("path", [*LOCAL[:4], "/v1/models", "/v1/messages/batches"])
def test_everything_with_the_key(locked: LocalApiServer, path: str) -> None:
    assert call(locked, "GET", path, x_api_key=KEY, anthropic_version="2023-06-01")[0] == 200
    assert call(locked, "GET", path, authorization=f"Bearer {KEY}", anthropic_version="2023-06-01")[0] == 200


@pytest.mark.parametrize("path", ["/local/clock", "/local/faults", "/local/account", "/local/reset"])
def test_nothing_is_changed_without_the_key(locked: LocalApiServer, path: str) -> None:
    assert call(locked, "POST", path, b"{}", content_type="application/json")[0] == 401


def test_the_pages_ask_a_browser_for_the_key(locked: LocalApiServer) -> None:
    assert call(locked, "GET", "/")[0] == 401
    pair = b64encode(f"any:{KEY}".encode()).decode()
    status, body = call(locked, "GET", "/", authorization=f"Basic {pair}")
    assert (status, b"no model was called" in body) == (200, True)
    assert call(locked, "GET", "/openapi.json")[0] == 200


def test_the_key_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE_API_KEY", KEY)
    with LocalApiServer(tmp_path) as server:
        assert call(server, "GET", "/local/billing")[0] == 401
        assert call(server, "GET", "/local/billing", x_api_key=KEY)[0] == 200
        with anthropic.Anthropic(api_key=KEY, base_url=server.base_url) as client:
            client.messages.batches.create(requests=items(1))
    assert KEY not in server.log


@pytest.mark.parametrize(
    "options", [["--key", ""], ["--key-file", "/nowhere/key"], ["--key-file", "/dev/null"]]
)
def test_no_key_is_an_error_and_not_an_open_door(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "offline_api", "--port", "0", "--data", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=False)
    assert done.returncode == 1
    assert "key" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["/local/clock", "/local/faults", "/local/account", "/local/reset"])
@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"],
)
def test_a_web_page_cannot_switch_anything(server: LocalApiServer, path: str, kind: str | None) -> None:
    """Those are the types that a page may send to another origin without asking it first."""
    server.faults({"endpoint": "list", "kind": "drop", "skip": 5})
    before = server.get("/local/faults")
    body = b'{"endpoint": "list", "kind": "status"}'
    headers = {} if kind is None else {"content_type": kind}
    status, answer = call(server, "POST", path, body, **headers)
    assert (status, json.loads(answer)["type"]) == (415, "error")
    assert server.get("/local/faults") == before


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "[::2]:1",
        "127.1",
        "2130706433",
        "evil.example:127.0.0.1",
        "user@localhost",
        "localhost@evil.example",
        "localhost, evil.example",
        "localhost/evil.example",
        "localhost:80:80",
        "[localhost]",
        "",
    ],
)
def test_another_hosts_name_reaches_nothing_local(server: LocalApiServer, host: str) -> None:
    assert call(server, "GET", "/local/billing", host=host)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "LOCALHOST", "[::1]:80"])
def test_this_machines_names(server: LocalApiServer, host: str) -> None:
    assert call(server, "GET", "/local/billing", host=host)[0] == 200


@pytest.mark.parametrize("path", ["/local/clock", "/local/faults", "/local/account"])
def test_local_bodies_are_bounded(server: LocalApiServer, path: str) -> None:
    status, answer = call(server, "POST", path, b" " * 1_500_000, content_type="application/json")
    assert (status, json.loads(answer)["error"]["type"]) == (413, "request_too_large")


@pytest.mark.parametrize("path", ["/local/clock", "/local/faults", "/local/account"])
@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"null", b"\xff", b'"x"', b'{"a": 1e999}', b"{}"])
def test_odd_local_bodies(server: LocalApiServer, path: str, body: bytes) -> None:
    status, answer = call(server, "POST", path, body, content_type="application/json")
    if not (path == "/local/account" and body == b"{}"):
        assert status == 400
        assert json.loads(answer)["error"]["type"] == "invalid_request_error"


def test_counting_reads_32_mb_at_most(server: LocalApiServer) -> None:
    headers = {"x_api_key": "k", "anthropic_version": "2023-06-01"}
    before = server.rss_bytes()
    assert call(server, "POST", "/v1/messages/count_tokens", b" " * 60_000_000, **headers)[0] == 413
    assert server.rss_bytes() - before < 100_000_000


def test_it_runs_alone(tmp_path: Path) -> None:
    """A copy of the folder is enough, far from this project."""
    import shutil

    shutil.copytree(PROJECT / "include" / "offline_api", tmp_path / "offline_api")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", "import offline_api.__main__ as m, sys; print(m.__file__, *sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert done.stdout.startswith(str(tmp_path))
    assert not {"airflow", "nightpress", "message_batches", "launch", "anthropic", "pydantic"} & set(
        done.stdout.split()
    )
