"""CPU seconds of submit and wait above an empty task of the same Airflow, imports and requests included.

``python -m benchmarks.task_start [ROUNDS]`` runs each step in a separate process that has loaded what every task
loads: Airflow's task runner and its plugins. ``SDK`` imports the official SDK and the provider's hook, as each
step used to do.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.contest import Goal, Outcome, alternate, middle, run_child

STEPS = ("ours", "submit", "SDK")
"""``ours`` is the wait step."""

_BATCH: dict[str, object] = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "ended",
    "results_url": None,
    "created_at": "2026-11-22T00:00:00Z",
    "request_counts": dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0),
    "data": [],
    "has_more": False,
}


class _Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps(_BATCH).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


def run(rounds: int = 3) -> Outcome:
    """Measure the steps."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
        connection = json.dumps({"conn_type": "anthropic", "password": "bench-key", "host": url})
        extra = {"AIRFLOW_HOME": folder, "AIRFLOW_CONN_ANTHROPIC_DEFAULT": connection}
        measured = alternate(
            STEPS,
            rounds,
            lambda step: run_child("benchmarks.task_start", step, tempfile.mkdtemp(dir=folder), extra=extra),
        )
    server.shutdown()
    goals = (
        Goal("wait: CPU above an empty task", middle(measured, "ours", "cpu_seconds"), 0.3, "s"),
        Goal("submit: CPU above an empty task", middle(measured, "submit", "cpu_seconds"), 0.3, "s"),
    )
    return Outcome("what a task costs above an empty one, CPU; ours is wait", measured, goals)


def child(step: str, folder: Path) -> None:
    """Load what every task loads, then run the step."""
    import airflow.sdk.execution_time.supervisor
    import airflow.sdk.execution_time.task_runner  # noqa: F401
    from airflow.sdk.plugins_manager import get_hook_lineage_readers_plugins

    get_hook_lineage_readers_plugins()
    gc.freeze()  # like the local and the Celery executor before they fork
    before = set(sys.modules)
    started, cpu = time.perf_counter(), time.process_time()
    {"ours": _wait, "submit": lambda: _submit(folder), "SDK": _sdk}[step]()
    found = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(found | {"modules": len(set(sys.modules) - before)}))


def _wait() -> None:
    from message_batches.sensors import MessageBatchSensor

    MessageBatchSensor(task_id="wait", batch_id="msgbatch_1").execute({})


def _submit(folder: Path) -> None:
    from message_batches import config
    from message_batches.operators.submit_batch import SubmitBatchOperator
    from nightpress.batches.ledger import Ledger
    from nightpress.layout import DataRoot
    from nightpress.runs.shard_submission import Sender, send_shard
    from nightpress.shards.shard import Shard

    SubmitBatchOperator(task_id="submit", pipeline="p", shard={})
    uri = "runs/p/2026-11-22/r/requests-00000.json"
    (folder / uri).parent.mkdir(parents=True)
    (folder / uri).write_bytes(b'{"requests": []}')
    root = DataRoot(config.open_path(f"file://{folder}"))
    api = config.connect("anthropic_default")
    send_shard(
        Shard(uri, 1, 16, "a" * 64), Sender("p", "r"), api, Ledger(root.ledger(), api.scope), root, time.time
    )


def _sdk() -> None:
    import airflow.providers.anthropic.hooks.anthropic  # noqa: F401 - what is measured


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
    else:
        print("\n".join(run(int(sys.argv[1]) if len(sys.argv) > 1 else 3).lines()))
