"""Sample the memory of other processes while something is measured."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import Self

import psutil

_SECONDS = 0.25


class Sampler(ABC):
    """Calls :meth:`sample` four times a second on a thread of its own, until the block is left."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @abstractmethod
    def sample(self) -> None:
        """Look once."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_SECONDS):
            self.sample()


def private_mb(process: psutil.Process) -> float:
    """Return the memory of a process without what it shares with others, such as mapped files.

    :raises psutil.Error: the process has ended.
    """
    memory = process.memory_info()
    return float(memory.rss - memory.shared) / 1e6


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the seconds of CPU of these processes and of their children that have ended."""
    total = 0.0
    for pid in pids:
        with suppress(psutil.Error):
            total += sum(psutil.Process(pid).cpu_times()[:4])
    return total
