"""Addresses of a connection's API: its name in the ledger, its origin, and where results are read."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from nightpress.batches.batch import Batch, check_batch_id
from nightpress.errors import ResultsError

ROUTE = "/v1/messages/batches"


def scope_of(base_url: str, *, offline: bool) -> str:
    """Return the name under which batch ids of an API are kept apart from those of another.

    :param offline: the API says that it is the offline API; its address does not show that.
    """
    if offline:
        return "offline"
    host = re.sub(r"[^a-z0-9.-]", "_", urlsplit(base_url).hostname or "unknown")[:120].lstrip(".")
    return f"{host}.host" if host in {"", "offline"} else host


def is_vendor_scope(scope: str) -> bool:
    """Return whether a name that :func:`scope_of` gave is the vendor's, or that of the offline API in its place."""
    return scope == "offline" or scope.endswith(".anthropic.com")


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL; the scheme's default port when it names none.

    :raises ValueError: it is not a URL.
    """
    parts = urlsplit(url)
    port = {"https": 443, "http": 80}.get(parts.scheme) if parts.port is None else parts.port
    return parts.scheme, parts.hostname or "", port


def results_address(batch: Batch, base_url: str) -> str:
    """Return where a batch's results are read: below the connection's own base URL.

    ``results_url`` is used only if it and the base URL are both the vendor's: a gateway may pass on the vendor's
    URL, its own under another name, or none, and the connection's key must go to the connection's host only.

    :raises ResultsError: the batch has no results (any more).
    """
    if not batch.ended or (batch.results_url is None and batch.archived_at is not None):
        why = "they are kept for 29 days" if batch.ended else f"it is {batch.processing_status}"
        raise ResultsError(f"batch {batch.id} has no results at the API: {why}", code="no_results")
    url = batch.results_url or ""
    try:
        if is_vendor(base_url) and is_vendor(url):
            return url
    except ValueError:
        pass
    return f"{ROUTE}/{check_batch_id(batch.id)}/results"


def is_vendor(url: str) -> bool:
    """Return whether a URL is at the vendor's own host, over HTTPS, so that the certificate proves the host.

    Only a URL that every parser reads in the same way counts: no user name or password, no unusual characters.
    """
    return bool(_OF_VENDOR.match(url)) and origin_of(url)[2] == 443


_OF_VENDOR = re.compile(r"https://(?:[a-z0-9-]+\.)+anthropic\.com(?::443)?(?:[/?#][!-~]*)?\Z", re.IGNORECASE)
