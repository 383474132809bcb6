"""The points around each endpoint at which fault rules act, and connections that break."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from offline_api.faults import AFTER, BEFORE
from offline_api.server import Server, server_of


class Drop(Response):
    """No answer: the connection breaks."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        scope["state"]["transport"].abort()
        await _until_gone(receive)


class CutStream(StreamingResponse):
    """A stream whose connection is closed before its end was marked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self.body_iterator:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        scope["state"]["transport"].close()
        await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def before(server: Server, endpoint: str) -> Response | None:
    """Hang or refuse before the request has any effect; None lets it pass.

    :raises ApiError: the refusal a rule asks for.
    """
    if hang := server.faults.take(endpoint, ["hang"], "before"):
        await asyncio.sleep(hang.seconds)
    rule = server.faults.take(endpoint, BEFORE)
    if rule is None:
        return None
    if rule.kind == "drop":
        return Drop()
    raise rule.error()


async def after(server: Server, endpoint: str, response: Response) -> Response:
    """Hang, break or refuse when the request has had its effect.

    :raises ApiError: the refusal a rule asks for.
    """
    if hang := server.faults.take(endpoint, ["hang"], "after"):
        await asyncio.sleep(hang.seconds)
    rule = server.faults.take(endpoint, AFTER)
    if rule is None:
        return response
    if rule.kind == "accept_then_drop":
        return Drop()
    raise rule.error()


def guarded(
    endpoint: str, handler: Callable[[Request], Response]
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that checks access and passes its points; ``handler`` runs in a thread."""

    async def run(request: Request) -> Response:
        server = server_of(request)
        server.check_access(request)
        refused = await before(server, endpoint)
        if refused is not None:
            return refused
        return await after(server, endpoint, await run_in_threadpool(handler, request))

    return run
