from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import pytest
from upath import UPath

from nightpress.batches.client import MessageBatches
from nightpress.batches.lean_client import LeanClient, suits_lean_client

BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "ended",
    "results_url": None,
    "created_at": "2026-11-22T00:00:00Z",
    "request_counts": dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0),
}
Reply = tuple[int, bytes] | None
"""Status and body; None drops the connection."""


@dataclass
class Api:
    """An API that gives these replies, the last one again and again."""

    replies: list[Reply] = field(default_factory=lambda: [(200, json.dumps(BATCH).encode())])
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append((handler.command, handler.path, headers, body))
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        handler.close_connection = True
        if reply is None:
            return
        handler.send_response(reply[0])
        handler.send_header("Content-Length", str(len(reply[1])))
        handler.send_header("retry-after-ms", "1")
        # Else a client may send the next request on a connection that is being closed, and send it again.
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(reply[1])


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.answer(self)

        def do_POST(self) -> None:
            found.answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


def lean(api: Api) -> MessageBatches:
    return MessageBatches(
        LeanClient("test-key-1", api.url, lambda: anthropic.Anthropic(api_key="test-key-1", base_url=api.url))
    )


def by_sdk(api: Api) -> MessageBatches:
    return MessageBatches(anthropic.Anthropic(api_key="test-key-1", base_url=api.url))


def create(batches: MessageBatches, folder: Path) -> object:
    body = UPath(folder / "body.json")
    body.write_bytes(b'{"requests": []}')
    return batches.create(body, 16, deadline=batches.now() + 60, betas=["output-300k-2026-03-24"])


CALLS: dict[str, Callable[[MessageBatches, Path], object]] = {
    "create": create,
    "retrieve": lambda batches, _: batches.retrieve("msgbatch_1"),
    "list": lambda batches, _: batches.list(limit=7, after_id="msgbatch_0"),
    "results": lambda batches, _: list(batches.stream_results(batches.retrieve("msgbatch_1"))),
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ANTHROPIC_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


WITHOUT_EFFECT = {
    "ANTHROPIC_API_KEY": "another-key",
    "ANTHROPIC_AUTH_TOKEN": "another-token",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
}


@pytest.mark.parametrize("environment", [{}, WITHOUT_EFFECT], ids=["bare", "keys_in_the_environment"])
@pytest.mark.parametrize("call", CALLS)
def test_the_api_gets_the_same_requests_as_from_the_sdk(
    api: Api, call: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert suits_lean_client("test-key-1", api.url, {})
    if call == "list":
        api.replies = [(200, json.dumps({"data": [], "has_more": False}).encode())]
    found = [CALLS[call](make(api), tmp_path) for make in (lean, by_sdk)]
    half = len(api.requests) // 2
    assert found[0] == found[1]
    assert len(api.requests) == 2 * half
    for ours, theirs in zip(api.requests[:half], api.requests[half:], strict=True):
        assert ours[:2] == theirs[:2]
        assert ours[3] == theirs[3]
        told = {name: value for name, value in theirs[2].items() if not name.startswith("x-stainless-")}
        assert ours[2] | {"user-agent": told["user-agent"]} == told


def test_a_proxy_of_the_environment_gets_the_same_requests(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", api.url)
    api.url = "http://api.example"
    for make in (lean, by_sdk):
        create(make(api), tmp_path)
    assert [path for _, path, _, _ in api.requests] == ["http://api.example/v1/messages/batches"] * 2
    assert api.requests[0][3] == api.requests[1][3]


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 429, 500, 503, 529])
def test_a_refused_post_is_sent_once_and_raises_the_sdks_own_error(
    api: Api, status: int, tmp_path: Path
) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    api.replies = [(status, json.dumps(error).encode())]
    raised = []
    for make in (lean, by_sdk):
        with pytest.raises(anthropic.APIStatusError) as found:
            create(make(api), tmp_path)
        raised.append(found.value)
    assert len(api.requests) == 2
    assert type(raised[0]) is type(raised[1])
    assert (str(raised[0]), raised[0].body) == (str(raised[1]), raised[1].body)


def test_a_post_whose_answer_is_lost_is_sent_once(api: Api, tmp_path: Path) -> None:
    api.replies = [None]
    with pytest.raises(anthropic.APIConnectionError) as found:
        create(lean(api), tmp_path)
    assert found.value.__cause__ is not None
    assert len(api.requests) == 1


@pytest.mark.parametrize("first", [None, (500, b"{}"), (429, b"{}"), (503, b"")])
def test_a_get_that_fails_is_repeated_by_the_sdk(api: Api, first: Reply) -> None:
    api.replies = [first, *api.replies]
    assert lean(api).retrieve("msgbatch_1").ended
    assert len(api.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_get_that_is_refused_is_sent_once_and_raises_the_sdks_own_error(api: Api, status: int) -> None:
    api.replies = [(status, b'{"type":"error","error":{"type":"not_found_error","message":"none"}}')]
    raised = []
    for make in (lean, by_sdk):
        with pytest.raises(anthropic.APIStatusError) as found:
            make(api).retrieve("msgbatch_1")
        raised.append(found.value)
    assert len(api.requests) == 2
    assert type(raised[0]) is type(raised[1])


@pytest.mark.parametrize(
    ("password", "extra", "environment", "suits"),
    [
        ("key", {}, {}, True),
        ("key", {"platform": "anthropic", "model": "claude-haiku-4-5"}, {}, True),
        ("key", {"anthropic_client_kwargs": {"max_retries": 0}}, {}, True),
        ("", {}, {}, False),
        (None, {}, {}, False),
        ("key", {"platform": "aws"}, {}, False),
        ("key", {"workload_identity": {"scope": "x"}}, {}, False),
        ("key", {"anthropic_client_kwargs": {"default_headers": {"a": "b"}}}, {}, False),
        ("key", {"anthropic_client_kwargs": {"timeout": 5}}, {}, False),
        ("key", {"something": "new"}, {}, False),
        ("key", {}, {"ANTHROPIC_API_KEY": "other"}, True),
        ("key", {}, {"ANTHROPIC_AUTH_TOKEN": "other"}, True),
        ("", {}, {"ANTHROPIC_API_KEY": "other"}, False),
        ("key", {}, {"ANTHROPIC_BASE_URL": "https://gateway.example"}, False),
        ("key", {}, {"ANTHROPIC_BASE_URL": ""}, False),
        ("key", {}, {"ANTHROPIC_CUSTOM_HEADERS": "a: b"}, False),
        ("key", {}, {"ANTHROPIC_API_KEY": "other", "ANTHROPIC_SOMETHING_NEW": "1"}, False),
    ],
)
def test_only_a_plain_key_does_without_the_sdk(
    monkeypatch: pytest.MonkeyPatch,
    password: str | None,
    extra: dict[str, Any],
    environment: dict[str, str],
    suits: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert suits_lean_client(password, None, extra) is suits


HEAVY = (
    "anthropic",
    "boto3",
    "duckdb",
    "genai_prices",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "rich",
    "typer",
    "nightpress.costs",
    "nightpress.outputs",
    "nightpress.shards.requests",
)
STEPS = {
    "wait": """
        from message_batches.sensors import MessageBatchSensor
        assert MessageBatchSensor(task_id="wait", batch_id="msgbatch_1").execute({}) == "msgbatch_1"
    """,
    "submit": """
        from message_batches import config
        from message_batches.operators.submit_batch import SubmitBatchOperator
        from nightpress.runs.shard_submission import Sender, send_shard
        from nightpress.shards.shard import Shard
        import time, pathlib
        root = config.data_root()
        folder = pathlib.Path(root.path.path) / "runs/p/2026-11-22/r"
        folder.mkdir(parents=True)
        (folder / "requests-00000.json").write_bytes(b'{"requests": []}')
        shard = Shard("runs/p/2026-11-22/r/requests-00000.json", 1, 16, "a" * 64)
        api = config.connect("anthropic_default")
        outcome = send_shard(shard, Sender("p", "r"), api, config.open_ledger(api.scope), root, time.time)
        assert outcome.batch_id == "msgbatch_1", outcome
    """,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_goes_well_imports_nothing_heavy(api: Api, step: str, tmp_path: Path) -> None:
    page = json.dumps(BATCH | {"data": [], "has_more": False}).encode()
    api.replies = [(200, page)]
    code = "\n".join(
        [
            "import sys",
            "import airflow.sdk, airflow.sdk.execution_time.task_runner",
            # A task loads the plugins before it runs, an empty one too.
            "from airflow.sdk.plugins_manager import get_hook_lineage_readers_plugins",
            "get_hook_lineage_readers_plugins()",
            "before = set(sys.modules)",
            *(line.strip() for line in STEPS[step].splitlines()),
            f"print([name for name in {HEAVY!r} if name in set(sys.modules) - before])",
        ]
    )
    project = Path(__file__).resolve().parents[2]
    connection = {"conn_type": "anthropic", "password": "test-key-1", "host": api.url}
    environment = {
        "PATH": "",
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "NIGHTPRESS_ROOT": f"file://{tmp_path}/root",
        "PYTHONPATH": f"{project}/include:{project}/plugins",
        "AIRFLOW_CONN_ANTHROPIC_DEFAULT": json.dumps(connection),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "[]"
