"""Counting tokens, and the list of models, which clients also use to test a connection."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from offline_api.api_errors import ApiError
from offline_api.fault_points import after, before, guarded
from offline_api.message_checks import MAX_REQUEST_BYTES
from offline_api.model_catalog import MODELS, Model, model_info
from offline_api.parameter_checks import count_refusal
from offline_api.server import reply, server_of
from offline_api.token_counts import count_input, tokenizer

_LIFECYCLES = ("active", "deprecated", "retired")


def list_models(request: Request) -> Response:
    """Show a page of models, newest first; retired ones only when they are asked for."""
    query, now = request.query_params, server_of(request).clock.now()
    asked = query.getlist("lifecycle") + query.getlist("lifecycle[]") or ["active", "deprecated"]
    if unknown := sorted(set(asked) - set(_LIFECYCLES)):
        raise ApiError(
            400, f"lifecycle: Input should be one of {', '.join(_LIFECYCLES)}, not {unknown[0][:40]}"
        )
    known = [model for model in MODELS.values() if model.lifecycle(now) in asked]
    found, has_more = _page(
        known, _limit(query.get("limit", "20")), query.get("after_id"), query.get("before_id")
    )
    page = {
        "data": [model_info(model, now) for model in found],
        "has_more": has_more,
        "first_id": found[0].id if found else None,
        "last_id": found[-1].id if found else None,
    }
    return reply(page)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:6]) <= 1000:
        raise ApiError(400, "limit: Input should be an integer from 1 to 1000")
    return int(text)


def _page(
    models: list[Model], limit: int, after_id: str | None, before_id: str | None
) -> tuple[list[Model], bool]:
    if after_id and before_id:
        raise ApiError(400, "after_id and before_id cannot be used together")
    if before_id:
        rest = models[: _place(models, "before_id", before_id)]
        return rest[-limit:], len(rest) > limit
    rest = models[_place(models, "after_id", after_id) + 1 :] if after_id else models
    return rest[:limit], len(rest) > limit


def _place(models: list[Model], name: str, model_id: str) -> int:
    for place, model in enumerate(models):
        if model.id == model_id:
            return place
    raise ApiError(400, f"{name}: no model {model_id[:100]}")


def retrieve_model(request: Request) -> Response:
    """Show one model, a retired one too."""
    name = str(request.path_params["model_id"])
    if name not in MODELS:
        raise ApiError(404, f"model: {name[:100]}")
    return reply(model_info(MODELS[name], server_of(request).clock.now()))


async def count_tokens(request: Request) -> Response:
    """Count the tokens of a request, free of charge."""
    server = server_of(request)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) <= MAX_REQUEST_BYTES:
            body += chunk
    server.check_access(request)
    if len(body) > MAX_REQUEST_BYTES:
        raise ApiError(413, f"Request exceeds the maximum size of {MAX_REQUEST_BYTES} bytes")
    refused = await before(request, "count_tokens")
    if refused is not None:
        return refused
    tokens = await run_in_threadpool(_count, bytes(body), server.clock.now())
    return await after(request, "count_tokens", reply({"input_tokens": tokens}))


def _count(body: bytes, now: float) -> int:
    try:
        params: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "The request body is not valid JSON") from error
    if not isinstance(params, dict):
        raise ApiError(400, "body: Input should be an object")
    for name in ("model", "messages"):
        if name not in params:
            raise ApiError(400, f"{name}: Field required")
    if refused := count_refusal(params, now):
        raise ApiError(404 if refused[0] == "not_found_error" else 400, refused[1])
    return count_input(params, tokenizer(MODELS[params["model"]].new_tokenizer))


ROUTES = [
    Route("/v1/models", guarded("models", list_models), methods=["GET"]),
    Route("/v1/models/{model_id}", guarded("models", retrieve_model), methods=["GET"]),
    Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
]
