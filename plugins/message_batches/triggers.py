"""Wait for batches in the triggerer; one poll of the API serves all of them.

Every waiting task of one connection shares one stream: ``GET /v1/messages/batches?limit=1000`` serves
them all. A batch that is not on that page is requested separately, and so are all batches if the API has no list.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass
from typing import Any

import structlog
from airflow.triggers.base import BaseEventTrigger, TaskSuccessEvent, TriggerEvent

from message_batches.airflow_private import return_value
from message_batches.shared_looks import (
    SharedConnection,
    effective_poll_seconds,
    look_at_list,
    look_up,
)
from nightpress.batches.polling import BatchWait, Look, PollOutcome, next_look_seconds

log = structlog.get_logger(__name__)

_SAFE_FIRST_WAIT_SECONDS = 15.0
"""A trigger that resumes its task sooner may be faster than the scheduler, which costs the task a try."""

_PROGRESS_SECONDS = 600.0

_TURN_SECONDS = 0.004
"""A thousand tasks that log and fire take five seconds; all at once they would hold the event loop for 0.3."""


@dataclass(frozen=True, slots=True)
class SharedLook:
    """What the shared stream gives each waiting task.

    :param connection: the stream's, for batches that its look did not show.
    :param turn: taken before anything that costs more than reading the look.
    """

    look: Look
    connection: SharedConnection
    turn: asyncio.Lock

    async def take_turn(self) -> None:
        """Wait until the tasks before this one have gone on."""
        async with self.turn:
            await asyncio.sleep(_TURN_SECONDS)


class MessageBatchTrigger(BaseEventTrigger):
    """Fire once, when all of some batches have ended or waiting for them is over.

    :param batch_ids: the batches to wait for.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param deadline: end of the wait, epoch seconds (wall clock: another triggerer may take over).
    :param poll_seconds: seconds between polls; None means 30, and 2 for the offline API. Any other API is polled
        every 30 seconds at most.
    :param result: what the task returns when all have ended. None resumes the task instead, with an
        event ``{"status", "message"}``; so do all other outcomes.
    :param cancel_on_kill: cancel the batches when a user clears or fails the waiting task.
    """

    def __init__(
        self,
        *,
        batch_ids: list[str],
        conn_id: str,
        deadline: float,
        poll_seconds: float | None = None,
        result: str | None = None,
        cancel_on_kill: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batch_ids = list(batch_ids)
        self.conn_id = conn_id
        self.deadline = deadline
        self.poll_seconds = poll_seconds
        self.result = result
        self.cancel_on_kill = cancel_on_kill
        self._started = time.time()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments; deadlines are absolute, so that nothing is lost."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "batch_ids": self.batch_ids,
                "conn_id": self.conn_id,
                "deadline": self.deadline,
                "poll_seconds": self.poll_seconds,
                "result": self.result,
                "cancel_on_kill": self.cancel_on_kill,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """Return the key by which waiting tasks share one stream."""
        return ("message_batches", self.conn_id, self.poll_seconds)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[SharedLook]:
        """Poll the list of batches repeatedly; a failed poll is passed on, never raised.

        A poll that is rejected drops the client, so that the next one reads the connection again.
        """
        failures = 0
        connection = SharedConnection(kwargs["conn_id"])
        turn = asyncio.Lock()
        try:
            while True:
                look, retry_after = await look_at_list(connection)
                failures = failures + 1 if look.error is not None and not look.unlisted else 0
                yield SharedLook(look, connection, turn)
                poll_seconds = effective_poll_seconds(kwargs["poll_seconds"], connection.offline)
                wait = next_look_seconds(poll_seconds, failures, retry_after, random.random())  # noqa: S311
                await asyncio.sleep(wait)
        finally:
            await connection.drop()

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[SharedLook]
    ) -> AsyncIterator[TriggerEvent]:
        """Turn the shared looks into the one event of this trigger."""
        wait = BatchWait(self.batch_ids, self.deadline)
        next_progress = 0.0
        async for shared in shared_stream:
            look = shared.look
            # Not a difference of sets: that walks through the whole look, for each of the waiting tasks.
            missing = {batch_id for batch_id in wait.open if batch_id not in look.batches}
            if missing and (look.error is None or look.unlisted):
                look = await look_up(look, missing, shared.connection)
            outcome = wait.on_look(look)
            if outcome is not None:
                await shared.take_turn()
                yield await self._event(outcome)
                return
            if look.at >= next_progress:
                await shared.take_turn()
                self._log_progress(wait, look)
                next_progress = look.at + _PROGRESS_SECONDS

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait without sharing; used where a triggerer knows no shared streams."""
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event

    async def on_kill(self) -> None:
        """Cancel the batches, if ``cancel_on_kill`` is set; answers that exist by then are paid for and stay."""
        if not self.cancel_on_kill:
            return
        connection = SharedConnection(self.conn_id)
        for batch_id in self.batch_ids:
            try:
                api = await connection.open()
                await api.cancel(batch_id)
            except Exception as error:
                # Airflow is ending this trigger: nothing may keep it from that, and the others can still be canceled.
                self.log.warning("batch %s was not canceled: %s", batch_id, connection.describe(error))
            else:
                self.log.info("asked the API to cancel batch %s", batch_id)
        await connection.drop()

    async def _event(self, outcome: PollOutcome) -> TriggerEvent:
        self.log.info(outcome.message)
        if outcome.status == "ended" and self.result is not None and self.task_instance is not None:
            # Not by `TaskSuccessEvent(xcoms=…)`: Airflow 3.3.2 encodes a string twice on that way, and the next task
            # gets it with quotes.
            await return_value(self.task_instance, self.result)
            return TaskSuccessEvent()
        await asyncio.sleep(max(0.0, self._started + _SAFE_FIRST_WAIT_SECONDS - time.time()))
        return TriggerEvent({"status": outcome.status, "message": outcome.message})  # type: ignore[no-untyped-call]

    def _log_progress(self, wait: BatchWait, look: Look) -> None:
        for batch_id in wait.open:
            batch = wait.seen.get(batch_id)
            if look.error is not None:
                self.log.warning("could not look at batch %s: %s; looking again", batch_id, look.error)
            elif batch is not None:
                age = (
                    "-"
                    if batch.created_at is None
                    else f"{(look.at - batch.created_at.timestamp()) / 60:.0f}"
                )
                self.log.info(
                    "batch %s is %s: %s requests, %s min old (the API tells no more before its end)",
                    batch_id,
                    batch.processing_status,
                    f"{batch.request_counts.total:,}",
                    age,
                )
