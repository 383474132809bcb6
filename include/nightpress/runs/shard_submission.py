"""Submit a shard of a run: record the intent, check that the API's queue has room, and tell how long to wait.

:func:`send_shard` never waits itself. It returns the batch, or a :class:`Wait` that says until when to wait;
the caller waits (in Airflow by deferring) and calls it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from nightpress.batches.batch import Batch
from nightpress.batches.batch_api import BatchApi
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.batches.submission_records import Submitted, Wait
from nightpress.errors import BudgetError, InvalidReferenceError, LedgerError, SubmitLaterError
from nightpress.layout import DataRoot, is_day, run_folder_name
from nightpress.runs.sent_meanwhile import check_sent_meanwhile
from nightpress.shards.shard import Shard

log = logging.getLogger(__name__)

MAX_WAITS_AS_TOLD = 50
"""Most refusals of a shard with a waiting time; after these, the caller's own retries take over."""

QUEUE_CHECK_SECONDS = 60.0
"""Seconds between two checks of a full API queue."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The submitter of a shard, for the ledger.

    :param dag_id: with ``task_id`` and ``map_index``, the Airflow task; empty outside Airflow.
    """

    pipeline: str
    run_id: str
    dag_id: str = ""
    task_id: str = ""
    map_index: int = -1

    def intent(self, shard: Shard) -> Entry:
        """Return the ledger entry to record before anything is sent."""
        return Entry(
            key=shard.key,
            requests=shard.articles,
            bytes=shard.bytes,
            pipeline=self.pipeline,
            day=day_of_shard(shard),
            run=self.run_id,
            uri=shard.uri,
            round=shard.round,
            betas=shard.betas,
            dag_id=self.dag_id,
            task_id=self.task_id,
            map_index=self.map_index,
        )


def open_shard(reference: object, root: DataRoot, run_id: str, pipeline: str | None = None) -> Shard:
    """Read a shard reference that a task of the run was given; its files lie in the run's own folder.

    :param pipeline: whose run it is; None does not check it.
    :raises ConfigurationError: it is not a shard reference.
    :raises InvalidReferenceError: it is below the folder of another run, or of none.
    """
    shard = Shard.from_reference(reference)
    area, *place, folder, _ = ["", "", "", *root.reference(root.open(shard.uri)).split("/")][-5:]
    own = len(place) == 2 and is_day(place[1]) and pipeline in {None, place[0]}
    if area != "runs" or not own or folder != run_folder_name(run_id):
        raise InvalidReferenceError(
            f"the shard {shard.uri!r:.300} is not below the folder of this run, {run_id!r:.120}"
            + (f" of {pipeline}" if pipeline else "")
        )
    return shard


def day_of_shard(shard: Shard) -> str:
    """Return the day whose run made a shard: ``…/runs/<pipeline>/<day>/<run>/requests-….json``."""
    return shard.uri.rsplit("/", 3)[-3]


def send_shard(  # noqa: PLR0917 - all are needed
    shard: Shard,
    sender: Sender,
    api: BatchApi,
    ledger: Ledger,
    root: DataRoot,
    clock: Callable[[], float],
    *,
    max_requests_in_flight: int | None = None,
    observe_queue: Callable[[Sequence[Batch]], None] | None = None,
    check_before_post: Callable[[], object] | None = None,
) -> Submitted | Wait:
    """Give a shard exactly one batch, or say how long to wait before the next call.

    :param clock: returns epoch seconds.
    :param max_requests_in_flight: requests of the whole API workspace that may be waiting at the same time;
        None never waits for room.
    :param check_before_post: raises an error that forbids the POST, such as for the budget; an existing batch
        is attached or adopted anyway.
    :param observe_queue: called with the batches of the API's list after it was read.
    :raises BudgetError: no batch exists, and the budget allows none (:attr:`Shard.look_only`), or another run has
        sent some of its articles since the plan.
    :raises RequestRefusedError: no batch exists, and a retry cannot help.
    :raises SubmitLaterError: no batch exists, and a retry may help; the API did not say when.
    :raises UnknownOutcomeError: a batch may exist; a retry looks for it first.
    :raises LedgerError: the record cannot be trusted; a person has to decide.
    """
    if shard.look_only:
        check_before_post = partial(_refuse_to_send, shard)
    if max_requests_in_flight is not None and ledger.load(shard.key) is None:
        batches = _read_queue(api)
        if observe_queue is not None:
            observe_queue(batches)
        wait = wait_for_room(shard, batches, max_requests_in_flight, clock())
        if wait is not None:
            return wait
    try:
        body = Body(root.open(shard.uri), shard.bytes)
        check_taken = partial(check_sent_meanwhile, shard, sender.pipeline, day_of_shard(shard), root, ledger)
        submit = partial(
            submit_shard, sender.intent(shard), body, api, ledger, clock, check_before_post, check_taken
        )
        return _unpack_if_gone(submit, body, shard)
    except SubmitLaterError as error:
        wait = wait_as_told(error, ledger.load(shard.key), clock())
        if wait is None:
            raise
        return wait


def _unpack_if_gone(submit: Callable[[], Submitted | Wait], body: Body, shard: Shard) -> Submitted | Wait:
    """Submit a shard; if its body was compressed after it was sent and is needed again, restore it first."""
    try:
        return submit()
    except LedgerError as error:
        from nightpress.shards.kept_bodies import unpack_body

        if error.code != "body_gone" or not unpack_body(body.path, shard.key):
            raise
    return submit()


def _refuse_to_send(shard: Shard) -> NoReturn:
    """Refuse the POST of a shard whose batch may only be looked for.

    :raises BudgetError: always.
    """
    raise BudgetError(
        f"shard {shard.name} has no batch, and the budget does not allow sending its {shard.articles:,} articles. "
        "Nothing was sent. Raise max_cost_usd.",
        code="budget_lowered",
    )


def _read_queue(api: BatchApi) -> Sequence[Batch]:
    """Return the API's newest batches; empty if the list fails, because the POST will show what is wrong."""
    try:
        return api.list(limit=1000).data
    except Exception as error:
        log.info("could not look at the API's queue: %s", type(error).__name__)
        return ()


def wait_for_room(shard: Shard, batches: Sequence[Batch], max_requests: int, now: float) -> Wait | None:
    """Return until when to wait if a shard would overfill the API's queue; an empty queue accepts any shard.

    The check and the POST are two steps, so shards submitted at the same moment may exceed the limit; the API
    then answers 429, and nothing is lost.
    """
    waiting = sum(batch.request_counts.processing for batch in batches)
    if not waiting or waiting + shard.articles <= max_requests:
        return None
    return Wait(
        f"{waiting:,} requests wait at the API, and {shard.articles:,} more would exceed "
        f"max_requests_in_flight={max_requests:,}",
        now + QUEUE_CHECK_SECONDS,
    )


def wait_as_told(error: SubmitLaterError, entry: Entry | None, now: float) -> Wait | None:
    """Return until when the API asked to wait; None if it did not, or after too many such waits."""
    refusals = sum(attempt.outcome == "refused" for attempt in entry.attempts) if entry else 0
    if error.retry_after_seconds is None or refusals >= MAX_WAITS_AS_TOLD:
        return None
    return Wait(f"{error}; the API asked to wait", now + error.retry_after_seconds)
