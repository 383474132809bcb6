"""The six endpoints of Message Batches."""

from __future__ import annotations

import secrets
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from offline_api.api_errors import ApiError
from offline_api.batch_state import is_archived, status, view
from offline_api.fault_points import CutStream, after, before, guarded
from offline_api.faults import CUTS, LINES
from offline_api.faulty_lines import damage
from offline_api.faulty_views import apply_batch_faults, apply_list_faults
from offline_api.result_streams import cut_lines, iter_file, iter_gzip, iter_lines, joined
from offline_api.server import Server, reply, server_of, workspace_of
from offline_api.store import Record

ROUTE = "/v1/messages/batches"
MAX_BODY_BYTES = 256 * 1000 * 1000


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _batch_id(request: Request) -> str:
    return str(request.path_params["batch_id"])


async def create(request: Request) -> Response:
    """Accept a batch: the body is written to disk as it arrives, and checked in a thread."""
    server = server_of(request)
    body = server.store.partial_path(secrets.token_hex(8))
    try:
        await _receive(request, body)
        server.check_access(request)
        refused = await before(request, "create")
        if refused is not None:
            return refused
        record = await run_in_threadpool(
            server.batches.accept,
            body,
            server.faults,
            workspace_id=workspace_of(request),
            betas=",".join(request.headers.getlist("anthropic-beta")),
        )
    finally:
        body.unlink(missing_ok=True)
    return await after(request, "create", _shown(request, "create", record))


def _shown(request: Request, endpoint: str, record: Record) -> Response:
    server, base_url = server_of(request), _base_url(request)
    batch = view(record, server.clock.now(), base_url)
    return reply(apply_batch_faults(server.faults, endpoint, batch, base_url))


async def _receive(request: Request, body: Path) -> None:
    """Write a body to a file. A body that is too big is read to its end, so that the client gets the error."""
    size = 0
    with body.open("wb") as stream:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= MAX_BODY_BYTES:
                stream.write(chunk)
    if size > MAX_BODY_BYTES:
        # At the vendor, the edge and not the API answers this, without JSON.
        raise ApiError(413, f"Request exceeds {MAX_BODY_BYTES} bytes", body="text")


def retrieve(request: Request) -> Response:
    """Show one batch."""
    server = server_of(request)
    record = server.batches.get(_batch_id(request), workspace_of(request))
    return _shown(request, "retrieve", record)


def list_batches(request: Request) -> Response:
    """Show a page of batches, newest first."""
    server = server_of(request)
    query = request.query_params
    after_id, before_id = query.get("after_id"), query.get("before_id")
    if after_id and before_id:
        raise ApiError(400, "after_id and before_id cannot be used together")
    limit = _limit(query.get("limit", "20"))
    found, has_more = server.batches.page(limit, after_id, before_id, workspace_of(request))
    now, base_url = server.clock.now(), _base_url(request)
    page = {
        "data": [view(record, now, base_url) for record in found],
        "has_more": has_more,
        "first_id": found[0].id if found else None,
        "last_id": found[-1].id if found else None,
    }
    return reply(apply_list_faults(server.faults, page, base_url))


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:6]) <= 1000:
        raise ApiError(400, "limit: Input should be an integer from 1 to 1000")
    return int(text)


def cancel(request: Request) -> Response:
    """Ask a batch to end early."""
    server = server_of(request)
    slow = server.faults.take("cancel", ["slow_cancel"])
    seconds = slow.seconds if slow else None
    record = server.batches.cancel(_batch_id(request), workspace_of(request), seconds)
    return _shown(request, "cancel", record)


def delete(request: Request) -> Response:
    """Delete an ended batch."""
    server = server_of(request)
    record = server.batches.get(_batch_id(request), workspace_of(request))
    if status(record, server.clock.now()) == "ended":
        server.results.bill(record)  # what was billed stays billed
    server.batches.delete(record.id, record.workspace_id)
    return reply({"id": _batch_id(request), "type": "message_batch_deleted"})


def results(request: Request) -> Response:
    """Stream the results of an ended batch."""
    server = server_of(request)
    record, now = server.batches.get(_batch_id(request), workspace_of(request)), server.clock.now()
    if status(record, now) != "ended":
        raise ApiError(400, f"Message Batch {record.id} is still processing; it has no results yet")
    if is_archived(record, now):
        raise ApiError(404, f"Message Batch {record.id} is archived; its results are no longer available")
    server.results.write(record)
    return _stream(request, server, record)


def _stream(request: Request, server: Server, record: Record) -> Response:
    path = server.store.results_path(record.id)
    damages, cut = server.faults.take_all("results", LINES), server.faults.take("results", CUTS)
    chunks = iter_file(path)
    if damages or cut:
        lines = iter_lines(path)
        for rule in damages:
            lines = damage(lines, rule, record.requests)
        chunks = joined(cut_lines(lines, cut, record.requests) if cut else lines)
    headers: dict[str, str] = {}
    cut_compressed = cut is not None and cut.kind == "cut_compressed"
    if (server.gzip or cut_compressed) and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        chunks = iter_gzip(chunks, cut=cut_compressed)
    clean = cut is None or (cut.clean if cut.clean is not None else cut.kind != "cut_mid_line")
    response = StreamingResponse if clean else CutStream
    return response(chunks, headers=headers, media_type="application/x-jsonl")


ROUTES = [
    Route(ROUTE, create, methods=["POST"]),
    Route(ROUTE, guarded("list", list_batches), methods=["GET"]),
    Route(ROUTE + "/{batch_id}", guarded("retrieve", retrieve), methods=["GET"]),
    Route(ROUTE + "/{batch_id}", guarded("delete", delete), methods=["DELETE"]),
    Route(ROUTE + "/{batch_id}/cancel", guarded("cancel", cancel), methods=["POST"]),
    Route(ROUTE + "/{batch_id}/results", guarded("results", results), methods=["GET"]),
]
