"""The page's application: every route but the style sheet and scripts is guarded by Airflow's permissions."""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import msgspec
from airflow.sdk import ObjectStoragePath
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHttpError

from message_batches import config
from message_batches.page import notices, plan_page
from message_batches.page.access import ReadableDep, guard
from message_batches.page.overview_json import describe
from nightpress.errors import ConfigurationError
from nightpress.layout import check_day, check_pipeline_name
from nightpress.overview import Overview
from nightpress.overview import Query as OverviewQuery
from nightpress.storage import StoragePath

STATIC = Path(__file__).with_name("static")
_STATIC_TYPES = {
    "batches.js": "text/javascript",
    "format.js": "text/javascript",
    "frame.js": "text/javascript",
    "sections.js": "text/javascript",
    "page.css": "text/css",
}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
_MOST_OPENED = 20

NameParam = Annotated[str, Query(max_length=300)]


def build_app() -> FastAPI:
    """Return the application; the data root is that of ``NIGHTPRESS_ROOT``."""
    app = FastAPI(title="Nightpress", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/static/{name}", show_static)
    for path, show in (
        ("/", show_root),
        ("/batches", show_batches),
        ("/batches.json", show_data),
        ("/plans/{pipeline}/{day}/{run:path}", show_plan),
        ("/reports/{day}", show_report),
        ("/comparisons/{name}/{day}", show_comparison),
    ):
        app.add_api_route(path, show, dependencies=[Depends(guard)], response_model=None)
    app.add_exception_handler(AnyHttpError, notices.answer_error)
    app.add_exception_handler(OSError, notices.answer_error)
    return app


@lru_cache(maxsize=4)
def _overview(root: str) -> Overview:
    return Overview(ObjectStoragePath(root))


def overview() -> Overview:
    """Return the overview of the data root, the same one for every request."""
    return _overview(str(config.data_root().path))


def show_static(name: str) -> Response:
    """Serve one of the page's own files."""
    if name not in _STATIC_TYPES:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such file.")
    return Response(
        (STATIC / name).read_bytes(),
        media_type=_STATIC_TYPES[name],
        headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
    )


def show_root(request: Request) -> Response:
    """Lead to the page."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/batches")


def show_batches() -> Response:
    """Serve the page; its script asks for the data."""
    return html((STATIC / "batches.html").read_text(encoding="utf-8"))


def show_data(
    *,
    may_read: ReadableDep,
    pipeline: NameParam = "",
    day: NameParam = "",
    dag_id: NameParam = "",
    run: NameParam = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    opened: Annotated[list[str] | None, Query(max_length=_MOST_OPENED)] = None,
) -> Response:
    """Answer with the runs of a page, and the batches of those that are opened (``token:page``)."""
    query = OverviewQuery(pipeline=pipeline, day=day, dag_id=dag_id, run=run, page=page)
    answer = overview().answer(query, may_read)
    data = describe(answer, time.time(), dict(map(_read_opened, opened or ())))
    return Response(
        msgspec.json.encode(data),
        media_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def _read_opened(text: str) -> tuple[str, int]:
    token, _, page = text.partition(":")
    return token, int(page) if page.isdecimal() and len(page) < 7 else 1


def show_plan(request: Request, pipeline: str, day: str, run: str, may_read: ReadableDep) -> Response:
    """Show the plan of a run."""
    _check_pipeline(pipeline)
    _check_day(day)
    _check_readable(may_read, pipeline=pipeline)
    found = plan_page.find_plan(config.data_root().path, pipeline, day, run)
    return html(plan_page.render(found, pipeline, day, run, notices.to_static(request)))


def show_report(day: str, may_read: ReadableDep) -> Response:
    """Show a day's report; it is a document of its own, so it may run nothing and load nothing."""
    _check_day(day)
    _check_readable(may_read, day=day)
    return _show_document(
        config.data_root().report(day),
        f"There is no report of {day} yet. The DAG daily_report writes it when a pipeline has published the "
        f"day; to make it now, trigger daily_report with the day {day}.",
    )


def show_comparison(name: str, day: str, may_read: ReadableDep) -> Response:
    """Show a comparison; a document of its own as a report is."""
    _check_pipeline(name)
    _check_day(day)
    _check_readable(may_read, pipeline=name, prefix=f"{name}_", day=day)
    return _show_document(
        config.data_root().comparison_page(name, day),
        f"There is no comparison {name} of {day} yet. Its task compare writes it when all variants have published "
        "the day; clear that task to make it again.",
    )


def _show_document(path: StoragePath, missing: str) -> Response:
    """Show a file that may run nothing and load nothing.

    :param missing: what is said when it is not there.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise HTTPException(HTTPStatus.NOT_FOUND, missing) from None
    return html(content, policy=_REPORT_POLICY)


def html(content: str | bytes, status: int = 200, policy: str = _PAGE_POLICY) -> Response:
    """Return a page with the headers that keep it to itself."""
    return Response(
        content,
        status_code=status,
        media_type="text/html",
        headers={
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
        },
    )


def _check_pipeline(name: str) -> None:
    try:
        check_pipeline_name(name)
    except ConfigurationError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no such pipeline: {error}") from None


def _check_day(day: str) -> None:
    try:
        check_day(day)
    except ConfigurationError:
        raise HTTPException(
            HTTPStatus.NOT_FOUND, f"{day[:40]!r} is not a day; a date such as 2026-11-22 is needed."
        ) from None


def _check_readable(may_read: ReadableDep, *, pipeline: str = "", prefix: str = "", day: str = "") -> None:
    """Refuse who may not read each DAG whose articles are in the document.

    A report is of all pipelines of its day. Where the ledger knows no run, the pipeline's name decides, and
    without one only who may read all DAGs sees it.
    """
    known = {
        (seen.dag_id, seen.pipeline)
        for seen in overview().look().runs
        if day in {"", seen.day}
        and (pipeline in {"", seen.pipeline} or (prefix and seen.pipeline.startswith(prefix)))
    }
    if not all(may_read(*names) for names in known or {("", pipeline)}):
        raise HTTPException(HTTPStatus.FORBIDDEN, "Forbidden")
