"""The Message Batches API through the official SDK: the only place that talks to it.

Creating a batch is not idempotent, so :meth:`MessageBatches.create` sends exactly one request. Reading
is: there the SDK's own retries help. The SDK is used for its transport, authentication and error
classes; bodies are streamed and answers decoded here, because a body can have 256 MB.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

from nightpress.batches.batch import Batch, BatchPage, decode_batch, decode_page
from nightpress.batches.refusals import BodyNotSentError
from nightpress.errors import ResultsError
from nightpress.storage import StoragePath

if TYPE_CHECKING:
    import anthropic
    import httpx2

ROUTE = "/v1/messages/batches"
_CHUNK = 256 * 1024
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class BatchApi(Protocol):
    """What the core needs of the API."""

    @property
    def scope(self) -> str:
        """Name of the API that batch ids belong to, e.g. ``api.anthropic.com`` or ``offline``."""

    def create(self, body: StoragePath, size: int, *, deadline: float) -> Batch:
        """POST the body once."""

    def retrieve(self, batch_id: str) -> Batch:
        """Return the state of one batch."""

    def list(self, *, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        """Return one page of batches, newest first."""

    def stream_results(self, batch: Batch) -> Iterator[bytes]:
        """Yield the decoded bytes of a result stream."""


class _Body:
    """A file as a request body that can be iterated again, and stops at a deadline.

    :raises BodyNotSentError: while iterating, after ``deadline`` or when the file cannot be read; a body
        that is not complete is never accepted, so whoever looks for its batch knows how long to look.
    """

    def __init__(self, path: StoragePath, deadline: float, now: Callable[[], float]) -> None:
        self.path, self.deadline, self.now = path, deadline, now

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    if self.now() > self.deadline:
                        raise BodyNotSentError("it took too long")
                    yield chunk
        except OSError as error:
            raise BodyNotSentError(f"{self.path} cannot be read ({error})") from error


class MessageBatches:
    """The Message Batches API of one connection.

    :param client: the SDK's client; its base URL and key are used as they are.
    """

    def __init__(self, client: anthropic.Anthropic, now: Callable[[], float] = time.time) -> None:
        self.client = client
        self.now = now

    @property
    def scope(self) -> str:
        """Name of the API that batch ids belong to."""
        return scope_of(str(self.client.base_url))

    def create(self, body: StoragePath, size: int, *, deadline: float) -> Batch:
        """POST ``body`` once, streamed, with the SDK's retries off.

        :param size: bytes of the body; sent as Content-Length.
        :param deadline: epoch seconds after which the body is cut off rather than completed.
        :raises anthropic.APIError: as the SDK does; ``refusals.py`` tells what each means.
        """
        response = self.client.with_options(max_retries=0).post(
            ROUTE,
            content=_Body(body, deadline, self.now),
            cast_to=_response_type(),
            options={"headers": {"Content-Length": str(size), "Content-Type": "application/json"}},
        )
        return decode_batch(response.content)

    def retrieve(self, batch_id: str) -> Batch:
        """Return the state of one batch.

        :raises anthropic.NotFoundError: which may be transient: one 404 is not absence.
        """
        return decode_batch(self.client.get(f"{ROUTE}/{batch_id}", cast_to=_response_type()).content)

    def list(self, *, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        """Return one page of batches, newest first.

        :param limit: 1 to 1,000 batches.
        :param after_id: go on behind this batch.
        """
        query: dict[str, object] = {"limit": limit} | ({"after_id": after_id} if after_id else {})
        return decode_page(
            self.client.get(ROUTE, cast_to=_response_type(), options={"params": query}).content
        )

    def stream_results(self, batch: Batch) -> Iterator[bytes]:
        """Yield the bytes of a result stream, content encodings undone.

        :raises ResultsError: the batch has no results (any more), or they are at a foreign host.
        """
        with self._open_results(batch) as response:
            yield from response.iter_bytes(_CHUNK)

    @contextmanager
    def _open_results(self, batch: Batch) -> Iterator[httpx2.Response]:
        from anthropic import Stream

        if batch.results_url is None:
            why = "they are kept for 29 days" if batch.archived_at else f"it is {batch.processing_status}"
            raise ResultsError(f"batch {batch.id} has no results at the API: {why}")
        check_results_host(batch.results_url, str(self.client.base_url))
        # Asked for a raw response the SDK returns it as it is, whatever the stream class.
        response = cast(
            "httpx2.Response",
            self.client.get(
                batch.results_url,
                cast_to=_response_type(),
                stream=True,
                stream_cls=Stream[bytes],
                options={"headers": {"Accept": "application/binary"}},
            ),
        )
        try:
            yield response
        finally:
            response.close()


def scope_of(base_url: str) -> str:
    """Return the name under which batch ids of an API are kept apart from those of another."""
    host = urlsplit(base_url).hostname or "unknown"
    return "offline" if is_loopback(base_url) else host


def is_loopback(base_url: str) -> bool:
    """Tell whether an API runs on this machine, as the offline API does."""
    return urlsplit(base_url).hostname in _LOOPBACK


def check_results_host(results_url: str, base_url: str) -> None:
    """Refuse to send the API key to a host that is neither the connection's nor the vendor's.

    :raises ResultsError: naming both hosts.
    """
    results, base = urlsplit(results_url), urlsplit(base_url)
    same_origin = (results.scheme, results.netloc) == (base.scheme, base.netloc)
    vendor = (results.hostname or "").endswith(".anthropic.com") and results.scheme == "https"
    if not (same_origin or vendor):
        raise ResultsError(
            f"the results are at {results.scheme}://{results.netloc}, which is neither the connection's host "
            f"({base.scheme}://{base.netloc}) nor the vendor's; the API key is not sent there"
        )


def _response_type() -> type[httpx2.Response]:
    import httpx2

    return httpx2.Response
