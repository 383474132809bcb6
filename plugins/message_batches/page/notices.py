"""What is said when there is nothing to show: as a page to people, as JSON to the page's script."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from message_batches.page import URL_PREFIX
from message_batches.page.responses import html
from message_batches.page.store_access import StoreUnreachableError
from nightpress.errors import NightpressError
from nightpress.plain_text import Html, for_document

_TEXTS = {
    HTTPStatus.UNAUTHORIZED: (
        "Log in first",
        "This page shows what Airflow lets you see, so it needs your login.",
    ),
    HTTPStatus.FORBIDDEN: (
        "Not permitted",
        "Your user may not read these runs. Whoever manages Airflow's permissions can grant read access to the "
        "DAG and its runs.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "This page failed",
        "Something went wrong on the server; its log has the details.",
    ),
}
_MAX_DETAIL_CHARS = 1_000


def answer_error(request: Request, error: Exception) -> Response:
    """Answer with the error's status: to people as a page, to the page's script as JSON."""
    status, detail = _describe(error)
    title, text = _TEXTS.get(status, (status.phrase, detail))
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": detail}, status, dict(getattr(error, "headers", None) or {}))
    page = html(render_notice(title, text, to_static(request), _login(request, status)), status)
    page.headers.update(getattr(error, "headers", None) or {})
    return page


def _describe(error: Exception) -> tuple[HTTPStatus, str]:
    if isinstance(error, RequestValidationError):
        fields = ", ".join(sorted({str(each["loc"][-1]) for each in error.errors()}))
        return (
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"not a valid value: {for_document(fields)[:_MAX_DETAIL_CHARS]}",
        )
    if isinstance(error, NightpressError):
        return HTTPStatus.SERVICE_UNAVAILABLE, for_document(error)[:_MAX_DETAIL_CHARS]
    if isinstance(error, StoreUnreachableError):
        return HTTPStatus.SERVICE_UNAVAILABLE, str(error)
    if isinstance(error, OSError):
        # Its own words name paths of the server.
        return HTTPStatus.SERVICE_UNAVAILABLE, f"The data root cannot be read: {type(error).__name__}"
    status = HTTPStatus(getattr(error, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR))
    return status, for_document(getattr(error, "detail", "") or status.phrase)[:_MAX_DETAIL_CHARS]


def to_static(request: Request) -> str:
    """Return the way from this address to the application's root, whatever Airflow is mounted under.

    :return: empty, or ``../`` as often as needed.
    """
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    below = raw.split(URL_PREFIX.encode() + b"/", 1)[-1]
    return "../" * int(below.count(b"/"))


def render_notice(title: str, text: str, root: str, login: str = "") -> Html:
    """Return a small page."""
    button = (
        Html('<p><a class="button" data-airflow="true" href="{}">Log in</a></p>').format(login)
        if login
        else ""
    )
    return render_page(
        title,
        root,
        Html(
            '<section class="card notice"><h1>{}</h1><p>{}</p>{}<p><a href="{}batches">To the batches</a></p></section>'
        ).format(title, text, button, root),
    )


def render_page(title: str, root: str, body: Html) -> Html:
    """Return a whole page around its body."""
    return Html(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>{0}</title>"
        '<link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="{1}static/page.css"><script src="{1}static/frame.js"></script>'
        "</head><body><main>{2}</main></body></html>"
    ).format(title, root, body)


def _login(request: Request, status: HTTPStatus) -> str:
    if status != HTTPStatus.UNAUTHORIZED:
        return ""
    return f"{to_static(request)}../api/v2/auth/login?next={quote(str(request.url), safe='')}"
