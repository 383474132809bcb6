"""The points around each endpoint at which fault rules act, and connections that break."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from offline_api.api_errors import ApiError
from offline_api.faults import AFTER, BEFORE, Rule
from offline_api.server import change_headers, server_of


class Drop(Response):
    """Breaks the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        scope["state"]["transport"].abort()
        await _until_gone(receive)


class CutStream(StreamingResponse):
    """A stream whose connection is closed before the end of the body is marked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self.body_iterator:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        scope["state"]["transport"].close()
        await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def before(request: Request, endpoint: str) -> Response | None:
    """Hang or refuse before the request has any effect; None lets the request pass.

    :raises ApiError: the refusal a rule asks for.
    """
    faults = server_of(request).faults
    _apply_header_faults(request, endpoint)
    if hang := faults.take(endpoint, ["hang"], "before"):
        await asyncio.sleep(hang.seconds)
    rule = faults.take(endpoint, BEFORE)
    if rule is None:
        return None
    if rule.kind == "drop":
        return Drop()
    if rule.kind == "redirect":
        return Response(status_code=rule.status or 307, headers={"location": _location(request, rule)})
    if rule.kind == "echo_headers":
        sent = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
        raise ApiError(rule.status or 400, f"Bad gateway request with headers {sent}", body=rule.body)
    raise rule.error()


def _location(request: Request, rule: Rule) -> str:
    if rule.location is not None:
        return rule.location
    url = urlsplit(str(request.url))
    other = "localhost" if url.hostname != "localhost" else "127.0.0.1"
    return url._replace(netloc=f"{other}:{url.port}").geturl()


def _apply_header_faults(request: Request, endpoint: str) -> None:
    server = server_of(request)
    if rule := server.faults.take(endpoint, ["wrong_date"]):
        change_headers(request, {"date": formatdate(server.clock.now() + rule.shift_seconds, usegmt=True)})
    if rule := server.faults.take(endpoint, ["identity"]):
        change_headers(
            request,
            {
                "anthropic-organization-id": rule.organization_id,
                "anthropic-workspace-id": rule.workspace_id,
            },
        )


async def after(request: Request, endpoint: str, response: Response) -> Response:
    """Hang, break or refuse after the request has had its effect.

    :raises ApiError: the refusal a rule asks for.
    """
    faults = server_of(request).faults
    if hang := faults.take(endpoint, ["hang"], "after"):
        await asyncio.sleep(hang.seconds)
    rule = faults.take(endpoint, AFTER)
    if rule is None:
        return response
    if rule.kind == "accept_then_drop":
        return Drop()
    raise rule.error()


def guarded(
    endpoint: str, handler: Callable[[Request], Response]
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that checks access and applies its fault rules; ``handler`` runs in a thread."""

    async def run(request: Request) -> Response:
        server_of(request).check_access(request)
        refused = await before(request, endpoint)
        if refused is not None:
            return refused
        return await after(request, endpoint, await run_in_threadpool(handler, request))

    return run
