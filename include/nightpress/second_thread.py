"""A second thread for work that releases the interpreter's lock: compression, Parquet encoding, syncing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class SecondThread:
    """Runs calls on a second thread, one after the other, in the order of :meth:`run`.

    Leaving the block waits for all calls. The exception of a call is raised by a later :meth:`run` or at the end.

    :param waiting: most calls that may be unfinished; above that :meth:`run` waits, so that memory is bounded.
    """

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._calls: deque[Future[object]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nightpress")

    def __enter__(self) -> SecondThread:
        return self

    def run(self, call: Callable[..., object], *arguments: object) -> None:
        """Wait while too many calls are unfinished, then queue this one."""
        while len(self._calls) >= self._waiting:
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(call, *arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        while error is None and self._calls:
            self._calls.popleft().result()
