"""The overview as JSON: numbers, moments in epoch seconds, and links relative to Airflow's own root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from message_batches.links import CONSOLE
from nightpress.advice import advise, label
from nightpress.batches.manual_ledger import OpenQuestion
from nightpress.overview import BatchDurations, BatchRow, RunsPage, RunView
from nightpress.overview.expected_end import EXPIRES_AFTER_SECONDS
from nightpress.overview.run_views import NEEDS_PERSON, Failure, order_rows, state_at
from nightpress.overview.started_runs import APPROVAL

ROWS_OF_A_PAGE = 50
_VENDOR = "api.anthropic.com"
_STAGES = {"submitted": "wait_for_batch", "ended": "write_results", "collected": "write_results"}


def describe_page(answer: RunsPage, now: float, opened: Mapping[str, int]) -> dict[str, Any]:
    """Return what the page shows.

    :param now: epoch seconds.
    :param opened: page of batches wanted, by run token.
    """
    return {
        "now": now,
        "looked_at": answer.looked_at,
        "empty": answer.empty,
        "left_out": answer.left_out,
        "pipelines": answer.pipelines,
        "days": answer.days,
        "page": answer.page,
        "pages": answer.pages,
        "totals": {
            "runs": answer.count,
            "needing": answer.needing,
            "running": answer.running,
            "states": answer.states,
            "batches": sum(answer.states.values()),
            "requests": answer.requests,
            "failed": answer.failed,
            "cost_usd": answer.cost_usd,
            "cost_unknown": answer.cost_unknown,
        },
        "question_count": answer.question_count,
        "questions": [_describe_question(row, question) for row, question in answer.questions],
        "runs": [_describe_run(run, answer, now, opened.get(run.token)) for run in answer.runs],
    }


def _describe_question(row: BatchRow, question: OpenQuestion) -> dict[str, Any]:
    short = row.key[:16]
    damaged = row.line is not None and row.line.state == "damaged"
    commands = [f"nightpress ledger show {short}"]
    if damaged:
        commands.append(f"nightpress ledger discard {short} --even-submitted")
    else:
        commands += [f"nightpress ledger adopt {short} BATCH_ID", f"nightpress ledger discard {short}"]
    return {
        "key": short,
        "pipeline": row.pipeline,
        "day": row.day,
        "damaged": damaged,
        "seen": question.seen,
        "next": question.next,
        "options": question.options,
        "commands": commands,
        "task": _task_link(row, "question"),
    }


def _describe_run(run: RunView, answer: RunsPage, now: float, page: int | None) -> dict[str, Any]:
    receipt = run.receipt
    ends = [_expect(row, answer.history) for row in run.rows if row.state == "submitted"]
    return {
        "token": run.token,
        "pipeline": run.pipeline,
        "day": run.day,
        "run": run.run,
        "dag_id": run.dag_id,
        "offline": run.scope == "offline",
        "api": run.scope,
        "status": run.status,
        "needs_person": run.needs_person,
        "settled": run.settled and run.status in NEEDS_PERSON,
        "step": run.started.step if run.started is not None else "",
        "why": run.started.why if run.started is not None and run.status in NEEDS_PERSON else "",
        "replaced_by": run.replaced_by if run.status == "replaced" else "",
        "to_send": run.plan.to_send if run.plan is not None else None,
        "reused": _reused(run),
        "articles": _articles(run),
        "states": run.states,
        "batches": len(run.rows),
        "to_come": run.to_come,
        "plan": {"cost_expected_usd": run.plan.cost_expected_usd, "cost_upper_usd": run.plan.cost_upper_usd}
        if run.plan is not None and (run.active or not run.rows)
        else None,
        "done": run.done,
        "requests": run.requests,
        "succeeded": run.succeeded,
        "failed": run.unanswered,
        "answered_again": run.answered_again,
        "cost_usd": run.cost_usd,
        "cost_unknown": run.cost_unknown,
        "began": run.began,
        "last": run.last or None,
        "expected_end": max((end["expected_end"] for end in ends if end["expected_end"]), default=None),
        "late_at": max((end["late_at"] for end in ends if end["late_at"]), default=None),
        "published_at": receipt.published_at.timestamp()
        if receipt is not None and run.published and receipt.published_at is not None
        else None,
        "failures": [_describe_failure(failure, run) for failure in run.failures],
        "links": {
            "run": _run_link(run.dag_id, run.run),
            "plan": f"plans/{_quote(run.pipeline)}/{_quote(run.day)}/{_quote(run.run)}"
            if run.run and (run.rows or run.plan is not None)
            else None,
            "report": f"reports/{_quote(run.day)}" if run.reported else None,
            "look": _look_link(run),
            **_downloads(run),
        },
        "rows": None if page is None else _describe_rows(run, answer.history, now, page),
    }


def _articles(run: RunView) -> int | None:
    numbers = run.receipt.numbers if run.receipt is not None and run.published else None
    found = (numbers or {}).get("articles")
    if not isinstance(found, int):
        found = run.plan.articles if run.plan is not None else None
    return found if isinstance(found, int) else None


def _reused(run: RunView) -> int | None:
    numbers = run.receipt.numbers if run.receipt is not None and run.published else None
    found = (numbers or {}).get("reused")
    if not isinstance(found, int):
        found = run.plan.reused if run.plan is not None else None
    return found if isinstance(found, int) else None


def _downloads(run: RunView) -> dict[str, str | None]:
    """Return the links to the published day; of a day that another run replaced there are none."""
    base = f"answers/{_quote(run.pipeline)}/{_quote(run.day)}" if run.published else None
    receipt = f"receipts/{_quote(run.pipeline)}/{_quote(run.day)}.json" if run.published else None
    return {form: base and f"{base}.{form}" for form in ("parquet", "csv")} | {"receipt": receipt}


def _look_link(run: RunView) -> str | None:
    """Return the page of the task that a person should look at; of an approval, where it is given."""
    started = run.started
    base = _run_link(run.dag_id, run.run)
    if started is None or base is None or not started.task_id:
        return None
    mapped = f"/mapped/{started.map_index}" if started.map_index >= 0 else ""
    answer = "/required_actions" if started.state == APPROVAL else ""
    return f"{base}/tasks/{_quote(started.task_id)}{mapped}{answer}"


def _describe_failure(failure: Failure, run: RunView) -> dict[str, Any]:
    numbers = run.receipt.numbers if run.receipt is not None and run.published else None
    failed = (numbers or {}).get("failed")
    left = failed.get(failure.kind, 0) if isinstance(failed, dict) else None
    return {
        "kind": label(failure.kind),
        "left": left if isinstance(left, int) else None,
        "requests": failure.requests,
        "batches": failure.batches,
        "advice": advise(failure.kind, messages=[example.message for example in failure.examples]).during_run,
        "examples": [
            {
                "article": getattr(example, "article_id", "") or example.custom_id,
                "message": example.message,
            }
            for example in failure.examples
        ],
    }


def _describe_rows(run: RunView, history: BatchDurations, now: float, page: int) -> dict[str, Any]:
    rows = order_rows(run, now)
    pages = max(1, -(-len(rows) // ROWS_OF_A_PAGE))
    page = min(max(1, page), pages)
    shown = rows[(page - 1) * ROWS_OF_A_PAGE : page * ROWS_OF_A_PAGE]
    return {
        "page": page,
        "pages": pages,
        "count": len(rows),
        "items": [_describe_row(row, history, now) for row in shown],
    }


def _describe_row(row: BatchRow, history: BatchDurations, now: float) -> dict[str, Any]:
    state = state_at(row, now)
    return {
        "key": row.key[:16],
        "name": row.name,
        "round": row.round,
        "state": state,
        "batch_id": row.batch_id,
        "adopted": row.adopted,
        "requests": row.requests,
        "by_status": row.by_status,
        "errors": row.errors,
        "since": row.since,
        "submitted": row.submitted,
        "ended": row.ended,
        "cost_usd": row.cost_usd,
        "known_cost_usd": row.known_cost_usd,
        "links": {
            "task": _task_link(row, state),
            "batch": f"{CONSOLE}/{_quote(row.batch_id)}" if row.batch_id and row.scope == _VENDOR else None,
        },
        **(_expect(row, history) if state == "submitted" else {}),
    }


def _expect(row: BatchRow, history: BatchDurations) -> dict[str, Any]:
    if row.submitted is None:
        return {"expected_end": None, "late_at": None, "expires_at": None, "basis": None}
    estimate = history.estimate(row.scope, row.pipeline, row.requests)
    return {
        "expected_end": row.submitted + estimate.usual if estimate else None,
        "late_at": row.submitted + estimate.late if estimate else None,
        "expires_at": row.submitted + EXPIRES_AFTER_SECONDS,
        "basis": {"batches": estimate.batches, "alike": estimate.alike} if estimate else None,
    }


def _run_link(dag_id: str, run: str) -> str | None:
    return f"dags/{_quote(dag_id)}/runs/{_quote(run)}" if dag_id and run else None


def _task_link(row: BatchRow, state: str) -> str | None:
    """Return the page of the mapped task that the batch is at now; a lone submit task is always its own."""
    run = _run_link(row.dag_id, row.run)
    if run is None or not row.task_id:
        return None
    task = row.task_id
    if task.endswith(".submit_batch") and state in _STAGES:
        task = task.removesuffix("submit_batch") + _STAGES[state]
    mapped = f"/mapped/{row.map_index}" if row.map_index >= 0 else ""
    return f"{run}/tasks/{_quote(task)}{mapped}"


def _quote(part: str) -> str:
    return quote(part, safe="")
