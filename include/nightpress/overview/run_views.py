"""Runs: the batches that were submitted together, added up."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightpress.batches.ledger import Example
from nightpress.costs.plan import Plan
from nightpress.costs.receipt import BatchReceipt, DayReceipt, known_paid
from nightpress.overview.batch_rows import STATES, BatchRow
from nightpress.overview.stored_records import Receipts, paid_by_batch

if TYPE_CHECKING:
    from nightpress.overview.started_runs import StartedRun

EXAMPLES_OF_A_KIND = 3
NEEDS_PERSON = ("approval", "question", "account", "over_budget", "unreadable", "failed")
"""Statuses of a run that continues only when a person does something."""

_ORDER = {state: place for place, state in enumerate(STATES)}

RunKey = tuple[str, str, str, str, str]
"""API, pipeline, day, run, DAG."""


@dataclass(slots=True)
class Failure:
    """Requests of a run that failed in the same way.

    :param batches: how many batches have such a request.
    :param examples: at most three.
    """

    kind: str
    requests: int = 0
    batches: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class RunView:
    """A run and its batches. Moments are epoch seconds, costs USD.

    :param plan: of a run that is not over; None when it was not looked up or does not exist.
    :param token: names the run in a URL.
    :param status: one of :data:`NEEDS_PERSON`, or ``running``, ``stopped`` (shards that were never submitted are
        left), ``published``, ``replaced`` (a later run published the day), ``collected`` (not published), ``planned``
        or ``rejected``.
    :param started: what the scheduler says about it; None when it was not asked or does not know the run.
    :param reported: the day's report was written after this run published the day.
    :param settled: a later run of the same day has begun.
    :param done: batches that have ended, collected or not.
    :param answered_again: requests of the second round that succeeded, so that they no longer count as failures.
    :param cost_usd: the known cost so far, including the known part of batches whose cost is not fully known.
    :param cost_unknown: collected batches whose cost is not fully known.
    """

    scope: str
    pipeline: str
    day: str
    run: str
    dag_id: str
    rows: list[BatchRow]
    receipt: DayReceipt | None = None
    plan: Plan | None = None
    states: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    answered_again: int = 0
    cost_usd: float = 0.0
    cost_unknown: int = 0
    began: float | None = None
    last: float = 0.0
    started: StartedRun | None = None
    settled: bool = False
    reported: bool = False

    @property
    def token(self) -> str:
        name = "\0".join((self.scope, self.pipeline, self.day, self.run, self.dag_id))
        return hashlib.sha256(name.encode()).hexdigest()[:12]

    @property
    def done(self) -> int:
        return self.states["ended"] + self.states["collected"]

    @property
    def active(self) -> bool:
        return self.status in {"question", "running", "stopped", "approval"}

    @property
    def needs_person(self) -> bool:
        """Whether it continues only when a person does something; a failure is settled by a later run of the day."""
        status = self.status
        return status in NEEDS_PERSON and (status in {"approval", "question"} or not self.settled)

    @property
    def replaced_by(self) -> str:
        """The later run that published the day; empty when there is none."""
        receipt = self.receipt
        if receipt is None or not receipt.run or receipt.run == self.run or receipt.published_at is None:
            return ""
        return receipt.run if receipt.published_at.timestamp() > self.last else ""

    @property
    def to_come(self) -> int:
        """Planned shards whose submit task has not begun; 0 when that is unclear."""
        if self.plan is None or self.plan.attached or not self.active:
            return 0
        return max(0, self.plan.shards - sum(row.round == 1 for row in self.rows))

    @property
    def published(self) -> bool:
        """Whether this run published its day last."""
        return self.receipt is not None and bool(self.run) and self.receipt.run == self.run

    @property
    def unanswered(self) -> int:
        """Requests that failed and were not answered in the second round."""
        numbers = self.receipt.numbers if self.receipt is not None and self.published else {}
        failed = numbers.get("failed")
        if isinstance(failed, dict) and all(isinstance(count, int) for count in failed.values()):
            return sum(failed.values())
        return max(0, self.failed - self.answered_again)

    @property
    def status(self) -> str:
        if self.states["question"]:
            return "question"
        started = self.started.state if self.started is not None else ""
        if started in NEEDS_PERSON and not self.published:
            return started
        if self.states["submitting"] or self.states["submitted"] or self.states["ended"]:
            return "running"
        if started == "running":
            return "running"
        if self.states["intended"]:
            return "stopped"
        return self._ended_as(started)

    def _ended_as(self, started: str) -> str:
        if self.published:
            return "published"
        if started in {"planned", "rejected"}:
            return started
        return "replaced" if self.replaced_by else "collected"


def group_runs(rows: Iterable[BatchRow], receipts: Receipts, now: float) -> list[RunView]:
    """Return all runs: first those with a question or in progress, then the latest.

    :param now: epoch seconds; rows whose POST may be under way are questions after its deadline.
    """
    groups: defaultdict[RunKey, list[BatchRow]] = defaultdict(list)
    for row in rows:
        groups[row.scope, row.pipeline, row.day, row.run, row.dag_id].append(row)
    paid: dict[tuple[str, str], dict[str, BatchReceipt]] = {}
    runs = []
    for key, members in groups.items():
        run = RunView(*key, rows=members, receipt=receipts.find(key[1], key[2]))
        if run.receipt is not None and (key[1], key[2]) not in paid:
            paid[key[1], key[2]] = paid_by_batch(run.receipt)
        _add_up(run, paid.get((key[1], key[2]), {}), now)
        runs.append(run)
    # Entries that cannot be read belong to no run; they are questions, and are shown above all runs.
    runs.sort(
        key=lambda run: (not run.pipeline, run.status not in {"question", "running"}, -run.last, run.day)
    )
    return runs


def state_at(row: BatchRow, now: float) -> str:
    """Return the row's state: an open POST is under way until its deadline, and a question afterwards."""
    return "submitting" if row.state == "question" and now < row.until else row.state


def order_rows(run: RunView, now: float) -> list[BatchRow]:
    """Return a run's batches: those that need attention first, then those in progress, then the rest."""
    return sorted(
        run.rows,
        key=lambda row: (_ORDER[state_at(row, now)], not row.errors, row.round, row.name, row.key),
    )


def _add_up(run: RunView, paid: dict[str, BatchReceipt], now: float) -> None:
    failures: dict[str, Failure] = {}
    began: list[float] = []
    for row in run.rows:
        run.states[state_at(row, now)] += 1
        run.last = max(run.last, row.last)
        if row.began is not None:
            began.append(row.began)
        if row.round == 1:
            run.requests += row.requests
        cost, known = _cost_of(row, paid.get(row.batch_id))
        run.cost_usd += cost if cost is not None else known or 0.0
        if cost is None and row.state == "collected":
            run.cost_unknown += 1
        succeeded = row.by_status.get("succeeded", 0)
        run.succeeded += succeeded
        if row.round > 1:
            run.answered_again += succeeded
        else:
            run.failed += sum(row.errors.values())
        if row.errors:
            _add_failures(failures, row)
    run.began = min(began) if began else None
    run.failures = sorted(failures.values(), key=lambda failure: -failure.requests)


def _cost_of(row: BatchRow, receipt: BatchReceipt | None) -> tuple[float | None, float | None]:
    """Return a batch's cost and the known part of it, from the ledger or else from the receipt of its day."""
    cost = row.cost_usd if receipt is None or row.cost_usd is not None else receipt.paid_usd
    known = row.known_cost_usd if receipt is None or row.known_cost_usd is not None else known_paid(receipt)
    return cost, known


def _add_failures(failures: dict[str, Failure], row: BatchRow) -> None:
    for kind, count in row.errors.items():
        failure = failures.setdefault(kind, Failure(kind))
        failure.requests += count
        failure.batches += 1
    for example in row.examples:
        known = failures.get(example.kind)
        if known is not None and len(known.examples) < EXAMPLES_OF_A_KIND:
            known.examples.append(example)
