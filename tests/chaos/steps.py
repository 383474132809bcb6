"""Numbers every storage, network and ledger step of a process, and kills the process at one of them."""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import httpx2

from nightpress.batches.ledger import Ledger

ROUTE = "/v1/messages/batches"
_STORAGE = ("replace", "link", "fsync", "unlink")
_LEDGER = ("intend", "save", "take_attempt", "take_batch")


class Steps:
    """Counts steps.

    :param die_at: SIGKILL at the step of this number, counted from 1; None never.
    :param note: called with the name of the step just before the process is killed at it.
    """

    def __init__(self, die_at: int | None, note: Callable[[str], None]) -> None:
        self.die_at, self.note = die_at, note
        self.names: list[str] = []

    def __call__(self, name: str, last_act: Callable[[], object] = lambda: None) -> None:
        """Count a step; if it is the one to die at, do ``last_act`` and die."""
        self.names.append(name)
        if len(self.names) == self.die_at:
            last_act()
            self.note(name)
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Count the steps of this process from now on."""
        for name in _STORAGE:
            setattr(os, name, self._around(f"os.{name}", getattr(os, name)))
        for name in _LEDGER:
            setattr(Ledger, name, self._around(f"ledger.{name}", getattr(Ledger, name)))
        make = tempfile.mkstemp

        def mkstemp(*args: Any, **kwargs: Any) -> tuple[int, str]:
            made = make(*args, **kwargs)
            self("storage aside made")
            return made

        tempfile.mkstemp = mkstemp
        os.fdopen = lambda handle, *args, **kwargs: _Writer(handle, self)  # type: ignore[assignment]

    def _around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self(f"{name} before")
            value = function(*args, **kwargs)
            self(f"{name} after")
            return value

        return counted


class _Writer(io.BufferedWriter):
    """A file whose first write may be cut in half by a kill."""

    def __init__(self, handle: int, steps: Steps) -> None:
        super().__init__(io.FileIO(handle, "wb"))
        self.steps: Steps | None = steps

    def write(self, data: Any) -> int:
        steps, self.steps = self.steps, None
        if steps is not None:
            steps("storage half written", lambda: self._write_half(data))
        return super().write(data)

    def _write_half(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        super().write(view[: len(view) // 2])
        self.flush()


class CountedTransport(httpx2.HTTPTransport):
    """HTTP whose requests die before, in the middle, and after."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        name = f"http {_endpoint(request)}"
        self.steps(f"{name} before")
        if request.method == "POST":
            assert isinstance(request.stream, httpx2.SyncByteStream)
            request.stream = _Halves(request.stream, self.steps, f"{name} half sent")
        response = super().handle_request(request)
        self.steps(f"{name} answered")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Chunks(response.stream, self.steps, f"{name} half read")
        return response


class _Halves(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, steps: Steps, name: str) -> None:
        self.stream, self.steps, self.name = stream, steps, name

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.stream:
            yield chunk[: len(chunk) // 2]
            self.steps(self.name)
            yield chunk[len(chunk) // 2 :]


class _Chunks(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, steps: Steps, name: str) -> None:
        self.stream, self.steps, self.name = stream, steps, name

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.stream:
            yield chunk
            self.steps(self.name)

    def close(self) -> None:
        self.stream.close()


def _endpoint(request: httpx2.Request) -> str:
    path = Path(request.url.path)
    if path.name in {"models", "count_tokens"}:
        return path.name
    if request.method == "POST":
        return "create"
    if path.name == "results":
        return "results"
    return "list" if str(path) == ROUTE else "retrieve"
