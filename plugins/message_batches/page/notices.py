"""What is said when there is nothing to show: as a page to people, as JSON to the page's script."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from message_batches.page import URL_PREFIX

_SAID = {
    HTTPStatus.UNAUTHORIZED: (
        "Log in first",
        "This page shows what Airflow lets you see, so it needs your login.",
    ),
    HTTPStatus.FORBIDDEN: (
        "Not for you",
        "Your user may not read these runs. Whoever manages Airflow's permissions can grant read access to the "
        "DAG and its runs.",
    ),
}


def answer_error(request: Request, error: Exception) -> Response:
    """Answer with the error's status; nothing of the request is shown unescaped."""
    status = HTTPStatus(getattr(error, "status_code", HTTPStatus.SERVICE_UNAVAILABLE))
    detail = str(getattr(error, "detail", "")) or f"The data root cannot be read: {type(error).__name__}"
    headers = dict(getattr(error, "headers", None) or {}) | {"Cache-Control": "no-store"}
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": detail}, status, headers)
    title, text = _SAID.get(status, (status.phrase, detail))
    return Response(
        render_notice(title, text, to_static(request), _login(request, status)),
        status,
        headers
        | {
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:"
        },
        "text/html",
    )


def to_static(request: Request) -> str:
    """Return the way from this address to the application's root, whatever Airflow is mounted under.

    :return: empty, or ``../`` as often as needed.
    """
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    below = raw.split(URL_PREFIX.encode() + b"/", 1)[-1]
    return "../" * int(below.count(b"/"))


def render_notice(title: str, text: str, root: str, login: str = "") -> str:
    """Return a small page."""
    button = (
        f'<p><a class="button" data-airflow="true" href="{escape(login)}">Log in</a></p>' if login else ""
    )
    return render_page(
        title,
        root,
        f'<section class="card notice"><h1>{escape(title)}</h1><p>{escape(text)}</p>{button}'
        f'<p><a href="{root}batches">To the batches</a></p></section>',
    )


def render_page(title: str, root: str, body: str) -> str:
    """Return a whole page around a body of trusted HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        '<link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="{root}static/page.css"><script src="{root}static/frame.js"></script>'
        f"</head><body><main>{body}</main></body></html>"
    )


def _login(request: Request, status: HTTPStatus) -> str:
    if status != HTTPStatus.UNAUTHORIZED:
        return ""
    return f"{to_static(request)}../api/v2/auth/login?next={quote(str(request.url), safe='')}"
