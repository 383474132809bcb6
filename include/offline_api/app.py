"""The application: routes, a count of the requests to each, and the headers of all responses."""

from __future__ import annotations

from contextlib import suppress

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offline_api import batch_endpoints, html_pages, local_endpoints, model_endpoints, openapi
from offline_api.api_errors import ApiError
from offline_api.server import Server, changed_headers, refuse

ROUTES: list[Route] = [
    *batch_endpoints.ROUTES,
    *model_endpoints.ROUTES,
    *local_endpoints.ROUTES,
    *html_pages.ROUTES,
    *openapi.ROUTES,
]


class _Entrance:
    """Guards ``/local``, counts the other HTTP requests by route, and gives every response the common headers."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self.server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})
        request = Request(scope)
        app = self.app
        if scope["path"].startswith("/local/"):
            try:
                local_endpoints.check_access(self.server, request)
            except ApiError as error:
                app = refuse(request, error)
        else:
            matching = (route.path for route in ROUTES if route.matches(scope)[0] is Match.FULL)
            self.server.http_requests[f"{scope['method']} {next(matching, 'unknown')}"] += 1
            self.server.faults.arrive()
        with suppress(ClientDisconnect):  # the client is gone
            await app(scope, receive, self._with_headers(request, send))

    def _with_headers(self, request: Request, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in (self.server.headers(request) | changed_headers(request)).items():
                    if value is not None:
                        headers.setdefault(name, value)
            await send(message)

        return send_with_headers


def build_app(server: Server) -> Starlette:
    """Return the ASGI application of a server."""
    app = Starlette(
        routes=ROUTES,
        exception_handlers={ApiError: refuse, HTTPException: refuse, Exception: refuse},
    )
    app.add_middleware(_Entrance, server=server)
    app.state.server = server
    return app
