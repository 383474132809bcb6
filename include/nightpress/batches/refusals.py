"""What a failed request says: whether a batch exists, whether to wait, and whether the account is the cause.

Sources: API documentation, "Errors" and "Rate limits"; the SDK's ``_exceptions.py`` and ``_error_classes.py``
(2.14.0); words of real replies as users reported them in 2026.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from nightpress.batches.account_problems import ACCOUNT_CODES, ACCOUNT_TYPES, ACCOUNT_WORDS
from nightpress.errors import RequestRefusedError, SubmissionError, SubmitLaterError
from nightpress.plain_text import for_log

REFUSING_STATUS = {301, 307, 308, 400, 401, 402, 403, 404, 413, 422, 429, 529}
"""Statuses that are returned before a batch is created. Any other error may come afterwards.

A redirect is not followed, so its target never gets the body. 302 and 303 may also answer a POST that was
carried out. 503 may come from a gateway that has already passed the request on."""

MAX_RETRY_AFTER_SECONDS = 3_600.0
"""The longest wait that a ``retry-after`` header can set; after it the API is asked again."""

_LATER_STATUS = {429, 529}
_ACCOUNT_STATUS = {401, 402, 403}

_WRAPPING = re.compile(
    r"""(?:\s|["'] | \[[\w.-]{1,40}\] | (?:api\ error|error\ code):?\ (?:\d{3}\b)?[\s:-]*
    | (?:[\w.-]{1,40}\ ){0,3}[\w.]*(?:error|exception|returned)(?:\ \d{3})?
      (?:\ from\ [\w.-]{1,40}(?:\ \([\w.-]{1,40}\))?)?\s*[:-]\s+)*""",
    re.IGNORECASE | re.VERBOSE,
)
"""Prefixes that gateways put before the vendor's message: ``litellm.BadRequestError: AnthropicException - ``,
``anthropic error: ``, ``Provider returned error: ``."""

NOT_ACCOUNT_CODES = {"ramp_limit_exceeded"}
"""A limit on how fast usage may grow: it is temporary, and ``retry-after`` says when it ends."""

_REMEDIES = {
    401: "check the API key of the connection",
    402: "add credit to the account",
    403: "check what the API key may do",
    404: "check the connection's host and platform: only some serve the Message Batches API",
    413: "use smaller shards (max_bytes)",
    429: "raise the spend limit or wait until it is renewed",
}
_ACCOUNT_PATTERNS = tuple((re.compile(words, re.IGNORECASE), remedy) for words, remedy in ACCOUNT_WORDS)


class BodyNotSentError(Exception):
    """The body was not sent completely, so the API cannot have accepted it."""


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
        code = "account_trouble" if self.account else ""
        return RequestRefusedError(prefix + self.message, account=self.account, code=code)


def is_account_trouble(
    error_type: str | None = None, message: str | None = None, error_code: str | None = None
) -> bool:
    """Return whether an error is about the account (key, credit, limit, permission) rather than the request.

    Used for replies to requests and for errors of a batch's items.

    :param error_type: ``error.type``, e.g. ``billing_error``; for an item of a batch that has a known code, the code.
    :param message: ``error.message``.
    :param error_code: ``error.details.error_code``.
    """
    return find_account_remedy(error_type, message, error_code) is not None


def find_account_remedy(
    error_type: str | None = None, message: str | None = None, error_code: str | None = None
) -> str | None:
    """Return what to do about an error of the account, or None when it is of another kind."""
    if error_code in NOT_ACCOUNT_CODES:
        return None
    for code in (error_code, error_type):
        if code is not None and code in ACCOUNT_CODES:
            return ACCOUNT_CODES[code]
    said = _unwrap(message) if message else ""
    for words, remedy in _ACCOUNT_PATTERNS:
        if words.match(said):
            return remedy
    if error_type in ACCOUNT_TYPES:
        return "check key, credit and permissions of the account"
    return None


def _unwrap(message: str) -> str:
    """Return the vendor's message without the error names and the JSON that a gateway put around it.

    >>> _unwrap("litellm.BadRequestError: AnthropicException - Your credit balance is too low")
    'Your credit balance is too low'
    """
    found = _WRAPPING.match(message[:_MAX_WRAPPED])
    said = " ".join(message[found.end() if found else 0 :].replace("\u2019", "'").split())
    if said.startswith("{"):
        with suppress(msgspec.MsgspecError, TypeError):
            reply = msgspec.json.decode(said, type=dict[str, object])
            inner = reply.get("error", reply)
            told = inner.get("message") if isinstance(inner, dict) else inner
            return _WRAPPING.sub("", told, count=1) if isinstance(told, str) else said
        # The SDK's own message contains the reply as a Python dict.
        printed = _PRINTED.match(said)
        return printed["message"] if printed else said
    return said


_PRINTED = re.compile(r"""\{'(?:type': 'error', '|)error': \{.{0,80}?'message': ['"](?P<message>.{1,300})""")


_MAX_WRAPPED = 300


def read_failure(error: BaseException) -> Refusal | None:
    """Return what a failed POST means, or None when a batch may exist anyway."""
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
    reply = describe_status(error)
    if status in {301, 307, 308}:
        return Refusal(f"{reply}; redirects are not followed: set the connection's host to it", later=False)
    kind, message, code = map(_text_only, (error.type, error.api_message, error.error_code))
    remedy = find_account_remedy(kind, message, code)
    if status in _LATER_STATUS and remedy is None:
        wait = read_retry_after(error.response.headers)
        return Refusal(reply, later=True, retry_after_seconds=wait)
    account = remedy is not None or status in _ACCOUNT_STATUS
    advice = _REMEDIES.get(status) if remedy is None or status in _ACCOUNT_STATUS else remedy
    if code in ACCOUNT_CODES:
        advice = remedy
    return Refusal(f"{reply}; {advice or 'correct what it names'}", later=False, account=account)


def _text_only(value: object) -> str | None:
    """Return text, and None for anything else, since the SDK passes on whatever a gateway's JSON has."""
    return value if isinstance(value, str) else None


def describe_status(error: object) -> str:
    """Return one line on the API's reply: status, type, message and request id; a redirect's target host."""
    import anthropic

    assert isinstance(error, anthropic.APIStatusError)
    # The edge's own replies (413, 5xx) may be HTML or empty.
    kind = f" {error.type}" if isinstance(error.type, str) else ""
    message = f": {error.api_message[:300]}" if isinstance(error.api_message, str) else ""
    line = f"HTTP {error.status_code}{kind}{message}"
    if error.status_code in range(300, 400):
        line += f" to {_read_target(error.response.headers.get('location'))}"
    if error.request_id:
        line += f" (request {error.request_id[:80]})"
    return for_log(line)


def _read_target(location: str | None) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(location or "")
        return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path of the same host"
    except ValueError:
        return "an unusable address"


def read_retry_after(headers: object) -> float | None:
    """Return the seconds of a ``retry-after`` header, 0 to an hour; None when there is no usable one.

    A date is compared with the reply's own ``Date``, so this machine's clock does not matter.
    """
    get = getattr(headers, "get", dict[str, str]().get)
    value = get("retry-after")
    if not isinstance(value, str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        until, sent = read_date(value), read_date(get("date"))
        seconds = until - sent if until is not None and sent is not None else math.nan
    if math.isnan(seconds):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


def read_date(value: object) -> float | None:
    """Return the epoch seconds of an HTTP date, which is in UTC; None when it is none, or centuries away."""
    if not isinstance(value, str):
        return None
    try:
        moment = parsedate_to_datetime(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return seconds if 0 <= seconds <= _LATEST_DATE else None


_LATEST_DATE = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
