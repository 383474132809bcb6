"""Shards to batches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowSkipException

from message_batches import config, metrics
from message_batches.links import TaskLink, batch_url
from message_batches.operators.references import day_of_shard, label_map_index
from message_batches.triggers import MessageBatchTrigger
from nightpress.errors import ConfigurationError, RequestRefusedError, SubmitLaterError
from nightpress.layout import check_pipeline_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightpress.batches.client import MessageBatches
    from nightpress.batches.ledger import Entry, Ledger
    from nightpress.batches.submission import Wait
    from nightpress.shards.shard import Shard

_SAFE_FIRST_WAIT_SECONDS = 15.0
_MAX_REFUSALS = 50
_ROOM_SECONDS = 60.0


class SubmitBatchOperator(BaseOperator):
    """Give a shard exactly one batch, and return the batch's id.

    The ledger knows what was submitted before: a retry, a clear, another run or a backfill of the same
    shard gets the same batch. When the answer to a POST is lost, the task looks for the batch and, while
    candidates are running, defers; it never sends a shard again on a guess.

    :param shard: a shard reference as :class:`ReadArticlesOperator` returns it.
    :param pipeline: name of the pipeline, for the ledger.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param max_requests_in_flight: requests that may wait at the API at once, of everybody who uses its workspace;
        a shard that would exceed it is submitted later. None never waits. The look and the POST are two steps,
        so shards submitted in the same moment may exceed it; the API then answers 429, and nothing is lost.
    :param skip_on_account_trouble: when the API refuses for the account's sake (key, credit, permission),
        skip instead of failing, so that :class:`CollectFailuresOperator` says it once for all shards.
    """

    template_fields: Sequence[str] = ("shard", "conn_id")
    operator_extra_links = (TaskLink("Batch"),)
    ui_color = "#f0e8dc"

    def __init__(
        self,
        *,
        shard: Any,
        pipeline: str,
        conn_id: str = config.DEFAULT_CONN_ID,
        max_requests_in_flight: int | None = None,
        skip_on_account_trouble: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_requests_in_flight is not None and max_requests_in_flight < 1:
            raise ConfigurationError(
                f"max_requests_in_flight is {max_requests_in_flight}; it must be 1 or more, or None for no limit"
            )
        self.max_requests_in_flight = max_requests_in_flight
        self.skip_on_account_trouble = skip_on_account_trouble
        self.shard = shard
        self.pipeline = check_pipeline_name(pipeline)
        self.conn_id = conn_id
        self.batch_url = ""

    def execute(self, context: Context, event: Any = None) -> str:  # noqa: ARG002
        """Submit, attach or adopt; defer while it cannot be told which."""
        from nightpress.batches.submission import Body, Wait, submit_shard
        from nightpress.shards.shard import Shard

        with config.clear_failures():
            shard = Shard.from_reference(self.shard)
            label_map_index(shard)
            api = config.connect(self.conn_id)
            ledger = config.open_ledger(api.scope)
            body = Body(ObjectStoragePath(shard.uri), shard.bytes)
            try:
                self._wait_for_room(shard, api, ledger)
                outcome = submit_shard(self._intent(shard, context), body, api, ledger, time.time)
            except SubmitLaterError as error:
                self._wait_if_told(error, ledger.load(shard.key))
                raise
            except RequestRefusedError as error:
                if error.account and self.skip_on_account_trouble:
                    raise AirflowSkipException(f"not submitted: {error}") from error
                raise
        if isinstance(outcome, Wait):
            self._defer(outcome)
            raise AssertionError("deferring does not return")
        if outcome.how == "attached":
            self.log.info("shard %s was submitted before: batch %s", shard.name, outcome.batch_id)
        else:
            metrics.count_submitted(self.pipeline)
        self.batch_url = batch_url(str(api.client.base_url), outcome.batch_id, api.scope == "offline")
        return outcome.batch_id

    def _wait_for_room(self, shard: Shard, api: MessageBatches, ledger: Ledger) -> None:
        """Defer while a shard that nothing was sent of would overfill the API's queue; an empty one takes any."""
        if self.max_requests_in_flight is None or ledger.load(shard.key) is not None:
            return
        try:
            batches = api.list(limit=1000).data
        except Exception as error:
            # No reason to hold anything back; the POST will tell what is wrong, in words that fit.
            self.log.info("could not look at the API's queue: %s", type(error).__name__)
            return
        metrics.show_in_flight(batches)
        waiting = sum(batch.request_counts.processing for batch in batches)
        if waiting and waiting + shard.articles > self.max_requests_in_flight:
            self.log.info(
                "%s requests wait at the API; %s more would exceed max_requests_in_flight=%s: looking again in %.0f s",
                *(f"{waiting:,}", f"{shard.articles:,}", f"{self.max_requests_in_flight:,}", _ROOM_SECONDS),
            )
            self._defer_until(time.time() + _ROOM_SECONDS)

    def _intent(self, shard: Shard, context: Context) -> Entry:
        from nightpress.batches.ledger import Entry

        task = context["ti"]
        return Entry(
            key=shard.key,
            requests=shard.articles,
            bytes=shard.bytes,
            pipeline=self.pipeline,
            day=day_of_shard(shard),
            run=context["run_id"],
            uri=shard.uri,
            round=shard.round,
            dag_id=task.dag_id,
            task_id=task.task_id,
            map_index=-1 if task.map_index is None else task.map_index,
        )

    def _wait_if_told(self, error: SubmitLaterError, entry: Entry | None) -> None:
        """Defer for as long as the API asked; without a word from it, Airflow's own retries do."""
        refusals = sum(attempt.outcome == "refused" for attempt in entry.attempts) if entry else 0
        if error.retry_after_seconds is None or refusals >= _MAX_REFUSALS:
            return
        self.log.warning("%s; trying again in %.0f s", error, error.retry_after_seconds)
        self._defer_until(time.time() + error.retry_after_seconds)

    def _defer(self, wait: Wait) -> None:
        self.log.warning("shard not submitted yet: %s", wait.why)
        if not wait.batch_ids:
            self._defer_until(wait.until)
        trigger = MessageBatchTrigger(
            batch_ids=list(wait.batch_ids), conn_id=self.conn_id, deadline=wait.until
        )
        self.defer(trigger=trigger, method_name="execute")

    def _defer_until(self, moment: float) -> None:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        moment = max(moment, time.time() + _SAFE_FIRST_WAIT_SECONDS)
        self.defer(trigger=DateTimeTrigger(datetime.fromtimestamp(moment, UTC)), method_name="execute")
