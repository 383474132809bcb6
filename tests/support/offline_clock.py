"""Batches that end only when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

BATCH_SECONDS = 3000.0
"""``seconds_per_batch`` of a server whose clock a test moves."""


class Clock(Protocol):
    """An offline API whose clock can be moved."""

    def advance_clock(self, seconds: float) -> None:
        """Move it ahead."""


@contextmanager
def batches_ending(server: Clock) -> Iterator[None]:
    """Make every batch end within two seconds of its creation."""
    stop = threading.Event()

    def move() -> None:
        while not stop.wait(1.0):
            server.advance_clock(BATCH_SECONDS)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield
    finally:
        stop.set()
        mover.join()
