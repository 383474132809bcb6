"""Accepting, finding, canceling and deleting batches."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TypedDict

import msgspec

from offline_api.account import Account
from offline_api.account_blocks import BLOCKS
from offline_api.api_errors import ApiError
from offline_api.batch_state import DAY, Speed, status
from offline_api.clock import Clock
from offline_api.faults import Faults, Rule
from offline_api.outcomes import (
    CANCELED,
    EXPIRED,
    FORCED,
    FORCED_ERRORS,
    NO_CREDIT,
    OVER_LIMIT,
    Plan,
    make_answers,
    make_misfits,
    read_plan,
)
from offline_api.parameter_checks import Circumstances
from offline_api.results_writer import ResultsWriter
from offline_api.store import Record, Store

log = logging.getLogger(__name__)
ID_PREFIX = "msgbatch_local_"


class Batches:
    """Accepts, finds, cancels and deletes batches.

    :param store: where they are kept.
    :param clock: decides their status.
    :param account: has the credit and limits.
    :param results: computes their cost.
    """

    def __init__(
        self, store: Store, clock: Clock, speed: Speed, account: Account, results: ResultsWriter
    ) -> None:
        self.store, self.clock, self.speed = store, clock, speed
        self.account, self.results = account, results
        self._lock = threading.Lock()
        self._decoding = threading.Semaphore(1)  # one body at a time: memory stays flat
        self._last_id = self.store.last_id() or ""

    def _new_id(self) -> str:
        """Return an id greater than all ids given out before, also by earlier servers on this folder."""
        last = int(self._last_id.removeprefix(ID_PREFIX) or "0", 16)
        self._last_id = f"{ID_PREFIX}{max(time.time_ns() // 1000, last + 1):016x}"
        return self._last_id

    def accept(self, body: Path, faults: Faults, *, workspace_id: str, betas: str = "") -> Record:
        """Check a body and accept it; the batch is on disk when this returns.

        :param faults: may decide how requests end, and when lists begin to show the batch.
        :param workspace_id: the batch belongs to it.
        :param betas: the ``anthropic-beta`` header.
        :raises ApiError: the body is refused as a whole; nothing is kept.
        """
        created_at = self.clock.now()
        draft = Record(
            id="",
            created_at=created_at,
            ends_at=created_at,
            expires_at=created_at + DAY,
            listed_at=created_at,
            workspace_id=workspace_id,
            betas=betas,
            inference_geo=self.account.inference_geo(workspace_id),
            **_outcome(Plan()),
        )
        with self._decoding:
            plan = read_plan(body, Circumstances(created_at, draft.betas_sent()))
            seconds = self.speed.seconds(len(plan.codes))
            if seconds > DAY:
                plan.stop_at(int(len(plan.codes) * DAY / seconds), EXPIRED)
            forced = _apply_create_faults(plan, body, faults)
        late = faults.take("create", ["late_listing"])
        with self._lock:
            self._check_queue(len(plan.codes))
            record = msgspec.structs.replace(
                draft,
                id=self._new_id(),
                ordinal=self.store.last_ordinal() + 1,
                ends_at=created_at + min(seconds, DAY),
                listed_at=created_at + (late.seconds if late else 0.0),
                forced_message=(forced.message or "") if forced else "",
                forced_code=(forced.error_code or "") if forced else "",
                **_outcome(plan),
            )
            self._spend(record, body, plan)
            record = msgspec.structs.replace(record, **_outcome(plan))
            self.store.take_body(body, record.id)
            self.store.add(record, plan)
        log.info("%s accepted: %d requests", record.id, record.requests)
        return record

    def _check_queue(self, requests: int) -> None:
        limit = self.account.queue_limit
        if limit is None:
            return
        waiting = self.store.requests_in_progress(self.clock.now())
        if waiting + requests > limit:
            raise ApiError(
                429,
                f"This request would exceed your limit of {limit} batch requests in the processing queue; "
                f"{waiting} are in it",
                headers={"retry-after": "60"},
            )

    def _spend(self, record: Record, body: Path, plan: Plan) -> None:
        """Make the requests errored that the remaining money does not cover.

        :raises ApiError: 400: no money is left.
        """
        limits = self.account.limits()
        if not limits:
            return
        spent = self.spent()
        left = {name: amount - spent[name] for name, (amount, _) in limits.items()}
        for name, amount in left.items():
            if amount <= 0:
                raise ApiError(400, BLOCKS[name].message)
        codes = {"credit": NO_CREDIT, "spend_limit": OVER_LIMIT}
        self.results.stop_when_spent(
            record, body, plan, {codes[name]: amount for name, amount in left.items()}
        )

    def spent(self) -> dict[str, int]:
        """Return the picodollars that batches spend under each limit in force, those in progress included."""
        limits = self.account.limits()
        if not limits:
            return {}
        costs = [
            (record.ordinal, sum(part.cost_picodollars for part in self.results.bill(record).values()))
            for record in self.store.all_batches()
            if record.ordinal > min(after for _, after in limits.values())
        ]
        return {
            name: sum(cost for place, cost in costs if place > after) for name, (_, after) in limits.items()
        }

    def get(self, batch_id: str, workspace_id: str | None = None) -> Record:
        """Return a batch.

        :param workspace_id: the only workspace whose batches are found; None finds all.
        :raises ApiError: 404.
        """
        record = self.store.find(batch_id)
        if record is None or workspace_id not in (None, record.workspace_id):
            raise ApiError(404, f"Message Batch {batch_id[:100]} not found")
        return record

    def cancel(self, batch_id: str, workspace_id: str, seconds: float | None = None) -> Record:
        """Ask a batch to end early; requests already processed keep their results.

        :param seconds: how long canceling takes; None is half of a batch's time, but it never ends later.
        :raises ApiError: 404, or 400 when it has ended.
        """
        with self._lock:
            record, now = self.get(batch_id, workspace_id), self.clock.now()
            if status(record, now) == "ended":
                raise ApiError(400, f"Message Batch {batch_id} has ended and cannot be canceled")
            if record.cancel_initiated_at is not None:
                return record
            plan = self.store.plan(batch_id)
            share = (now - record.created_at) / (record.ends_at - record.created_at)
            plan.stop_at(int(len(plan.codes) * share), CANCELED)
            soon = min(record.ends_at, now + self.speed.seconds_per_batch / 2)
            ends_at = soon if seconds is None else now + seconds
            record = msgspec.structs.replace(
                record, cancel_initiated_at=now, ends_at=ends_at, **_outcome(plan)
            )
            self.store.update(record, plan)
        log.info(
            "%s canceling: %d of %d requests were processed",
            batch_id,
            record.requests - record.canceled,
            record.requests,
        )
        return record

    def delete(self, batch_id: str, workspace_id: str) -> None:
        """Delete an ended batch.

        :raises ApiError: 404, or 400 when it has not ended.
        """
        with self._lock:
            record = self.get(batch_id, workspace_id)
            if status(record, self.clock.now()) != "ended":
                raise ApiError(400, f"Message Batch {batch_id} has not ended; cancel it before deleting it")
            self.store.delete(record)
        log.info("%s deleted", batch_id)

    def page(
        self,
        limit: int,
        after_id: str | None = None,
        before_id: str | None = None,
        workspace_id: str | None = None,
    ) -> tuple[list[Record], bool]:
        """Return a page, newest first, and whether more follow in that direction.

        :param workspace_id: the only workspace whose batches are shown; None shows all.
        :raises ApiError: 400: an unknown cursor.
        """
        now = self.clock.now()
        if before_id:
            above = self._cursor("before_id", before_id, workspace_id)
            found = self.store.page(now, limit + 1, above=above, workspace_id=workspace_id)
            return found[-limit:], len(found) > limit
        below = self._cursor("after_id", after_id, workspace_id) if after_id else None
        found = self.store.page(now, limit + 1, below=below, workspace_id=workspace_id)
        return found[:limit], len(found) > limit

    def _cursor(self, name: str, batch_id: str, workspace_id: str | None) -> int:
        record = self.store.find(batch_id)
        if record is None or workspace_id not in (None, record.workspace_id):
            raise ApiError(400, f"{name}: no Message Batch {batch_id[:100]}")
        return record.ordinal


def _apply_create_faults(plan: Plan, body: Path, faults: Faults) -> Rule | None:
    """Let fault rules decide how some requests end; return the one that errored some."""
    if forcing := faults.take("create", ["rows"]):
        code = FORCED + FORCED_ERRORS.index(forcing.error_type)
        shares = {code: forcing.errored, EXPIRED: forcing.expired, CANCELED: forcing.canceled}
        plan.force(seed=forcing.seed, shares=shares)
    if rule := faults.take("create", ["misfits"]):
        make_misfits(plan, body, seed=rule.seed, share=rule.share, misfit=rule.misfit, repairs=rule.repairs)
    if (rule := faults.take("create", ["answers"])) and rule.answer is not None:
        make_answers(plan, seed=rule.seed, share=rule.share, special=rule.answer, category=rule.category)
    return forcing


class _Outcome(TypedDict):
    requests: int
    succeeded: int
    errored: int
    canceled: int
    expired: int


def _outcome(plan: Plan) -> _Outcome:
    counts = plan.counts()
    return _Outcome(
        requests=len(plan.codes),
        succeeded=counts["succeeded"],
        errored=counts["errored"],
        canceled=counts["canceled"],
        expired=counts["expired"],
    )
