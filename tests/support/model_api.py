"""A simulated Message Batches API that may or may not have accepted a POST whose reply is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anthropic
import httpx2

from nightpress.batches.api_facts import Identity, Listed
from nightpress.batches.batch import Batch, BatchPage, RequestCounts
from nightpress.errors import ResultsError
from nightpress.storage import StoragePath


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Sent:
    """A batch at the API."""

    id: str
    custom_ids: list[str]
    created: float
    visible: float
    ended: bool = False
    readable: bool = True

    def state(self) -> Batch:
        total = len(self.custom_ids)
        return Batch(
            id=self.id,
            processing_status="ended" if self.ended else "in_progress",
            created_at=datetime.fromtimestamp(self.created, UTC),
            request_counts=RequestCounts(succeeded=total) if self.ended else RequestCounts(processing=total),
            results_url="https://api.anthropic.com/x" if self.ended else None,
        )


def status_error(
    status: int, retry_after: str | None = None, code: str | None = None
) -> anthropic.APIStatusError:
    """Return the SDK's own error for a status."""
    headers = {"request-id": "req_1"} | ({"retry-after": retry_after} if retry_after else {})
    body = {
        "type": "error",
        "error": {"type": "some_error", "message": "said", "details": {"error_code": code}},
    }
    response = httpx2.Response(
        status, headers=headers, json=body, request=httpx2.Request("POST", "https://api.anthropic.com/v1")
    )
    client = anthropic.Anthropic(api_key="test")
    return client._make_status_error_from_response(response)


@dataclass
class ModelApi:
    """Implements ``BatchApi``.

    :param plan: the outcomes of the next POSTs: ``accept``, ``accept_then_drop``, ``drop``, ``accept_then_crash``,
        ``crash``, or an exception to raise without accepting. Empty: accept.
    :param listing_delay: seconds until a new batch is in the list.
    :param skew: seconds by which the API's clock is ahead of this machine's.
    :param creation_offset: seconds by which the server that creates the next batch is ahead of the others.
    """

    clock: Clock
    scope: str = "api.anthropic.com"
    plan: list[object] = field(default_factory=list)
    listing_delay: float = 0.0
    skew: float = 0.0
    creation_offset: float = 0.0
    batches: list[Sent] = field(default_factory=list)
    page_size: int = 1000
    posts: int = 0
    identity: Identity = field(default_factory=lambda: Identity("org_1", "wrkspc_1"))
    tells_time: bool = True
    listed: Listed = field(default_factory=Listed)
    betas: Sequence[str] = ()

    def identify(self) -> Identity:
        self.list(limit=20)
        return self.identity

    def time(self) -> float | None:
        return self.now() if self.tells_time else None

    def now(self) -> float:
        return self.clock() + self.skew

    def create(self, body: StoragePath, size: int, *, deadline: float, betas: Sequence[str] = ()) -> Batch:
        self.posts += 1
        self.betas = betas
        what = self.plan.pop(0) if self.plan else "accept"
        if isinstance(what, BaseException):
            raise what
        if what == "crash":
            raise Crash
        if what == "drop":
            raise anthropic.APIConnectionError(request=httpx2.Request("POST", "https://api.anthropic.com"))
        ids = [request["custom_id"] for request in json.loads(body.read_bytes())["requests"]]
        batch = self.put(ids)
        if what == "accept_then_drop":
            raise anthropic.APIConnectionError(request=httpx2.Request("POST", "https://api.anthropic.com"))
        if what == "accept_then_crash":
            raise Crash
        return batch.state()

    def put(self, custom_ids: list[str]) -> Sent:
        now = self.now()
        name = f"msgbatch_{len(self.batches):04d}"
        sent = Sent(name, custom_ids, now + self.creation_offset, now + self.listing_delay)
        self.batches.append(sent)
        return sent

    def retrieve(self, batch_id: str) -> Batch:
        return next(sent for sent in self.batches if sent.id == batch_id).state()

    def list(self, *, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        visible = [sent for sent in reversed(self.batches) if sent.visible <= self.now()]
        if after_id is not None:
            visible = visible[[sent.id for sent in visible].index(after_id) + 1 :]
        page = visible[: min(limit, self.page_size)]
        more = len(visible) > len(page)
        if page:
            self.listed = Listed(max(sent.created for sent in page), tuple(sent.id for sent in page[:20]))
        return BatchPage(tuple(sent.state() for sent in page), more, page[-1].id if page else None)

    def stream_results(self, batch: Batch) -> Iterator[bytes]:
        sent = next(sent for sent in self.batches if sent.id == batch.id)
        if not sent.readable:
            raise ResultsError("not readable")
        for custom_id in reversed(sent.custom_ids):
            yield json.dumps({"custom_id": custom_id, "result": {"type": "canceled"}}).encode() + b"\n"
