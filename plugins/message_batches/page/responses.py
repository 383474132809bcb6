"""Responses with the headers that keep a page to itself: every one has them, errors and redirects included."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
DOCUMENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
"""For reports: a document of its own, which may run nothing and load nothing."""

_HEADERS = {
    b"content-security-policy": PAGE_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cache-control": b"no-store",
}


class SafeHeaders:
    """Adds the headers to whatever the application answers, and answers when it fails.

    :param on_error: makes the answer to a fault of ours.
    """

    def __init__(self, app: ASGIApp, on_error: Callable[[Request, Exception], Response]) -> None:
        self.app = app
        self.on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = list(message.get("headers") or [])
                given = {bytes(name).lower() for name, _ in headers}
                headers += [(name, value) for name, value in _HEADERS.items() if name not in given]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_safely)
        except Exception as error:
            log.exception("a page of Nightpress failed")
            if started or scope["type"] != "http":
                raise
            await self.on_error(Request(scope), error)(scope, receive, send_safely)


def html(content: str | bytes, status: int = 200) -> Response:
    """Return a page."""
    return Response(content, status_code=status, media_type="text/html")
