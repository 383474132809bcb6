"""The plan of a run as a page: what will be sent, what it can cost, and what was decided."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import HTTPException

from message_batches.page.notices import render_page
from nightpress.layout import is_run_folder_name, run_folder_name
from nightpress.plain_text import Html
from nightpress.storage import StoragePath

_MOST_BYTES = 1_000_000


def find_plan(root: StoragePath, pipeline: str, day: str, run: str) -> dict[str, Any]:
    """Return the plan of a run.

    :param run: the run's id, or the name of its folder.
    :raises HTTPException: 404 when there is none, 422 when it cannot be read.
    """
    name = run_folder_name(run)
    folders = [root / "runs" / pipeline / day / name]
    if run != name and is_run_folder_name(run):
        folders.append(root / "runs" / pipeline / day / run)
    for folder in folders:
        try:
            content = (folder / "plan.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        return _decode(content)
    raise HTTPException(
        HTTPStatus.NOT_FOUND,
        f"There is no plan of run {run[:200]!r} ({pipeline}, {day}). The task read_articles writes it; to see one "
        'without sending anything, trigger the DAG with "plan only" switched on.',
    )


def _decode(content: bytes) -> dict[str, Any]:
    try:
        if len(content) > _MOST_BYTES:
            raise msgspec.DecodeError(f"{len(content):,} bytes are too many")
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"The plan cannot be read ({error}). Clear the run from read_articles on: it is written again.",
        ) from None


def render(plan: dict[str, Any], pipeline: str, day: str, run: str, root: str) -> Html:
    """Return the page of a plan; every value is shown as text.

    :param root: the way to the application's root.
    """
    offline = Html('<span class="tag">offline API: nothing is billed</span>') if plan.get("offline") else ""
    notes = plan.get("notes")
    shown = Html("").join(
        Html('<p class="note">{}</p>').format(note) for note in (notes if isinstance(notes, list) else [])
    )
    body = Html(
        '<nav class="crumbs"><a href="{root}batches">Batches</a> / plan</nav>'
        '<header class="top"><h1>Plan of {pipeline} for {day}</h1>{offline}</header>'
        '<section class="card"><p class="verdict"><span class="faint">Verdict:</span> {verdict}</p>{notes}</section>'
        '<div class="columns">{articles}{money}{requests}</div>'
    ).format(
        root=root,
        pipeline=pipeline,
        day=day,
        offline=offline,
        verdict=plan.get("verdict") or "not decided",
        notes=shown,
        articles=_table("Articles", _article_rows(plan)),
        money=_table("Money", _money_rows(plan)),
        requests=_table("Requests", _request_rows(plan, run)),
    )
    return render_page(f"Plan: {pipeline} {day}", root, body)


def _article_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    rejected = plan.get("rejected")
    reasons = rejected if isinstance(rejected, dict) else {}
    return [
        ("articles found", _count(plan.get("articles"))),
        ("to send", _count(plan.get("to_send"))),
        ("already submitted", _count(plan.get("attached"))),
        ("reused from earlier answers", _count(plan.get("reused"))),
        ("rejected", _count(_sum(reasons) if isinstance(rejected, dict) else rejected)),
        *((f"· {reason}", _count(count)) for reason, count in reasons.items()),
    ]


def _money_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("cost, expected", _usd(plan.get("cost_expected_usd"))),
        ("cost, upper bound", _usd(plan.get("cost_upper_usd"))),
        ("upper bound at list price", _usd(plan.get("list_upper_usd"))),
        ("budget (max_cost_usd)", _usd(plan.get("max_cost_usd"), "none")),
        ("a person approves above", _usd(plan.get("approve_above_usd"), "never asked")),
    ]


def _request_rows(plan: dict[str, Any], run: str) -> list[tuple[str, str]]:
    return [
        ("model", _text(plan.get("model"))),
        ("max_tokens of an answer", _count(plan.get("max_tokens"))),
        ("shards", _count(plan.get("shards"))),
        ("input tokens, expected", _count(plan.get("input_tokens_expected"))),
        ("input tokens, at most", _count(plan.get("input_tokens_upper"))),
        ("output tokens, expected", _count(plan.get("output_tokens_expected"))),
        ("output tokens, at most", _count(plan.get("output_tokens_upper"))),
        ("fresh answers asked for", "yes" if plan.get("fresh") else "no"),
        ("source", _text(plan.get("source"))),
        ("plan only, nothing is sent", "yes" if plan.get("plan_only") else "no"),
        ("run", _text(plan.get("run") or run)),
    ]


def _table(title: str, rows: list[tuple[str, str]]) -> Html:
    cells = Html("").join(Html("<tr><th>{}</th><td>{}</td></tr>").format(*row) for row in rows)
    return Html('<section class="card"><h2>{}</h2><table class="facts">{}</table></section>').format(
        title, cells
    )


def _text(value: Any) -> str:
    return "–" if value is None or value == "" else str(value)


def _sum(counts: dict[str, Any]) -> int:
    return sum(count for count in counts.values() if isinstance(count, int))


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else _text(value)


def _usd(value: Any, missing: str = "not known") -> str:
    if not isinstance(value, int | float):
        return missing if value is None else str(value)
    return f"${value:,.4f}" if 0 < abs(value) < 1 else f"${value:,.2f}"
