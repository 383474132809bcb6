"""Work that releases the interpreter's lock, done beside the rest: compression, Parquet encoding, syncing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class SecondThread:
    """Runs calls one after the other on a second thread, in the order in which they were given.

    Leaving the block waits for all of them. What a call raises is raised by a later :meth:`run` or at the end.

    :param waiting: calls that may be unfinished; with more of them :meth:`run` waits, so that memory is bounded.
    """

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._calls: deque[Future[object]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nightpress")

    def __enter__(self) -> SecondThread:
        return self

    def run(self, call: Callable[..., object], *arguments: object) -> None:
        """Give the thread a call, and wait while too many are unfinished."""
        while len(self._calls) >= self._waiting:
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(call, *arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        while error is None and self._calls:
            self._calls.popleft().result()
