"""The server's clock: the machine's clock, moved ahead on request, so that a test can let 29 days pass."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Epoch seconds with an adjustable offset.

    :param offset_seconds: how far this clock is ahead of the machine's.
    """

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time() + self.offset_seconds


def rfc3339(seconds: float) -> str:
    """Return epoch seconds as the API writes times, e.g. ``2026-11-22T01:02:03.000004Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
