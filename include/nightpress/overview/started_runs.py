"""Runs as the scheduler knows them: from their first task on, before the ledger has entries for them.

The overview does not depend on the scheduler: its caller passes these runs, and they are joined with the runs of the
ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nightpress.costs.plan import Plan
from nightpress.overview.run_views import RunView
from nightpress.overview.stored_records import Receipts

APPROVAL = "approval"
OVER_BUDGET = "over_budget"
ACCOUNT = "account"
UNREADABLE = "unreadable"
FAILED = "failed"
RUNNING = "running"
PLANNED = "planned"
REJECTED = "rejected"
DONE = "done"

FAILURES = frozenset({OVER_BUDGET, ACCOUNT, UNREADABLE, FAILED})
"""States in which the run has stopped; a later run of the same day settles them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRun:
    """A run of a pipeline. Moments are epoch seconds.

    :param pipeline: name; empty when that is not known yet.
    :param state: one of the states above.
    :param step: what it is doing, in words, e.g. ``reading articles``.
    :param why: beginning of the message that says why it needs a person; empty when nothing was recorded.
    :param task_id: the task to look at; empty for none.
    """

    dag_id: str
    run: str
    pipeline: str
    day: str
    state: str
    step: str = ""
    why: str = ""
    task_id: str = ""
    map_index: int = -1
    began: float | None = None
    ended: float | None = None
    plan: Plan | None = None


def join_started(runs: Sequence[RunView], started: Iterable[StartedRun], receipts: Receipts) -> list[RunView]:
    """Return the runs of the ledger with their state in the scheduler, and the runs that only the scheduler knows.

    :param runs: from the ledger; other threads read them too, so changed ones are copies.
    """
    found = list(runs)
    places = {(run.dag_id, run.run, run.pipeline): place for place, run in enumerate(found) if run.dag_id}
    for each in started:
        place = places.get((each.dag_id, each.run, each.pipeline))
        if place is not None:
            found[place] = replace(found[place], started=each)
        else:
            found.append(_view(each, receipts))
    latest: dict[tuple[str, str], float] = {}
    for run in found:
        if run.pipeline and run.began is not None:
            key = (run.pipeline, run.day)
            latest[key] = max(latest.get(key, 0.0), run.began)
    for place, run in enumerate(found):
        if run.started is not None and run.began is not None:
            found[place] = replace(run, settled=run.began < latest.get((run.pipeline, run.day), 0.0))
    return sorted(found, key=_rank)


def _view(started: StartedRun, receipts: Receipts) -> RunView:
    return RunView(
        scope="offline" if started.plan is not None and started.plan.offline else "",
        pipeline=started.pipeline,
        day=started.day,
        run=started.run,
        dag_id=started.dag_id,
        rows=[],
        receipt=receipts.find(started.pipeline, started.day),
        plan=started.plan,
        began=started.began,
        last=started.ended or started.began or 0.0,
        started=started,
    )


def _rank(run: RunView) -> tuple[bool, int, float, str]:
    # Entries that cannot be read belong to no run; they are questions, and are shown above all runs.
    order = 0 if run.needs_person else 1 if run.status == RUNNING else 2
    return (not run.pipeline and bool(run.rows), order, -run.last, run.day)
