"""Wait for a batch without holding a worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException

from message_batches.config import DEFAULT_CONN_ID, connect, data_root, open_ledger
from message_batches.remedies import fail_without_retry
from message_batches.triggers import MessageBatchTrigger
from nightpress.batches.batch import Batch
from nightpress.batches.polling import describe_ended
from nightpress.errors import ApiReplyError, ConfigurationError, NightpressError, ResultsError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightpress.batches.client import MessageBatches

_FRAMEWORK_GRACE = timedelta(minutes=10)
"""How much later Airflow's own timeout is, so that ours, whose message says more, comes first."""


_REMEDIES = {
    "refused": "Then clear this task to wait on.",
    "gone": "Clear this task to look again.",
    "deadline": "Clear this task to wait on.",
}


class MessageBatchSensor(BaseSensorOperator):
    """Wait until a message batch has ended, and return its id.

    It polls once; if the batch is still running, it defers, and in the triggerer one shared poll of the list of
    batches serves all waiting tasks. It only reads, so a clear or a retry costs nothing. A batch whose results are
    stored has ended, also when the API no longer has it.

    :param batch_id: the batch, usually the output of :class:`~message_batches.operators.SubmitBatchOperator`.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param poll_seconds: seconds between polls; None means 30, and 2 for the offline API. Any other API is polled
        every 30 seconds at most.
    :param timeout: seconds after which the task fails (default 26 hours: the API lets batches expire after
        24). The batch continues at the API; clear the task to go on waiting.
    :param deferrable: False holds a worker, or reschedules with ``mode="reschedule"``.
    :param cancel_on_kill: cancel the batch when a user clears, fails or marks the waiting task. Off by
        default, because the answers that a batch has by then are paid for anyway.
    """

    template_fields: Sequence[str] = ("batch_id", "conn_id")
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        batch_id: Any,
        conn_id: str = DEFAULT_CONN_ID,
        poll_seconds: float | None = None,
        timeout: float | timedelta = timedelta(hours=26),
        deferrable: bool = True,
        cancel_on_kill: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("poke_interval", poll_seconds or 60)
        super().__init__(timeout=timeout, **kwargs)
        if poll_seconds is not None and poll_seconds <= 0:
            raise ConfigurationError(f"poll_seconds is {poll_seconds}; it must be more than 0, or None")
        self.batch_id = batch_id
        self.conn_id = conn_id
        self.poll_seconds = poll_seconds
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill

    @cached_property
    def api(self) -> MessageBatches:
        """The API of the connection."""
        return connect(self.conn_id)

    def execute(self, context: Context) -> str:
        """Return the batch id at once if the batch has ended, else defer."""
        if not isinstance(self.batch_id, str) or not self.batch_id:
            raise AirflowFailException(
                f"batch_id is {self.batch_id!r}; the id that SubmitBatchOperator returns is needed"
            )
        if not self.deferrable:
            result: str = super().execute(context)
            return result
        with fail_without_retry():
            batch = self._look()
        if batch is not None and batch.ended:
            self.log.info(describe_ended(batch))
            return self.batch_id
        self.log.info("batch %s has not ended; waiting in the triggerer", self.batch_id)
        self.defer(
            trigger=MessageBatchTrigger(
                batch_ids=[self.batch_id],
                conn_id=self.conn_id,
                deadline=time.time() + self.timeout,
                poll_seconds=self.poll_seconds,
                result=self.batch_id,
                cancel_on_kill=self.cancel_on_kill,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + _FRAMEWORK_GRACE,
        )
        return self.batch_id

    def execute_complete(self, context: Context, event: Any = None) -> str:  # noqa: ARG002
        """Turn the trigger's event into the task's end; only a batch that ended is a success."""
        if not isinstance(event, dict) or "status" not in event:
            raise ResultsError(f"waiting for batch {self.batch_id} ended with an unknown event: {event!r}")
        if event["status"] == "ended":
            return str(self.batch_id)
        remedy = _REMEDIES.get(str(event["status"]), "")
        with fail_without_retry():
            raise AirflowFailException(f"{event.get('message')} {remedy}".strip())

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002
        """Poll once, for use without deferring."""
        with fail_without_retry():
            batch = self._look()
        return PokeReturnValue(is_done=batch is not None and batch.ended, xcom_value=self.batch_id)

    def _look(self) -> Batch | None:
        """Return the batch, or None if this poll failed: one failure says nothing about the batch."""
        try:
            return self.api.retrieve(self.batch_id)
        except Exception as error:
            if self._is_collected(error):
                return Batch(self.batch_id, "ended")
            self._explain_failed_look(error)
            return None

    def _is_collected(self, error: Exception) -> bool:
        """Return whether the batch was deleted at the API after its results were stored, so that nothing is missing."""
        import anthropic

        if not isinstance(error, anthropic.NotFoundError):
            return False
        from nightpress.results.collect import are_results_kept

        try:
            kept = are_results_kept(self.batch_id, open_ledger(self.api.scope), data_root())
        except NightpressError:
            # No data root, or an entry that cannot be read: the sensor only waits then.
            return False
        if kept:
            self.log.info("the API no longer has batch %s; its results are stored", self.batch_id)
        return kept

    def _explain_failed_look(self, error: Exception) -> None:
        # Here and not above: a look that is answered needs nothing of the SDK, which is slow to import.
        import anthropic

        from nightpress.batches.redaction import describe_error

        if isinstance(error, (anthropic.AuthenticationError, anthropic.PermissionDeniedError)):
            raise AirflowFailException(
                f"the API refuses the key of connection {self.conn_id!r} (HTTP {error.status_code}). Batch "
                f"{self.batch_id} continues at the API; fix the connection, then clear this task."
            ) from error
        if not isinstance(error, (anthropic.APIError, ApiReplyError)):
            raise error
        self.log.warning("could not look at batch %s (%s)", self.batch_id, describe_error(error))
