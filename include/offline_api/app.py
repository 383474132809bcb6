"""The application: routes, and a count of the requests to each."""

from __future__ import annotations

from contextlib import suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from offline_api import admin, endpoints, html_pages
from offline_api.api_errors import ApiError
from offline_api.server import Server, refuse

_ROUTES: list[Route] = [*endpoints.ROUTES, *admin.ROUTES, *html_pages.ROUTES]


class _CountRequests:
    """Counts HTTP requests by method and route before anything else happens to them."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self.server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/local/"):
            matching = (route.path for route in _ROUTES if route.matches(scope)[0] is Match.FULL)
            self.server.http_requests[f"{scope['method']} {next(matching, 'unknown')}"] += 1
        with suppress(ClientDisconnect):  # there is nobody left to answer
            await self.app(scope, receive, send)


def build_app(server: Server) -> Starlette:
    """Return the ASGI application of a server."""
    app = Starlette(
        routes=_ROUTES,
        exception_handlers={ApiError: refuse, HTTPException: refuse, Exception: refuse},
    )
    app.add_middleware(_CountRequests, server=server)
    app.state.server = server
    return app
