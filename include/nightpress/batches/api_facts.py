"""Facts about the API from its responses: whose batches it shows, what time it has, and whether it is the
offline API. Its address shows none of these, and this machine's clock may be wrong.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nightpress.batches.batch import BatchPage
from nightpress.batches.refusals import read_date

OFFLINE_HEADER = "x-offline-api"
OFFLINE_VALUE = "message-batches"

_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_INTERMEDIATE_STATUS = {407, 502, 503, 504}
"""Replies that a proxy gives in the API's place."""

_KEPT_IDS = 20


def elapsed_seconds() -> float:
    """Return the seconds of a steady clock: setting the time does not affect it, and it counts while suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose batches a connection sees.

    :param organization_id: as the response headers say; None when they do not, as behind some gateways.
    :param workspace_id: the workspace of the batches; no other workspace sees them.
    :param offline: the API says that it is the offline API, which calls no model and bills nothing.
    """

    organization_id: str | None = None
    workspace_id: str | None = None
    offline: bool = False

    def __str__(self) -> str:
        organization = self.organization_id or "unknown organization"
        return f"workspace {self.workspace_id or 'unknown'} of {organization}"


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list of batches showed so far; none of these batches can come from a later POST.

    :param newest_at: when the newest batch was created, epoch seconds by the API's clock; None when none was seen.
    :param ids: of the newest batches.
    """

    newest_at: float | None = None
    ids: tuple[str, ...] = ()


class ApiFacts:
    """The facts from all responses of one client; for each fact the latest response that has it counts.

    :param elapsed: steady seconds, see :func:`elapsed_seconds`.
    :param redact: removes the connection's own key, which a proxy may echo in any header.
    """

    def __init__(
        self, elapsed: Callable[[], float] = elapsed_seconds, redact: Callable[[str], str] = str
    ) -> None:
        self._elapsed = elapsed
        self._redact = redact
        self.offline: bool | None = None
        self.organization_id: str | None = None
        self.workspace_id: str | None = None
        self.listed = Listed()
        self._date: float | None = None
        self._date_seen = 0.0

    def note(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the facts from a response's headers."""
        from_api = "request-id" in headers or OFFLINE_HEADER in headers
        if status in _INTERMEDIATE_STATUS and not from_api:
            return
        self.offline = headers.get(OFFLINE_HEADER) == OFFLINE_VALUE
        self.organization_id = self._read_id(headers.get("anthropic-organization-id"), self.organization_id)
        self.workspace_id = self._read_id(headers.get("anthropic-workspace-id"), self.workspace_id)
        date = read_date(headers.get("date"))
        if date is not None:
            self._date, self._date_seen = date, self._elapsed()

    def note_batches(self, page: BatchPage) -> None:
        """Record the newest batches of a page of the list."""
        moments = [batch.created_at.timestamp() for batch in page.data if batch.created_at is not None]
        known = [self.listed.newest_at] if self.listed.newest_at is not None else []
        ids = dict.fromkeys([*(batch.id for batch in page.data[:_KEPT_IDS]), *self.listed.ids])
        self.listed = Listed(max([*moments, *known], default=None), tuple(ids)[:_KEPT_IDS])

    def identity(self) -> Identity:
        """Return whose batches the responses showed."""
        return Identity(self.organization_id, self.workspace_id, bool(self.offline))

    def time(self) -> float | None:
        """Return the API's time now, epoch seconds: its latest ``Date`` plus the time since then."""
        if self._date is None:
            return None
        return self._date + max(0.0, self._elapsed() - self._date_seen)

    def _read_id(self, value: str | None, known: str | None) -> str | None:
        found = self._redact(value or "")
        return found if _ACCOUNT_ID.fullmatch(found) else known
