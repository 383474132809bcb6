"""A thousand tasks that wait for a thousand batches: ``python -m benchmarks.poll_speed [BATCHES]``.

The triggers run in Airflow's own trigger runner, in a process of its own; this process answers it as the
triggerer's supervisor does, over the same socket and frames. The batches are at an offline API; after some
polls its clock is moved ahead, so that all have ended. The API's requests are counted; a heartbeat next to the triggers
measures how long the event loop is blocked while the triggers start, wait and fire.

* ``ours``: :class:`message_batches.triggers.MessageBatchTrigger`;
* ``anthropic provider``: its trigger, at the same poll interval;
* ``idle``: triggers that share a stream and make no requests: Airflow's own cost.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from benchmarks.contest import PROJECT, Goal, Measured, Outcome, environment, private_airflow, say
from tests.support.offline_api_server import LocalApiServer

BATCHES = 1000
CONTENDERS = ("ours", "anthropic provider", "idle")
POLL_SECONDS = 5.0
"""A sixth of the shortest interval for a remote API, so that the benchmark ends."""
_LIST = "GET /v1/messages/batches"
_CONN = "anthropic_default"
_PHASES = ("start", "wait", "fire")


def run(batches: int = BATCHES, rounds: int = 1, polls: int = 4) -> Outcome:
    """Measure all contenders.

    :param polls: number of cycles before the batches end.
    """
    measured: Measured = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        for name in CONTENDERS:
            found = measure(name, batches, polls)
            measured[name].append(found)
            say(
                f"round {number + 1} of {rounds}: {name}: {found['requests_per_cycle']:.1f} requests a cycle, "
                f"all {batches:,} fired {found['seconds']:.1f} s after the end"
            )
    worst = {
        what: max(run[what] for run in measured["ours"])
        for what in ("requests_per_cycle", "start_ms", "wait_ms", "fire_ms", "cycles")
    }
    idle = max(run["start_ms"] for run in measured["idle"])
    goals = (
        Goal("requests a poll cycle", worst["requests_per_cycle"], 1, ""),
        Goal("event loop blocked while they start ÷ idle triggers", worst["start_ms"] / idle, 1.3, "×"),
        Goal("event loop blocked while waiting", worst["wait_ms"], 50, "ms"),
        Goal("event loop blocked while firing", worst["fire_ms"], 50, "ms"),
        Goal("poll cycles until all have fired", worst["cycles"], 2, ""),
    )
    notes = tuple(
        f"{name}: {found[-1]['requests_per_cycle']:,.1f} requests a cycle; blocked at most "
        + ", ".join(f"{max(run[f'{phase}_ms'] for run in found):.0f} ms in the {phase}" for phase in _PHASES)
        for name, found in measured.items()
    )
    title = f"{batches:,} waiting batches on one connection (seconds: from their end to the last event)"
    return Outcome(title, measured, goals, notes)


def measure(name: str, batches: int, polls: int) -> dict[str, float]:
    """Run a contender and return its counts."""
    with (
        tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder,
        LocalApiServer(Path(folder) / "api", seconds_per_batch=3600) as server,
    ):
        ids = [_create(server, number) for number in range(batches)]
        done = Path(folder) / "done"

        def end() -> None:
            server.advance_clock(7200)
            done.touch()

        with _Runner(Path(folder), server.base_url) as runner:
            runner.create([_workload(name, number, batch, done) for number, batch in enumerate(ids)])
            return _watch(runner, server, end, batches, polls)


def _watch(
    runner: _Runner, server: LocalApiServer, end: Callable[[], None], batches: int, polls: int
) -> dict[str, float]:
    begun = time.time()
    runner.serve(until=lambda: runner.started() >= batches)
    # The first poll of the last trigger belongs to the start.
    runner.serve(seconds=POLL_SECONDS * 2)
    waiting, before = time.time(), _requests(server)
    runner.serve(seconds=polls * POLL_SECONDS)
    ended, between = time.time(), _requests(server)
    end()
    runner.serve(until=lambda: len(runner.fired) >= batches)
    last, after = time.time(), _requests(server)
    cycles = max(1.0, (last - ended) / POLL_SECONDS)
    # The jitter of 10 % makes cycles longer; with shared polls, there are as many cycles as polls.
    looks = between[_LIST] - before[_LIST] or polls
    return {
        "seconds": last - ended,
        "cycles": float(after[_LIST] - between[_LIST]) or cycles,
        "requests_per_cycle": (sum(between.values()) - sum(before.values())) / looks,
        "start_ms": runner.paused_ms(begun, waiting),
        "wait_ms": runner.paused_ms(waiting, ended),
        "fire_ms": runner.paused_ms(ended, last),
    }


def _requests(server: LocalApiServer) -> dict[str, int]:
    counts = server.request_counts()
    single = sum(number for route, number in counts.items() if route.startswith(f"{_LIST}/"))
    return {_LIST: counts.get(_LIST, 0), "single": single}


def _create(server: LocalApiServer, number: int) -> str:
    message = {"role": "user", "content": f"text {number}"}
    params = {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [message]}
    batch = server.post(
        "/v1/messages/batches", {"requests": [{"custom_id": f"n-{number}", "params": params}]}
    )
    return str(batch["id"])


def _workload(name: str, number: int, batch: str, done: Path) -> dict[str, Any]:
    from airflow.executors.workloads.task import TaskInstanceDTO
    from airflow.executors.workloads.trigger import RunTrigger
    from airflow.models.trigger import Trigger

    deadline = time.time() + 3600
    kwargs: dict[str, Any]
    if name == "ours":
        path = "message_batches.triggers.MessageBatchTrigger"
        kwargs = {"batch_ids": [batch], "deadline": deadline, "poll_seconds": POLL_SECONDS, "result": batch}
        kwargs |= {"conn_id": _CONN, "cancel_on_kill": False}
    elif name == "idle":
        path, kwargs = "benchmarks.poll_runner.IdleTrigger", {"file": str(done)}
    else:
        path = "airflow.providers.anthropic.triggers.batch.AnthropicBatchTrigger"
        kwargs = {"conn_id": _CONN, "batch_id": batch, "poll_interval": POLL_SECONDS, "end_time": deadline}
    ti = {
        "id": uuid.uuid4(),
        "dag_version_id": uuid.uuid4(),
        "task_id": "shard.wait_for_batch",
        "dag_id": "bench",
        "run_id": "bench",
        "try_number": 1,
        "map_index": number,
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
    }
    instance = TaskInstanceDTO.model_validate(ti)
    workload = RunTrigger(
        id=number + 1,
        classpath=path,
        encrypted_kwargs=Trigger.encrypt_kwargs(kwargs),
        ti=instance,
    )
    return workload.model_dump(mode="json")


class _Runner:
    """The runner's process, and the supervisor's end of its socket."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder, self.base_url = folder, base_url
        self.pauses, self.log = folder / "pauses", folder / "log"
        self.fired: set[int] = set()
        self._new: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        connection = {"conn_type": "anthropic", "password": "bench", "host": self.base_url}
        env = environment() | {"AIRFLOW_CONN_ANTHROPIC_DEFAULT": json.dumps(connection)}
        self.pauses.touch()
        self.log.touch()
        command = [sys.executable, "-m", "benchmarks.poll_runner", str(self.pauses), str(self.log)]
        with (self.folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=stderr, stderr=stderr, env=env, cwd=PROJECT
            )
        theirs.close()
        self._socket = ours
        self._send(0, {"type": "StartTriggerer"})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        if kind is not None:
            said = (self.folder / "stderr").read_text()[-3000:] + self.log.read_text()[-2000:]
            print(said, file=sys.stderr)

    def create(self, workloads: list[dict[str, Any]]) -> None:
        """Start triggers at the runner's next heartbeat."""
        self._new = workloads

    def started(self) -> int:
        """Return how many triggers have started."""
        return self.log.read_text().count(" starting")

    def paused_ms(self, first: float, last: float) -> float:
        """Return the longest pause of the event loop that ended between two times, in ms."""
        pauses = [json.loads(line) for line in self.pauses.read_text().splitlines()]
        return 1000 * max((late for at, late in pauses if first <= at <= last + 0.01), default=0.0)

    def serve(self, *, seconds: float = 300.0, until: Callable[[], bool] | None = None) -> None:
        """Answer the runner for this long, or until a condition is true.

        :raises TimeoutError: the condition did not become true in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._socket.settimeout(max(0.001, min(0.2, deadline - time.monotonic())))
            try:
                size = self._socket.recv(4, socket.MSG_PEEK | socket.MSG_WAITALL)
            except TimeoutError:
                size = b""
            if size:
                self._answer()
            elif self._process.poll() is not None:
                raise RuntimeError("the trigger runner ended")
            if until is not None and until():
                return
        if until is not None:
            raise TimeoutError(f"{len(self.fired)} triggers have fired after {seconds:.0f} s")

    def _answer(self) -> None:
        self._socket.settimeout(10)
        size = int.from_bytes(self._receive(4), "big")
        number, body, *_ = msgspec.msgpack.decode(self._receive(size))
        if body["type"] != "TriggerStateChanges":
            self._send(number, None)
            return
        self.fired.update(event[0] for event in body.get("events") or ())
        created, self._new = self._new, []
        self._send(number, {"type": "TriggerStateSync", "to_create": created, "to_cancel": []})

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (part := self._socket.recv(size - len(data))):
                raise ConnectionError("the trigger runner is gone")
            data += part
        return data

    def _send(self, number: int, body: dict[str, Any] | None) -> None:
        data = msgspec.msgpack.encode([number, body])
        self._socket.sendall(len(data).to_bytes(4, "big") + data)


if __name__ == "__main__":
    with private_airflow():
        print("\n".join(run(*map(int, sys.argv[1:])).lines()))
