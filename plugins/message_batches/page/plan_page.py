"""The plan of a run as a page: what will be sent, what it can cost, and what was decided."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import HTTPException

from message_batches.page.notices import render_page
from nightpress.costs.plan import Plan, read_plan
from nightpress.costs.plan_lines import Section, plan_sections
from nightpress.errors import ResultsError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot, is_run_folder_name, run_folder_name
from nightpress.plain_text import Html
from nightpress.storage import INVALID_JSON

_MAX_BYTES = 1_000_000


def find_plan(root: DataRoot, pipeline: str, day: str, run: str) -> Plan:
    """Return the plan of a run.

    :param run: the run's id, or the name of its folder.
    :raises HTTPException: 404 when there is none, 422 when it cannot be read.
    """
    folders = [root.run_folder(pipeline, day, run)]
    if run != run_folder_name(run) and is_run_folder_name(run):
        folders.append(root.runs(pipeline, day) / run)
    for folder in folders:
        try:
            content = RunFolder(folder).plan.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        return _decode(content)
    raise HTTPException(
        HTTPStatus.NOT_FOUND,
        f"There is no plan of run {run[:200]!r} ({pipeline}, {day}). The task read_articles writes it; to see one "
        'without sending anything, trigger the DAG with "plan only" switched on.',
    )


def _decode(content: bytes) -> Plan:
    try:
        if len(content) > _MAX_BYTES:
            raise ResultsError(f"{len(content):,} bytes are too many")
        return read_plan(msgspec.json.decode(content, type=dict[str, Any]))
    except (*INVALID_JSON, ResultsError) as error:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"The plan cannot be read ({error}). Clear the run from read_articles on: it is written again.",
        ) from None


def render_plan(plan: Plan, root: str) -> Html:
    """Return the page of a plan; every value is shown as text.

    :param root: the way to the application's root.
    """
    offline = Html('<span class="tag">offline API: nothing is billed</span>') if plan.offline else ""
    body = Html(
        '<nav class="crumbs"><a href="{root}batches">Batches</a> / plan</nav>'
        '<header class="top"><h1>Plan of {pipeline} for {day}</h1>{offline}</header>'
        '<section class="card"><p class="verdict"><span class="faint">Verdict:</span> {verdict}</p>{notes}</section>'
        '<div class="columns">{sections}</div>'
    ).format(
        root=root,
        pipeline=plan.pipeline,
        day=plan.day,
        offline=offline,
        verdict=plan.verdict,
        notes=Html("").join(Html('<p class="note">{}</p>').format(note) for note in plan.notes),
        sections=Html("").join(map(_table, plan_sections(plan))),
    )
    return render_page(f"Plan: {plan.pipeline} {plan.day}", root, body)


def _table(section: Section) -> Html:
    cells = Html("").join(Html("<tr><th>{}</th><td>{}</td></tr>").format(*line) for line in section.lines)
    return Html('<section class="card"><h2>{}</h2><table class="facts">{}</table></section>').format(
        section.title, cells
    )
