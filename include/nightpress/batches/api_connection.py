"""The part that both API clients share: facts from responses, redirects, and protection of the key.

The key and the body go to the connection's own origin only: redirects to other hosts are not followed. The key is
removed from errors before they leave the clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from nightpress.batches.api_addresses import origin_of
from nightpress.batches.api_facts import ApiFacts, Listed
from nightpress.batches.batch import check_batch_id
from nightpress.batches.redaction import find_secrets, guard_logs, redact_bytes, redact_error, remove_secrets

if TYPE_CHECKING:
    import anthropic
    import httpx2

    from nightpress.batches.lean_client import LeanClient

MAX_REDIRECTS = 5


class ApiConnection:
    """The part of a client that does not depend on whether it is asynchronous."""

    def __init__(
        self,
        client: anthropic.Anthropic | anthropic.AsyncAnthropic | LeanClient,
        elapsed: Callable[[], float],
    ) -> None:
        self.base_url = str(client.base_url)
        self._secrets = find_secrets(client)
        guard_logs(self._secrets)
        self.facts = ApiFacts(elapsed, self._redact_id)

    @property
    def offline(self) -> bool:
        """True once a response said that this is the offline API."""
        return bool(self.facts.offline)

    @property
    def listed(self) -> Listed:
        """What the list of batches showed so far."""
        return self.facts.listed

    def redact(self, text: str) -> str:
        """Return a text without the connection's own key, which a proxy may have echoed."""
        return remove_secrets(text, self._secrets)

    def _redact_id(self, text: str) -> str:
        """Return the id of an account without the key; a short key stays, since it may be part of the id."""
        return "" if text in self._secrets else redact_bytes(text.encode(), self._secrets).decode()

    def read(self, response: httpx2.Response) -> bytes:
        """Return the content of a reply without the connection's own key."""
        return redact_bytes(response.content, self._secrets)

    def time(self) -> float | None:
        """Return the API's own time, epoch seconds; None when no response had a date."""
        return self.facts.time()

    def learn(self, error: Exception) -> None:
        """Take the facts from a failed response, and remove the key from the error and its causes."""
        response = getattr(error, "response", None)
        if response is not None:
            self.facts.note(response.status_code, response.headers)
        redact_error(error, self._secrets)

    def find_redirect(self, error: Exception, hops: int) -> str | None:
        """Return where to continue with a GET: only to the connection's own origin."""
        response = getattr(error, "response", None)
        if response is None or response.status_code not in {301, 302, 303, 307, 308} or hops >= MAX_REDIRECTS:
            return None
        try:
            target = urljoin(str(response.request.url), response.headers.get("location", ""))
            return target if origin_of(target) == origin_of(self.base_url) else None
        except ValueError:
            return None


def list_query(limit: int, after_id: str | None) -> dict[str, object]:
    """Return the query of one page of the list of batches."""
    return {"limit": limit} | ({"after_id": check_batch_id(after_id)} if after_id else {})


def request_options(*, headers: dict[str, str] | None = None, params: dict[str, object] | None = None) -> Any:
    """Return the options of one request to the SDK."""
    options: dict[str, object] = {"follow_redirects": False}
    if headers:
        options["headers"] = headers
    if params:
        options["params"] = params
    return options


def response_type() -> type[httpx2.Response]:
    """Return the class of raw responses; it is imported late, since most tasks do not need it."""
    import httpx2

    return httpx2.Response
