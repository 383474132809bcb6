"""The overview of all runs: at each request it reads only what changed, and returns one page."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nightpress.batches import manual_ledger
from nightpress.layout import DataRoot
from nightpress.overview.batch_rows import BatchRow
from nightpress.overview.expected_end import BatchDurations
from nightpress.overview.ledger_watch import LedgerWatch, open_watches
from nightpress.overview.run_views import RunView, group_runs
from nightpress.overview.started_runs import RUNNING, StartedRun, join_started
from nightpress.overview.stored_records import Plans, Receipts, Reports

MAX_ENTRIES = 50_000
"""The newest ledger entries of one API that are kept in memory; about 100 MB."""

QUESTIONS_SHOWN = 20
RUNS_OF_A_PAGE = 20
MAX_DAYS = 400

_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Query:
    """The filters of a request; an empty one matches everything.

    :param page: page of runs, from 1; a number beyond the last gives the last page.
    """

    pipeline: str = ""
    day: str = ""
    dag_id: str = ""
    run: str = ""
    page: int = 1
    per_page: int = RUNS_OF_A_PAGE

    def matches(self, run: RunView) -> bool:
        """Return whether a run passes the filters."""
        return (
            self.pipeline in {"", run.pipeline}
            and self.day in {"", run.day}
            and self.dag_id in {"", run.dag_id}
            and self.run in {"", run.run}
        )


@dataclass(frozen=True, slots=True)
class RunsPage:
    """A page of runs, and the totals of all runs that pass the filters.

    :param looked_at: when the ledger was looked at, epoch seconds.
    :param runs: those of the page.
    :param count: runs that pass the filters.
    :param states: the batches of all these runs, by state.
    :param questions: open questions, the first few; ``question_count`` has all.
    :param pipelines: names to choose from.
    :param days: days to choose from, the latest first.
    :param left_out: older ledger entries that are not looked at.
    :param needing: runs that go on only when a person does something.
    :param running: runs that go on by themselves.
    :param empty: the person may not see any run, or there is none.
    """

    looked_at: float
    runs: Sequence[RunView]
    count: int
    page: int
    pages: int
    states: Counter[str]
    requests: int
    failed: int
    cost_usd: float
    cost_unknown: int
    questions: Sequence[tuple[BatchRow, manual_ledger.OpenQuestion]]
    question_count: int
    pipelines: Sequence[str]
    days: Sequence[str]
    left_out: int
    needing: int
    running: int
    empty: bool
    history: BatchDurations


@dataclass(slots=True)
class _Picture:
    """The result of the last look at the store."""

    looked_at: float = 0.0
    until: float = 0.0
    runs: list[RunView] = field(default_factory=list)
    history: BatchDurations = field(default_factory=lambda: BatchDurations(()))
    left_out: int = 0


class Overview:
    """The overview of a data root; threads may share it.

    The store is asked at most once a second, however many people look.

    :param root: the data root.
    :param clock: epoch seconds.
    """

    def __init__(
        self,
        root: DataRoot,
        clock: Callable[[], float] = time.time,
        *,
        max_entries: int = MAX_ENTRIES,
        fresh_seconds: float = _FRESH_SECONDS,
    ) -> None:
        self._root = root
        self._clock = clock
        self._max_entries = max_entries
        self._fresh_seconds = fresh_seconds
        self._watches: dict[str, LedgerWatch] = {}
        self._receipts = Receipts(root)
        self._plans = Plans(root)
        self._reports = Reports(root)
        self._pipelines: set[str] = set()
        self._picture = _Picture()
        self._lock = threading.Lock()

    @property
    def reads(self) -> int:
        """Ledger entries read since the start."""
        return sum(watch.reads for watch in self._watches.values())

    def answer(
        self,
        query: Query,
        may_read: Callable[[str, str], bool],
        started: Sequence[StartedRun] = (),
    ) -> RunsPage:
        """Return the page that a query asks for.

        :param started: runs as the scheduler knows them.
        :param may_read: returns, for a DAG id (empty when not known) and a pipeline, whether a run may be seen.
        :raises OSError: the store cannot be asked.
        """
        self._pipelines.update(each.pipeline for each in started if each.pipeline)
        picture = self.look()
        now = self._clock()
        found = join_started(picture.runs, started, self._receipts)
        names = {(run.dag_id, run.pipeline) for run in found}
        allowed = {name for name in names if may_read(*name)}
        readable = [run for run in found if (run.dag_id, run.pipeline) in allowed]
        runs = [run for run in readable if query.matches(run)]
        states: Counter[str] = Counter()
        for run in runs:
            states.update(run.states)
        pages = max(1, -(-len(runs) // query.per_page))
        page = min(max(1, query.page), pages)
        shown = runs[(page - 1) * query.per_page : page * query.per_page]
        for run in shown:
            self._add_plan_and_report(run, now)
        questions = _find_questions(runs, now)
        return RunsPage(
            looked_at=picture.looked_at,
            runs=shown,
            count=len(runs),
            page=page,
            pages=pages,
            states=states,
            requests=sum(run.requests for run in runs),
            failed=sum(run.unanswered for run in runs),
            cost_usd=sum(run.cost_usd for run in runs),
            cost_unknown=sum(run.cost_unknown for run in runs),
            questions=questions[:QUESTIONS_SHOWN],
            question_count=len(questions),
            pipelines=sorted({run.pipeline for run in readable if run.pipeline}),
            days=sorted({run.day for run in readable if run.day}, reverse=True)[:MAX_DAYS],
            left_out=picture.left_out,
            needing=sum(run.needs_person for run in runs),
            running=sum(run.status == RUNNING for run in runs),
            empty=not readable,
            history=picture.history,
        )

    def _add_plan_and_report(self, run: RunView, now: float) -> None:
        """Add the plan and the report, which are looked up only for the runs on the page."""
        if run.started is not None and run.started.plan is not None:
            run.plan = run.started.plan
        elif run.active and run.rows:
            run.plan = self._plans.find(run.rows[0].folder, now)
        if run.published and run.receipt is not None and run.receipt.published_at is not None:
            run.reported = self._reports.covers(run.day, run.receipt.published_at.timestamp(), now)

    def owners(self, pipeline: str) -> set[str]:
        """Return the DAGs that submitted batches of a pipeline; an empty id where one is not known.

        :raises OSError: the store cannot be asked.
        """
        return {run.dag_id for run in self.look().runs if run.pipeline == pipeline}

    def look(self) -> _Picture:
        """Look at the store, unless that was done within the last second, and return the result.

        While another thread's look takes long, the earlier result is returned, so that a slow store does not hold
        up all threads of the server.

        :raises OSError: the store cannot be asked, or has not answered yet for the first time.
        """
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            if self._picture.looked_at:
                return self._picture
            raise TimeoutError("the store has not answered yet")
        try:
            now = self._clock()
            if not 0 <= now - self._picture.looked_at < self._fresh_seconds:
                self._picture = self._look(now)
            return self._picture
        finally:
            self._lock.release()

    def _look(self, now: float) -> _Picture:
        watches = open_watches(self._root, self._watches, limit=self._max_entries)
        changed = watches.keys() != self._watches.keys()
        self._watches = watches
        for watch in watches.values():
            changed |= watch.refresh()
        rows = [row for watch in watches.values() for row in watch.rows]
        changed |= self._receipts.refresh({row.pipeline for row in rows if row.pipeline} | self._pipelines)
        before = self._picture
        picture = _Picture(
            looked_at=now,
            until=before.until,
            runs=before.runs,
            history=before.history,
            left_out=sum(watch.left_out for watch in watches.values()),
        )
        if changed or now >= before.until:
            picture.runs = group_runs(rows, self._receipts, now)
            picture.history = BatchDurations(rows)
            picture.until = min((row.until for row in rows if row.until > now), default=float("inf"))
        return picture


def _find_questions(runs: Sequence[RunView], now: float) -> list[tuple[BatchRow, manual_ledger.OpenQuestion]]:
    found = []
    for run in runs:
        if not run.states["question"]:
            continue
        for row in run.rows:
            if row.state == "question" and now >= row.until and row.line is not None:
                question = manual_ledger.find_open_question(row.line, now)
                if question is not None:
                    found.append((row, question))
    return found
