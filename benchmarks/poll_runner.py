"""Airflow's unmodified trigger runner, with a heartbeat next to the triggers: ``python -m benchmarks.poll_runner``.

Its supervisor is at the other end of its stdin, as in a triggerer. Pauses of the event loop above 10 ms are
written to the file named first, logs to the file named second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Hashable
from pathlib import Path
from typing import Any

from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.sdk.log import configure_logging
from airflow.triggers.base import BaseEventTrigger, TaskSuccessEvent, TriggerEvent

_NOTED_SECONDS = 0.01
_BEAT_SECONDS = 0.002


class IdleTrigger(BaseEventTrigger):
    """Shares a stream and makes no requests, to measure Airflow's own cost of this many triggers.

    :param file: it fires when this file exists.
    """

    def __init__(self, file: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.file = file

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{IdleTrigger.__module__}.IdleTrigger", {"file": self.file}

    def shared_stream_key(self) -> Hashable:
        return self.file

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[bool]:
        while True:
            yield Path(kwargs["file"]).exists()
            await asyncio.sleep(5)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[bool]) -> AsyncIterator[TriggerEvent]:
        async for there in shared_stream:
            if there:
                yield TaskSuccessEvent()
                return

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async for event in self.filter_shared_stream(self.open_shared_stream({"file": self.file})):
            yield event


class _Runner(TriggerRunner):
    pauses: Path

    async def arun(self) -> None:
        beat = asyncio.create_task(self._beat())
        try:
            await super().arun()  # type: ignore[no-untyped-call]
        finally:
            beat.cancel()

    async def _beat(self) -> None:
        """Note each pause as ``[epoch seconds of its end, seconds]``."""
        with self.pauses.open("a") as file:
            while True:
                before = time.monotonic()
                await asyncio.sleep(_BEAT_SECONDS)
                late = time.monotonic() - before - _BEAT_SECONDS
                if late > _NOTED_SECONDS:
                    file.write(json.dumps([time.time(), late]) + "\n")
                    file.flush()


if __name__ == "__main__":
    _Runner.pauses = Path(sys.argv[1])
    with Path(sys.argv[2]).open("wb") as log:
        configure_logging(json_output=True, output=log)
        _Runner().run()  # type: ignore[no-untyped-call]
