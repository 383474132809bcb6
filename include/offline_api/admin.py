"""What only this server has: the billing meter, the clock, counters, faults. No key is needed."""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from offline_api.api_errors import ApiError
from offline_api.batch_life import status
from offline_api.server import Server, server_of

_OUTCOMES = ("requests", "succeeded", "errored", "canceled", "expired")


def bill(server: Server) -> dict[str, Any]:
    """Return what the batches so far cost: only succeeded requests of ended batches are billed."""
    now = server.clock.now()
    total = {"batches_accepted": 0, "requests_billed": 0, "input_tokens": 0, "output_tokens": 0}
    by_batch: dict[str, dict[str, int]] = {}
    for record in server.store.all_batches():
        names = (*_OUTCOMES, "input_tokens", "output_tokens")
        ended = status(record, now) == "ended"
        row = {name: getattr(record, name) if ended or name == "requests" else 0 for name in names}
        by_batch[record.id] = row
        total["batches_accepted"] += 1
        total["requests_billed"] += row["succeeded"]
        total["input_tokens"] += row["input_tokens"]
        total["output_tokens"] += row["output_tokens"]
    return {**total, "by_batch": by_batch}


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


async def advance_clock(request: Request) -> Response:
    """Move the clock ahead: ``{"advance_seconds": n}``."""
    server = server_of(request)
    seconds = await _number(request, "advance_seconds")
    await run_in_threadpool(server.advance_clock, seconds)
    return JSONResponse({"now": server.clock.now(), "offset_seconds": server.clock.offset_seconds})


async def _number(request: Request, name: str) -> float:
    try:
        value = json.loads(await request.body())[name]
    except (ValueError, KeyError, TypeError):
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ApiError(400, f"{name}: a number that is not negative is needed")
    return float(value)


def reset(request: Request) -> Response:
    """Forget everything."""
    server_of(request).reset()
    return JSONResponse({"type": "reset"})


async def faults(request: Request) -> Response:
    """Add fault rules (POST), forget all (DELETE) and show those in force."""
    known = server_of(request).faults
    if request.method == "POST":
        known.add(await request.body())
    elif request.method == "DELETE":
        known.clear()
    return JSONResponse({"rules": known.show()})


ROUTES = [
    Route("/local/billing", billing, methods=["GET"]),
    Route("/local/requests", http_requests, methods=["GET"]),
    Route("/local/batches/{batch_id}/requests", batch_body, methods=["GET"]),
    Route("/local/clock", advance_clock, methods=["POST"]),
    Route("/local/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/local/reset", reset, methods=["POST"]),
]
