"""The Message Batches API through the official SDK: the only place that talks to it.

Creating a batch is not idempotent, so :meth:`MessageBatches.create` sends exactly one request. Reading
is idempotent, so the SDK retries it. The SDK is used for its transport, authentication and error
classes, through :mod:`nightpress.batches.lean_client`; bodies are streamed and answers decoded here, because a
body can have 256 MB.

The code shared with the asynchronous client is in :mod:`nightpress.batches.api_connection`: the key never leaves the
connection's own origin, and results are read below the connection's base URL.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nightpress.batches.api_addresses import ROUTE, is_vendor, results_address, scope_of
from nightpress.batches.api_connection import (
    MAX_REDIRECTS,
    ApiConnection,
    list_query,
    request_options,
    response_type,
)
from nightpress.batches.api_facts import Identity, elapsed_seconds
from nightpress.batches.batch import Batch, BatchPage, check_batch_id, decode_batch, decode_page
from nightpress.batches.lean_client import LeanClient, SdkRequests
from nightpress.batches.redaction import redact_stream
from nightpress.batches.streamed_body import StreamedBody
from nightpress.errors import ConfigurationError, SubmitLaterError
from nightpress.storage import StoragePath

if TYPE_CHECKING:
    import anthropic
    import httpx2

_BETA = re.compile(r"[A-Za-z0-9._-]{1,100}")


class MessageBatches(ApiConnection):
    """The Message Batches API of one connection.

    :param client: the SDK's client, or one that uses it only after a failure; its base URL and key are used
        unchanged.
    :param now: this machine's clock, epoch seconds.
    :param elapsed: steady seconds, see :func:`nightpress.batches.api_facts.elapsed_seconds`.
    """

    def __init__(
        self,
        client: anthropic.Anthropic | LeanClient,
        now: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        super().__init__(client, elapsed)
        self._client = client
        self._send = client if isinstance(client, LeanClient) else SdkRequests(client)
        self.now = now
        self.elapsed = elapsed

    @property
    def client(self) -> anthropic.Anthropic:
        """The SDK's client, for other parts of the API."""
        return self._client.sdk if isinstance(self._client, LeanClient) else self._client

    @property
    def scope(self) -> str:
        """Name of the API that batch ids belong to.

        :raises SubmitLaterError: the API has to be asked, and cannot be reached.
        """
        # The vendor's own host, proved by its certificate, is never the offline API, so no request is needed.
        offline = not is_vendor(self.base_url) and self.identify().offline
        return scope_of(self.base_url, offline=offline)

    def identify(self) -> Identity:
        """Return whose batches this connection sees; the API is asked once, then its latest response counts.

        :raises SubmitLaterError: the API cannot be reached.
        """
        if self.facts.offline is None:
            try:
                self.list(limit=20)
            except Exception as error:
                import anthropic

                if not isinstance(error, anthropic.APIError):
                    raise
                if self.facts.offline is None:
                    raise SubmitLaterError(
                        f"no usable answer from the API at {self.redact(self.base_url)} "
                        f"({type(error).__name__}: {error}); "
                        "is it reachable from this machine?",
                        code="api_unreachable",
                    ) from error
        return self.facts.identity()

    def create(self, body: StoragePath, size: int, *, deadline: float, betas: Sequence[str] = ()) -> Batch:
        """POST ``body`` once, streamed, with the SDK's retries off.

        :param size: bytes of the body; sent as Content-Length.
        :param deadline: epoch seconds after which the body is cut off rather than completed.
        :param betas: names of beta features, sent as a header.
        :raises anthropic.APIError: as the SDK does; ``refusals.py`` explains what each means.
        """
        headers = {"Content-Length": str(size), "Content-Type": "application/json"}
        if betas:
            headers["anthropic-beta"] = ",".join(map(check_beta, betas))
        try:
            content = StreamedBody(body, deadline, self.now, self.elapsed)
            response = self._send.post(ROUTE, request_options(headers=headers), content)
        except Exception as error:
            self.learn(error)
            raise
        self.facts.note(response.status_code, response.headers)
        return decode_batch(self.read(response))

    def retrieve(self, batch_id: str) -> Batch:
        """Return the state of one batch.

        :raises anthropic.NotFoundError: may be transient, so one 404 does not prove that the batch is gone.
        """
        return decode_batch(self.read(self._get(f"{ROUTE}/{check_batch_id(batch_id)}")))

    def list(self, *, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        """Return one page of batches, newest first.

        :param limit: 1 to 1,000 batches.
        :param after_id: start after this batch.
        """
        page = decode_page(self.read(self._get(ROUTE, params=list_query(limit, after_id))))
        self.facts.note_batches(page)
        return page

    def stream_results(self, batch: Batch) -> Iterator[bytes]:
        """Yield the decoded bytes of a result stream, without the connection's own key.

        :raises ResultsError: the batch has no results (any more).
        """
        with self._open_results(batch) as response:
            yield from redact_stream(response.iter_bytes(), self._secrets)

    @contextmanager
    def _open_results(self, batch: Batch) -> Iterator[httpx2.Response]:
        response = self._get(
            results_address(batch, self.base_url), headers={"Accept": "application/binary"}, stream=True
        )
        try:
            yield response
        finally:
            response.close()

    def _get(
        self,
        path: str,
        *,
        params: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> httpx2.Response:
        options = request_options(headers=headers, params=params)
        for hops in range(MAX_REDIRECTS + 1):
            try:
                found = self._send.get(path, options, stream=stream)
            except Exception as error:
                self.learn(error)
                target = self.find_redirect(error, hops)
                if target is None:
                    raise
                path = target
                options = request_options(headers=headers)
                continue
            self.facts.note(found.status_code, found.headers)
            return found
        raise AssertionError("the last redirect is raised")


class AsyncMessageBatches(ApiConnection):
    """The same API for an event loop, as far as a trigger needs it.

    :param client: the SDK's asynchronous client.
    """

    def __init__(
        self, client: anthropic.AsyncAnthropic, elapsed: Callable[[], float] = elapsed_seconds
    ) -> None:
        super().__init__(client, elapsed)
        self.client = client

    async def retrieve(self, batch_id: str) -> Batch:
        """Return the state of one batch.

        :raises anthropic.NotFoundError: may be transient, so one 404 does not prove that the batch is gone.
        """
        response = await self._get(f"{ROUTE}/{check_batch_id(batch_id)}")
        return decode_batch(self.read(response))

    async def list(self, *, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        """Return one page of batches, newest first."""
        return decode_page(self.read(await self._get(ROUTE, params=list_query(limit, after_id))))

    async def cancel(self, batch_id: str) -> Batch:
        """Ask the API to cancel a batch; requests answered by then are billed and stay readable."""
        path = f"{ROUTE}/{check_batch_id(batch_id)}/cancel"
        try:
            response = await self.client.post(path, cast_to=response_type(), options=request_options())
        except Exception as error:
            self.learn(error)
            raise
        self.facts.note(response.status_code, response.headers)
        return decode_batch(self.read(response))

    async def close(self) -> None:
        """Close the client's connections."""
        await self.client.close()

    async def _get(self, path: str, *, params: dict[str, object] | None = None) -> httpx2.Response:
        for hops in range(MAX_REDIRECTS + 1):
            try:
                response = await self.client.get(
                    path, cast_to=response_type(), options=request_options(params=params)
                )
            except Exception as error:
                self.learn(error)
                target = self.find_redirect(error, hops)
                if target is None:
                    raise
                path, params = target, None
                continue
            self.facts.note(response.status_code, response.headers)
            return response
        raise AssertionError("the last redirect is raised")


def check_beta(name: str) -> str:
    """Return the name of a beta feature unchanged.

    :raises ConfigurationError: it cannot be part of a header.
    """
    if not _BETA.fullmatch(name):
        raise ConfigurationError(f"invalid beta {name!r:.120}: use a name such as output-300k-2026-03-24")
    return name
