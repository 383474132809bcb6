"""What a failed POST says about whether a batch exists.

Sources: API documentation, "Errors"; the SDK's ``_exceptions.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nightpress.errors import RequestRefusedError, SubmissionError, SubmitLaterError

REFUSING_STATUS = {400, 401, 402, 403, 404, 413, 422, 429, 529}
"""Answers that are given before a batch is made. Any other error may come after."""

_LATER_STATUS = {429, 529}
_ACCOUNT_STATUS = {401, 402, 403, 429}
_NEVER_CODES = {"enforced_spend_limit_reached"}
_ACCOUNT_CODES = {"spend_limit_reached", "credit_balance_too_low"}
_REMEDIES = {
    401: "check the API key of the connection",
    402: "add credit to the account, then clear this task",
    403: "check what the API key may do, then clear this task",
    404: "check the connection's host and platform: only some serve the Message Batches API",
    429: "raise the spend limit or wait until it is renewed, then clear this task",
    413: "use smaller shards (max_bytes)",
}


class BodyNotSentError(Exception):
    """The body was not sent to its end, so the API cannot have accepted it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure after which it is certain that no batch exists.

    :param later: True when the same request may be accepted later.
    :param account: True when every other request would be refused for the same reason.
    """

    message: str
    later: bool
    retry_after_seconds: float | None = None
    account: bool = False

    def error(self, prefix: str) -> SubmissionError:
        """Return the error to raise."""
        if self.later:
            return SubmitLaterError(prefix + self.message, self.retry_after_seconds)
        return RequestRefusedError(prefix + self.message, account=self.account)


def read_failure(error: BaseException) -> Refusal | None:
    """Return what a failed POST means, or None when a batch may exist all the same."""
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return _read_status(error)
    if isinstance(error, anthropic.CredentialsError):
        return Refusal(f"no credentials: {error}", later=False, account=True)
    for cause in _chain(error):
        if isinstance(cause, BodyNotSentError):
            return Refusal(f"the body was not sent to its end: {cause}", later=True)
        if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)):
            return Refusal(
                f"no connection to the API ({cause}); is it reachable from this machine?", later=True
            )
    return None


def _read_status(error: object) -> Refusal | None:
    import anthropic

    assert isinstance(error, anthropic.APIStatusError)
    status = error.status_code
    if status not in REFUSING_STATUS:
        return None
    said = f"HTTP {status} {error.type or ''}: {str(error.api_message or '')[:300]}"
    if error.request_id:
        said += f" (request {error.request_id})"
    if status in _LATER_STATUS and error.error_code not in _NEVER_CODES:
        return Refusal(said, later=True, retry_after_seconds=read_retry_after(error.response.headers))
    remedy = _REMEDIES.get(status, "mend what it names, then clear this task")
    account = status in _ACCOUNT_STATUS or error.error_code in _ACCOUNT_CODES
    return Refusal(f"{said}; {remedy}", later=False, account=account)


def read_retry_after(headers: object) -> float | None:
    """Return the seconds of a ``retry-after`` header, or None when there is none or it is a date."""
    value = headers.get("retry-after") if hasattr(headers, "get") else None
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
