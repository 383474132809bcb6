"""One poll of the API for all tasks that wait on one connection: how it is made, and what a failure means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from message_batches import metrics
from nightpress.batches.polling import MIN_POLL_SECONDS, Look
from nightpress.errors import ConfigurationError

if TYPE_CHECKING:
    from nightpress.batches.batch import Batch
    from nightpress.batches.client import AsyncMessageBatches

log = structlog.get_logger(__name__)

OFFLINE_POLL_SECONDS = 2.0
"""Poll interval of the offline API when none is given."""

_MAX_LOOK_UPS = 8
"""Single look-ups under way at once, of all waiting tasks of a connection."""

_FAILURES_BEFORE_SINGLE_LOOKS = 2
"""Consecutive server errors of the list after which batches are requested one by one."""


class SharedConnection:
    """The API of an Airflow connection, opened when it is needed and again after it was dropped.

    :param conn_id: Airflow connection of type ``anthropic``.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.list_failures = 0
        self.look_ups = asyncio.Semaphore(_MAX_LOOK_UPS)
        self._api: AsyncMessageBatches | None = None
        self._offline = False

    @property
    def offline(self) -> bool:
        """True once the API said that it is the offline one."""
        if self._api is not None and self._api.facts.offline is not None:
            self._offline = self._api.offline
        return self._offline

    async def open(self) -> AsyncMessageBatches:
        """Return the API; when it is not open yet, it is opened with the connection's present key."""
        if self._api is None:
            self._api = await _connect(self.conn_id)
        return self._api

    async def drop(self, api: AsyncMessageBatches | None = None) -> None:
        """Close the client, so that the next use asks Airflow for the connection again.

        :param api: drop it only if it is still this one; None drops any.
        """
        if self._api is None or (api is not None and api is not self._api):
            return
        self._offline = self.offline
        dropped, self._api = self._api, None
        try:
            await dropped.close()
        except Exception as error:
            log.info("closing the client of %s failed: %s", self.conn_id, type(error).__name__)

    def describe(self, error: Exception) -> str:
        """Return one line on a failure."""
        from nightpress.batches.redaction import describe_error

        return describe_error(error)


def effective_poll_seconds(wanted: float | None, offline: bool) -> float:
    """Return the seconds between polls of an API: at least 30, unless it is the offline API."""
    if offline:
        return OFFLINE_POLL_SECONDS if wanted is None else wanted
    return max(MIN_POLL_SECONDS, wanted or MIN_POLL_SECONDS)


async def look_at_list(connection: SharedConnection) -> tuple[Look, float | None]:
    """Poll the list of batches; return what was seen, and how many seconds the API asked to wait."""
    api: AsyncMessageBatches | None = None
    try:
        api = await connection.open()
        page = await api.list()
    except Exception as error:
        return await _failed_look(connection, api, error)
    connection.list_failures = 0
    metrics.show_in_flight(page.data)
    return Look(at=time.time(), batches={batch.id: batch for batch in page.data}), None


async def look_up(look: Look, missing: Iterable[str], connection: SharedConnection) -> Look:
    """Add batches that the shared poll did not show, each by its own request.

    If some of them cannot be requested, the others still count; only if all fail, the poll has failed.
    """
    from anthropic import NotFoundError

    batches: dict[str, Batch] = dict(look.batches)
    absent: list[str] = []
    failed: Look | None = None
    told = False
    for batch_id in missing:
        api: AsyncMessageBatches | None = None
        try:
            async with connection.look_ups:
                api = await connection.open()
                batches[batch_id] = await api.retrieve(batch_id)
            told = True
        except NotFoundError:
            absent.append(batch_id)
            told = True
        except ConfigurationError as error:
            failed = Look(at=look.at, error=str(error))
        except Exception as error:
            failed = (await _failed_look(connection, api, error, counts=False))[0]
    if failed is not None and not told:
        return failed
    return Look(at=look.at, batches=batches, absent=absent)


async def _failed_look(
    connection: SharedConnection, api: AsyncMessageBatches | None, error: Exception, *, counts: bool = True
) -> tuple[Look, float | None]:
    """Return what a failure means for the waiting tasks.

    :param counts: it was a look at the list.
    """
    import anthropic

    from nightpress.batches.refusals import read_retry_after
    from nightpress.errors import ApiReplyError

    refused = isinstance(error, (anthropic.AuthenticationError, anthropic.PermissionDeniedError))
    if refused:
        # The key may have been replaced since: the next look asks the connection for it.
        await connection.drop(api)
    said = connection.describe(error)
    response = getattr(error, "response", None)
    unlisted = False
    if counts:
        log.warning("could not look at the batches of %s: %s", connection.conn_id, said)
        status = getattr(error, "status_code", 0)
        answered = isinstance(error, (anthropic.APIStatusError, ApiReplyError)) and not refused
        connection.list_failures = connection.list_failures + 1 if answered else 0
        busy = status in {408, 429, 529}
        no_list = isinstance(error, ApiReplyError) or (400 <= status < 500) or status == 501
        unlisted = (
            answered and not busy and (no_list or connection.list_failures > _FAILURES_BEFORE_SINGLE_LOOKS)
        )
    look = Look(at=time.time(), error=said, refused=refused, unlisted=unlisted)
    return look, read_retry_after(response.headers) if response is not None else None


async def _connect(conn_id: str) -> AsyncMessageBatches:
    # The SDK's import takes a second, which all other triggers would have to wait.
    hooks = await asyncio.to_thread(import_module, "airflow.providers.anthropic.hooks.anthropic")
    clients = await asyncio.to_thread(import_module, "nightpress.batches.client")
    client = await hooks.AnthropicHook(conn_id=conn_id).get_async_conn()
    api: AsyncMessageBatches = clients.AsyncMessageBatches(client)
    return api
