"""The parts of one running server, and what all responses have in common."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from offline_api.account import Account
from offline_api.api_errors import ApiError
from offline_api.batch_life import Batches
from offline_api.batch_state import Speed
from offline_api.clock import Clock, rfc3339
from offline_api.faults import Faults
from offline_api.results_writer import ResultsWriter
from offline_api.store import DEFAULT_WORKSPACE, Store

ORGANIZATION = "org_local"
_REQUESTS_PER_MINUTE = 4000


class Server:
    """Clock, store, account, batches, faults and counters of one server.

    :param folder: where the state is.
    :param seed: of the order of results.
    :param gzip: compress result streams for clients that accept it.
    :param api_key: the only key that ``/v1`` accepts; None accepts any.
    :param key: the only key that ``/v1`` and ``/local`` accept; None leaves ``/local`` open to this machine.
    :param host: the name that it listens on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        speed: Speed,
        seed: int = 1,
        gzip: bool = False,
        api_key: str | None = None,
        key: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.store = Store(folder)
        self.clock = Clock(self.store.setting("clock_offset_seconds"))
        self.account = Account(self.store)
        self.results = ResultsWriter(self.store, seed)
        self.batches = Batches(self.store, self.clock, speed, self.account, self.results)
        self.faults = Faults()
        self.host = host
        self.gzip, self.key, self.api_key = gzip, key, key or api_key
        self.http_requests: Counter[str] = Counter()
        self._in_minute: dict[bool, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def move_clock(self, offset_seconds: float) -> None:
        """Set how far the clock is ahead of the machine's, permanently."""
        self.clock.offset_seconds = offset_seconds
        self.store.set("clock_offset_seconds", offset_seconds)

    def reset(self) -> None:
        """Forget batches, bills, counters, faults, the account and the clock's offset."""
        self.store.clear()
        self.account.forget()
        self.faults.clear()
        self.http_requests.clear()
        self._in_minute.clear()
        self.clock.offset_seconds = 0.0

    def check_access(self, request: Request) -> None:
        """Refuse a request without a key or a version, and identify its workspace.

        :raises ApiError: 401, 403, 400, 429, or the account's own refusal.
        """
        key = sent_key(request)
        if not key.strip():
            raise ApiError(401, "x-api-key header is required")
        if self.api_key is not None and not secrets.compare_digest(key.encode(), self.api_key.encode()):
            raise ApiError(401, "invalid x-api-key")
        if not request.headers.get("anthropic-version"):
            raise ApiError(400, "anthropic-version: header is required")
        workspace_id = self.account.workspace(key, request.headers.get("anthropic-workspace-id"))
        request.state.workspace_id = workspace_id
        self._check_rate(counts=_counts_tokens(request))
        create = request.method == "POST" and request.url.path == "/v1/messages/batches"
        self.account.check(workspace_id, create=create)

    def _limit(self, *, counts: bool) -> int | None:
        return self.account.count_tokens_per_minute if counts else self.account.requests_per_minute

    def _check_rate(self, *, counts: bool) -> None:
        limit, now = self._limit(counts=counts), self.clock.now()
        with self._lock:
            minute, before = int(now // 60), self._sent(counts=counts)
            self._in_minute[counts] = minute, before + 1
            if limit is not None and before >= limit:
                wait = {"retry-after": str(60 - int(now % 60))}
                raise ApiError(
                    429,
                    f"This request would exceed your rate limit of {limit} requests per minute",
                    headers=wait,
                )

    def _sent(self, *, counts: bool) -> int:
        """Return how many requests came in this minute."""
        minute, number = self._in_minute.get(counts, (0, 0))
        return number if minute == int(self.clock.now() // 60) else 0

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers of every response."""
        counts = _counts_tokens(request)
        limit = self._limit(counts=counts) or _REQUESTS_PER_MINUTE
        return {
            "x-offline-api": "message-batches",
            "date": formatdate(self.clock.now(), usegmt=True),
            "request-id": request_id_of(request),
            "anthropic-organization-id": ORGANIZATION,
            "anthropic-workspace-id": workspace_of(request),
            "anthropic-ratelimit-requests-limit": str(limit),
            "anthropic-ratelimit-requests-remaining": str(max(0, limit - self._sent(counts=counts))),
            "anthropic-ratelimit-requests-reset": rfc3339(self.clock.now() // 60 * 60 + 60),
        }


def _counts_tokens(request: Request) -> bool:
    return request.url.path == "/v1/messages/count_tokens"


def sent_key(request: Request) -> str:
    """Return the key that a request came with, or an empty text."""
    bearer = request.headers.get("authorization", "")
    return request.headers.get("x-api-key") or (bearer[7:] if bearer.lower().startswith("bearer ") else "")


def server_of(request: Request) -> Server:
    """Return the server a request came to."""
    server: Server = request.app.state.server
    return server


def workspace_of(request: Request) -> str:
    """Return the workspace a request acts in."""
    return str(getattr(request.state, "workspace_id", DEFAULT_WORKSPACE))


def request_id_of(request: Request) -> str:
    """Return the id of a request, the same one in header and body."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = f"req_local_{secrets.token_hex(12)}"
    return str(request.state.request_id)


def change_headers(request: Request, changes: dict[str, str | None]) -> None:
    """Replace headers of the answer to a request; None leaves a header out."""
    request.state.changed_headers = {**changed_headers(request), **changes}


def changed_headers(request: Request) -> dict[str, str | None]:
    """Return the headers given to :func:`change_headers`."""
    changes: dict[str, str | None] = getattr(request.state, "changed_headers", {})
    return changes


def reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return JSONResponse(content, status_code=status, headers=headers)


def refuse(request: Request, error: Exception) -> Response:
    """Return the response to a refused request."""
    if not isinstance(error, ApiError):
        status = getattr(error, "status_code", 500)
        error = ApiError(
            status, "Not found" if status == 404 else str(getattr(error, "detail", "Internal server error"))
        )
    whole = JSONResponse(error.envelope(request_id_of(request)), error.status, error.headers)
    if error.body == "json":
        return whole
    bodies = {
        "html": (f"<html><head><title>{error.status}</title></head><body>nginx</body></html>", "text/html"),
        "text": (error.message, "text/plain"),
        "empty": ("", "text/plain"),
        "cut": (bytes(whole.body)[:-20].decode(errors="replace"), "application/json"),
    }
    content, media_type = bodies[error.body]
    return Response(content, error.status, error.headers, media_type)
