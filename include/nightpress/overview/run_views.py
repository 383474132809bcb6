"""Runs: the batches that were submitted together, added up."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from nightpress.batches.ledger import Example
from nightpress.overview.batch_rows import STATES, BatchRow
from nightpress.overview.stored_plans import Plan
from nightpress.overview.stored_receipts import Receipt, Receipts

EXAMPLES_OF_A_KIND = 3

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

    :param plan: of a run that is not over; None when it is not looked at or not there.
    :param token: names the run in a URL.
    :param status: ``question``, ``running``, ``stopped`` (shards that were never submitted are left),
        ``collected`` or ``published``.
    :param done: batches that have ended, collected or not.
    :param answered_again: requests of the second round that succeeded: failures that are none any more.
    :param cost_usd: what is known to be paid so far.
    :param cost_unknown: collected batches whose cost is not known.
    """

    scope: str
    pipeline: str
    day: str
    run: str
    dag_id: str
    rows: list[BatchRow]
    receipt: Receipt | None = None
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

    @property
    def token(self) -> str:
        name = "\0".join((self.scope, self.pipeline, self.day, self.run, self.dag_id))
        return hashlib.sha256(name.encode()).hexdigest()[:12]

    @property
    def done(self) -> int:
        return self.states["ended"] + self.states["collected"]

    @property
    def active(self) -> bool:
        return self.status in {"question", "running", "stopped"}

    @property
    def to_come(self) -> int:
        """Planned shards whose submit task has not begun; 0 when that cannot be told."""
        if self.plan is None or self.plan.shards is None or self.plan.attached or not self.active:
            return 0
        return max(0, self.plan.shards - sum(row.round == 1 for row in self.rows))

    @property
    def published(self) -> bool:
        """Whether this run published its day last."""
        return self.receipt is not None and bool(self.run) and self.receipt.run == self.run

    @property
    def unanswered(self) -> int:
        """Requests that failed and were not answered in the second round."""
        numbers = (self.receipt.numbers or {}) if self.receipt is not None and self.published else {}
        failed = numbers.get("failed")
        if isinstance(failed, dict) and all(isinstance(count, int) for count in failed.values()):
            return sum(failed.values())
        return max(0, self.failed - self.answered_again)

    @property
    def status(self) -> str:
        if self.states["question"]:
            return "question"
        if self.states["submitting"] or self.states["submitted"] or self.states["ended"]:
            return "running"
        if self.states["intended"]:
            return "stopped"
        return "published" if self.published else "collected"


def group_runs(rows: Iterable[BatchRow], receipts: Receipts, now: float) -> list[RunView]:
    """Return all runs: first those with a question or in progress, then the latest.

    :param now: epoch seconds; rows whose POST may be under way are questions after its deadline.
    """
    groups: defaultdict[RunKey, list[BatchRow]] = defaultdict(list)
    for row in rows:
        groups[row.scope, row.pipeline, row.day, row.run, row.dag_id].append(row)
    paid: dict[tuple[str, str], dict[str, float | None]] = {}
    runs = []
    for key, members in groups.items():
        run = RunView(*key, rows=members, receipt=receipts.find(key[1], key[2]))
        if run.receipt is not None and (key[1], key[2]) not in paid:
            paid[key[1], key[2]] = run.receipt.paid_by_batch()
        _add_up(run, paid.get((key[1], key[2]), {}), now)
        runs.append(run)
    # Entries that cannot be read are of no run; they are questions, and stand above all runs as such.
    runs.sort(
        key=lambda run: (not run.pipeline, run.status not in {"question", "running"}, -run.last, run.day)
    )
    return runs


def state_at(row: BatchRow, now: float) -> str:
    """Return the row's state: an open POST is under way until its deadline, and a question after."""
    return "submitting" if row.state == "question" and now < row.until else row.state


def order_rows(run: RunView, now: float) -> list[BatchRow]:
    """Return a run's batches: those that need attention first, then those in progress, then the rest."""
    return sorted(
        run.rows,
        key=lambda row: (_ORDER[state_at(row, now)], not row.errors, row.round, row.name, row.key),
    )


def _add_up(run: RunView, paid: dict[str, float | None], now: float) -> None:
    failures: dict[str, Failure] = {}
    began: list[float] = []
    for row in run.rows:
        run.states[state_at(row, now)] += 1
        run.last = max(run.last, row.last)
        if row.began is not None:
            began.append(row.began)
        if row.round == 1:
            run.requests += row.requests
        cost = row.cost_usd if row.cost_usd is not None else paid.get(row.batch_id)
        if cost is not None:
            run.cost_usd += cost
        elif row.state == "collected":
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


def _add_failures(failures: dict[str, Failure], row: BatchRow) -> None:
    for kind, count in row.errors.items():
        failure = failures.setdefault(kind, Failure(kind))
        failure.requests += count
        failure.batches += 1
    for example in row.examples:
        known = failures.get(example.kind)
        if known is not None and len(known.examples) < EXAMPLES_OF_A_KIND:
            known.examples.append(example)
