"""Endpoints that only this server has: the billing meter, the clock, the account, counters, faults.

Without ``--key`` no key is needed. A web page must never reach them: a POST has to be JSON, which a browser does not
let a page send to another site without permission, and the Host header has to name this machine.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import defaultdict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from offline_api.api_errors import ApiError
from offline_api.batch_state import status
from offline_api.billing_meter import Bill
from offline_api.server import Server, sent_key, server_of

_OUTCOMES = ("succeeded", "errored", "canceled", "expired")


MAX_BODY_BYTES = 1_000_000
_MAX_SECONDS = 1e9
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_OWN_HOSTS = frozenset(("127.0.0.1", "localhost", "::1"))


def check_access(server: Server, request: Request) -> None:
    """Refuse requests that another machine or a web page may have sent.

    :raises ApiError: 401: no key or a wrong one; 403: another Host; 415: a POST that is not JSON.
    """
    if server.key is not None:
        if not secrets.compare_digest(sent_key(request).encode(), server.key.encode()):
            raise ApiError(401, "x-api-key: the key that the server was started with is needed")
    elif _named_host(request) not in {*_OWN_HOSTS, server.host.lower()}:
        raise ApiError(
            403, "host: /local answers to 127.0.0.1 and localhost; start the server with --key for others"
        )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and kind != "application/json":
        raise ApiError(415, "content-type: only application/json is accepted here")


def _named_host(request: Request) -> str | None:
    """Return the name in the only Host header; None when it holds anything but a name and a port."""
    found = request.headers.getlist("host")
    named = _HOST.fullmatch(found[0]) if len(found) == 1 else None
    return (named["address"] or named["name"]).lower() if named else None


def bill(server: Server) -> dict[str, Any]:
    """Return the cost of the ended batches: total, by model, by workspace and by batch."""
    now = server.clock.now()
    whole = Bill()
    by_model: defaultdict[str, Bill] = defaultdict(Bill)
    by_workspace: defaultdict[str, Bill] = defaultdict(Bill)
    by_batch: dict[str, dict[str, Any]] = {}
    for record in server.store.all_batches():
        ended = status(record, now) == "ended"
        mine = Bill()
        for model, part in (server.results.bill(record) if ended else {}).items():
            by_model[model].add(part)
            mine.add(part)
        whole.add(mine)
        by_workspace[record.workspace_id].add(mine)
        counts = {name: getattr(record, name) if ended else 0 for name in _OUTCOMES}
        by_batch[record.id] = {
            "requests": record.requests,
            **counts,
            "input_tokens": mine.prompt_tokens(),
            "output_tokens": mine.output_tokens,
            "workspace_id": record.workspace_id,
            "bill": mine.view(),
        }
    return {
        "batches_accepted": len(by_batch),
        "requests_billed": whole.requests,
        "input_tokens": whole.prompt_tokens(),
        "output_tokens": whole.output_tokens,
        "bill": whole.view(),
        "by_model": {model: part.view() for model, part in sorted(by_model.items())},
        "by_workspace": {name: part.view() for name, part in sorted(by_workspace.items())},
        "by_batch": by_batch,
    }


def billing(request: Request) -> Response:
    """Show the billing meter."""
    return JSONResponse(bill(server_of(request)))


def http_requests(request: Request) -> Response:
    """Show how many HTTP requests came to each route."""
    return JSONResponse(dict(server_of(request).http_requests))


def batch_body(request: Request) -> Response:
    """Return the body of a create, byte for byte."""
    server = server_of(request)
    record = server.batches.get(str(request.path_params["batch_id"]))
    return FileResponse(server.store.body_path(record.id), media_type="application/json")


async def move_clock(request: Request) -> Response:
    """Move the clock: ``{"advance_seconds": n}``, or ``{"offset_seconds": n}`` from the machine's, also back."""
    server = server_of(request)
    body = await _object(request)
    if set(body) == {"advance_seconds"}:
        offset = server.clock.offset_seconds + _number(body, "advance_seconds", 0)
    elif set(body) == {"offset_seconds"}:
        offset = _number(body, "offset_seconds", -_MAX_SECONDS)
    else:
        raise ApiError(400, "advance_seconds or offset_seconds is needed, and nothing else")
    await run_in_threadpool(server.move_clock, offset)
    return JSONResponse({"now": server.clock.now(), "offset_seconds": server.clock.offset_seconds})


async def _body(request: Request) -> bytes:
    """Return a small body.

    :raises ApiError: 413.
    """
    body = bytearray()
    async for chunk in request.stream():
        if len(body) <= MAX_BODY_BYTES:
            body += chunk
    if len(body) > MAX_BODY_BYTES:
        raise ApiError(413, f"at most {MAX_BODY_BYTES} bytes are read here")
    return bytes(body)


async def _object(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await _body(request))
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The request body is not valid JSON") from error
    if not isinstance(found, dict):
        raise ApiError(400, "body: Input should be an object")
    return found


def _number(body: dict[str, Any], name: str, least: float) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MAX_SECONDS:
        raise ApiError(400, f"{name}: a number from {least:.0f} to {_MAX_SECONDS:.0f} is needed")
    return float(value)


async def account(request: Request) -> Response:
    """Change the account (POST) and show it."""
    server = server_of(request)
    if request.method == "POST":
        body = await _body(request)
        await run_in_threadpool(server.account.change, body)
    spent = await run_in_threadpool(server.batches.spent)
    return JSONResponse(server.account.view(spent.items()))


def reset(request: Request) -> Response:
    """Forget everything."""
    server_of(request).reset()
    return JSONResponse({"type": "reset"})


async def faults(request: Request) -> Response:
    """Add fault rules (POST), forget all (DELETE) and show those in force."""
    known = server_of(request).faults
    if request.method == "POST":
        known.add(await _body(request))
    elif request.method == "DELETE":
        known.clear()
    return JSONResponse({"rules": known.show()})


ROUTES = [
    Route("/local/billing", billing, methods=["GET"]),
    Route("/local/requests", http_requests, methods=["GET"]),
    Route("/local/batches/{batch_id}/requests", batch_body, methods=["GET"]),
    Route("/local/account", account, methods=["GET", "POST"]),
    Route("/local/clock", move_clock, methods=["POST"]),
    Route("/local/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/local/reset", reset, methods=["POST"]),
]
