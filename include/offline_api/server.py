"""What belongs to one running server, and what every response has in common."""

from __future__ import annotations

import secrets
from collections import Counter
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from offline_api.api_errors import ApiError
from offline_api.batch_life import Batches, Speed
from offline_api.clock import Clock, rfc3339
from offline_api.faults import Faults
from offline_api.result_lines import ResultsWriter
from offline_api.store import Store

_REQUESTS_PER_MINUTE = 4000


class Server:
    """Clock, store, batches, faults and counters of one server.

    :param folder: where the state is.
    :param seed: of the order of results.
    :param gzip: compress result streams for clients that accept it.
    :param api_key: the only key that is accepted; None accepts any.
    """

    def __init__(
        self, folder: Path, *, speed: Speed, seed: int = 1, gzip: bool = False, api_key: str | None = None
    ) -> None:
        self.store = Store(folder)
        self.clock = Clock(self.store.setting("clock_offset_seconds"))
        self.batches = Batches(self.store, self.clock, speed)
        self.results = ResultsWriter(self.store, seed)
        self.faults = Faults()
        self.gzip, self.api_key = gzip, api_key
        self.http_requests: Counter[str] = Counter()

    def advance_clock(self, seconds: float) -> None:
        """Move the clock ahead, for good."""
        self.clock.offset_seconds += seconds
        self.store.set("clock_offset_seconds", self.clock.offset_seconds)

    def reset(self) -> None:
        """Forget batches, bills, counters, faults and the clock's offset."""
        self.store.clear()
        self.faults.clear()
        self.http_requests.clear()
        self.clock.offset_seconds = 0.0

    def check_access(self, request: Request) -> None:
        """Refuse a request without a key or a version.

        :raises ApiError: 401 or 400.
        """
        bearer = request.headers.get("authorization", "")
        key = request.headers.get("x-api-key") or (bearer[7:] if bearer.lower().startswith("bearer ") else "")
        if not key.strip():
            raise ApiError(401, "x-api-key header is required")
        if self.api_key is not None and not secrets.compare_digest(key.encode(), self.api_key.encode()):
            raise ApiError(401, "invalid x-api-key")
        if not request.headers.get("anthropic-version"):
            raise ApiError(400, "anthropic-version: header is required")

    def headers(self, request_id: str) -> dict[str, str]:
        """Return the headers of every response of the API."""
        limit = str(_REQUESTS_PER_MINUTE)
        return {
            "request-id": request_id,
            "anthropic-organization-id": "local",
            "anthropic-ratelimit-requests-limit": limit,
            "anthropic-ratelimit-requests-remaining": str(_REQUESTS_PER_MINUTE - 1),
            "anthropic-ratelimit-requests-reset": rfc3339(self.clock.now() + 60),
        }


def server_of(request: Request) -> Server:
    """Return the server a request came to."""
    server: Server = request.app.state.server
    return server


def request_id_of(request: Request) -> str:
    """Return the id of a request, the same one in header and body."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = f"req_local_{secrets.token_hex(12)}"
    return str(request.state.request_id)


def reply(
    request: Request, content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a JSON response with the API's headers."""
    common = server_of(request).headers(request_id_of(request))
    return JSONResponse(content, status_code=status, headers={**common, **(headers or {})})


def refuse(request: Request, error: Exception) -> Response:
    """Return the response to a refused request."""
    if not isinstance(error, ApiError):
        status = getattr(error, "status_code", 500)
        error = ApiError(
            status, "Not found" if status == 404 else str(getattr(error, "detail", "Internal server error"))
        )
    return reply(request, error.envelope(request_id_of(request)), error.status, error.headers)
