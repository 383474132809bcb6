"""The page's application: every route but the style sheet and scripts is guarded by Airflow's permissions."""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHttpError

from message_batches import config
from message_batches.airflow_private import forget_stores
from message_batches.page import notices, plan_page
from message_batches.page.access import ReadableDep, check_dags, guard
from message_batches.page.airflow_runs import AirflowRuns
from message_batches.page.documents import stream_answers, stream_document
from message_batches.page.overview_json import describe_page
from message_batches.page.responses import SafeHeaders, html
from message_batches.page.store_access import StoreAccess
from nightpress.errors import ConfigurationError, NightpressError
from nightpress.layout import DataRoot, check_day, check_pipeline_name
from nightpress.overview import Overview
from nightpress.overview import Query as OverviewQuery

STATIC = Path(__file__).with_name("static")
_STATIC_TYPES = {
    "batches.js": "text/javascript",
    "format.js": "text/javascript",
    "frame.js": "text/javascript",
    "sections.js": "text/javascript",
    "page.css": "text/css",
}
_MAX_OPENED = 20

NameParam = Annotated[str, Query(max_length=300)]

airflow_runs = AirflowRuns()


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
        ("/answers/{pipeline}/{day}.{form}", send_answers),
        ("/receipts/{pipeline}/{day}.json", send_receipt),
    ):
        app.add_api_route(path, show, dependencies=[Depends(guard)], response_model=None)
    for kind in (AnyHttpError, RequestValidationError, OSError, NightpressError):
        app.add_exception_handler(kind, notices.answer_error)
    return app


def build_pages(app: FastAPI | None = None) -> SafeHeaders:
    """Return the application with what is around all of it: headers, and an answer to faults of ours."""
    return SafeHeaders(app or build_app(), notices.answer_error)


@lru_cache(maxsize=4)
def _overview(root: str) -> Overview:
    return Overview(DataRoot(config.open_path(root)))


def _forget_store() -> None:
    """Open the data root again at the next request: an API server would keep old credentials until it is restarted."""
    _overview.cache_clear()
    forget_stores()


store = StoreAccess(on_refusal=_forget_store)


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
        headers={"Cache-Control": "no-cache"},
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
    opened: Annotated[list[str] | None, Query(max_length=_MAX_OPENED)] = None,
) -> Response:
    """Answer with the runs of a page, and the batches of those that are opened (``token:page``)."""
    query = OverviewQuery(pipeline=pipeline, day=day, dag_id=dag_id, run=run, page=page)
    started = airflow_runs.look()
    answer = store.ask(lambda: overview().answer(query, may_read, started))
    data = describe_page(answer, time.time(), dict(map(_read_opened, opened or ())))
    return Response(msgspec.json.encode(data), media_type="application/json")


def _read_opened(text: str) -> tuple[str, int]:
    token, _, page = text.partition(":")
    return token, int(page) if page.isdecimal() and len(page) < 7 else 1


def show_plan(request: Request, pipeline: str, day: str, run: str, may_read: ReadableDep) -> Response:
    """Show the plan of a run."""
    _check_pipeline(pipeline)
    _check_day(day)
    check_dags(may_read, _find_owners(pipeline) or [""])
    found = store.ask(lambda: plan_page.find_plan(config.data_root(), pipeline, day, run))
    return html(plan_page.render_plan(found, notices.to_static(request)))


def _find_owners(pipeline: str) -> set[str]:
    started = {run.dag_id for run in airflow_runs.look() if run.pipeline == pipeline}
    return started | store.ask(lambda: overview().owners(pipeline))


def show_report(day: str, may_read: ReadableDep) -> Response:
    """Show a day's report; it is a document of its own, so it may run nothing and load nothing."""
    _check_day(day)
    return stream_document(
        store,
        config.data_root().report(day),
        may_read,
        f"There is no report of {day} yet. The DAG daily_report writes it when a pipeline has published the "
        f"day; to make it now, trigger daily_report with the day {day}.",
    )


def show_comparison(name: str, day: str, may_read: ReadableDep) -> Response:
    """Show a comparison; a document of its own as a report is."""
    _check_pipeline(name)
    _check_day(day)
    return stream_document(
        store,
        config.data_root().comparison_page(name, day),
        may_read,
        f"There is no comparison {name} of {day} yet. Its task compare writes it when all variants have published "
        "the day; clear that task to make it again.",
    )


def send_answers(pipeline: str, day: str, form: Literal["parquet", "csv"], may_read: ReadableDep) -> Response:
    """Send a published day as Parquet or CSV."""
    _check_pipeline(pipeline)
    _check_day(day)
    path = config.data_root().answers(pipeline, day)
    return stream_answers(store, path, may_read, form=form, name=f"{pipeline}-{day}")


def send_receipt(pipeline: str, day: str, may_read: ReadableDep) -> Response:
    """Send a day's receipt: what was paid, over all its runs."""
    _check_pipeline(pipeline)
    _check_day(day)
    check_dags(may_read, _find_owners(pipeline) or [""])
    try:
        receipt = store.ask(config.data_root().receipt(pipeline, day).read_bytes)
    except FileNotFoundError:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no receipt of {pipeline} for {day}.") from None
    return Response(receipt, media_type="application/json")


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
