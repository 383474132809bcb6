"""What a failed request says: whether a batch exists, whether to wait, and whether the account is the cause.

Sources: API documentation, "Errors" and "Rate limits"; the SDK's ``_exceptions.py`` and ``_error_classes.py``
(2.14.0); words of real replies as users reported them in 2026.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

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
_ACCOUNT_TYPES = {"authentication_error", "billing_error", "permission_error"}

ACCOUNT_CODES: Mapping[str, str] = {
    # `error.details.error_code`: what to do. Source: SDK 2.14.0, _error_classes.py, unless noted.
    "credit_balance_too_low": "add credit to the account",  # API documentation, "Errors"
    "spend_limit_reached": "raise the spend limit or wait until it is renewed",  # API documentation
    "enforced_spend_limit_reached": "raise the organization's spend limit or wait until it is renewed",
    "contract_spend_limit_reached": "the contract's spend limit is used up: ask for more",
    "linked_organization_spend_limit_reached": "raise the spend limit of the linked organization",
    "linked_organization_billing_unavailable": "the linked organization cannot be billed: fix its billing",
    "organization_on_hold": "the organization is on hold: ask the vendor's support",
    "organization_not_eligible": "the organization may not use this: ask the vendor's support",
    "workspace_human_review_disabled": "this workspace takes no batches: use another, or enable human review",
    "cmek_key_disabled": "enable the customer-managed encryption key of the workspace",
    "cmek_key_network_blocked": "let the API reach the customer-managed encryption key",
    "cmek_feature_unsupported": "use a workspace without a customer-managed encryption key",
    "cmek_not_approved": "have the customer-managed encryption key approved",
    "workspace_policy_violation": "the workspace's policy forbids this request",
    "user_profile_not_billable": "the user profile cannot be billed: fix its billing",
    "user_profile_billing_not_authorized": "authorize billing for the user profile",
    "api_key_scope_missing": "give the API key the scope for message batches",
}
"""Error codes that every other request of the account would get too."""

ACCOUNT_WORDS: tuple[tuple[str, str], ...] = (
    # The beginning of the message, and what to do. These replies have no code: HTTP 400 `invalid_request_error`.
    # Reported by users, last in September 2026; items of a running batch fail with the same words.
    (
        r"((your|the|this) )?((account|organization|workspace)('s)? )?(credit )?balance is too low",
        "add credit to the account",
    ),
    # Reported by users in 2026, with and without "workspace"; the other wordings are our guess.
    (
        r"you( have|'ve) (reached|exceeded|hit) (your|the) ((specified|workspace|organization|account|monthly|api) )*"
        r"(usage|spend|spending|cost) limits?\b",
        "raise the spend limit that was set for the API, or wait until it is renewed",
    ),
    (
        r"((your|the|this) )?((account|organization|workspace)('s)? )?((has (reached|exceeded) (its|the) (monthly )?"
        r"(usage|spend|spending) limit\b)|((monthly )?(usage|spend|spending) limit (has been |was |is )?"
        r"(reached|exceeded)))",
        "raise the spend limit that was set for the API, or wait until it is renewed",
    ),
    (
        r"(invalid x-api-key\b|((your|the|this) )?api key (is|has) (been )?(expired|disabled|revoked|invalid|deleted))",
        "check the API key of the connection",
    ),
    (r"this organization (has been disabled|is on hold)", "ask the vendor's support"),
    (
        r"(your|this) (account|organization|workspace) (is|has been) (disabled|suspended|archived|on hold)",
        "ask the vendor",
    ),
    # LiteLLM's budgets, HTTP 400 and 429; OpenRouter and others that sell credits.
    (r"(exceededbudget\b|budget has been exceeded)", "raise the budget that the gateway sets for the key"),
    (r"(insufficient (credits?|funds|balance)|payment required)", "add credit to the account"),
    (r"you exceeded your current quota", "add credit to the account, or raise its quota"),
)
"""Known messages. Only the beginning is compared, since an error may quote an article with the same words."""

_WRAPPING = re.compile(
    r"""(?:\s|["'] | \[\d{3}\] | (?:api\ error|error\ code):?\ (?:\d{3}\b)?[\s:-]*
    | (?:upstream\ )?[\w.]*(?:error|exception)\s*[:-]\s+)*""",
    re.IGNORECASE | re.VERBOSE,
)
"""Prefixes that gateways put before the vendor's message: ``litellm.BadRequestError: AnthropicException - ``."""

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

    :param error_type: ``error.type``, e.g. ``billing_error``.
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
    if error_code is not None and error_code in ACCOUNT_CODES:
        return ACCOUNT_CODES[error_code]
    said = _unwrap(message) if message else ""
    for words, remedy in _ACCOUNT_PATTERNS:
        if words.match(said):
            return remedy
    if error_type in _ACCOUNT_TYPES:
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
    remedy = find_account_remedy(error.type, error.api_message, error.error_code)
    if status in _LATER_STATUS and remedy is None:
        wait = read_retry_after(error.response.headers)
        return Refusal(reply, later=True, retry_after_seconds=wait)
    account = remedy is not None or status in _ACCOUNT_STATUS
    advice = _REMEDIES.get(status) if remedy is None or status in _ACCOUNT_STATUS else remedy
    if error.error_code in ACCOUNT_CODES:
        advice = remedy
    return Refusal(f"{reply}; {advice or 'correct what it names'}", later=False, account=account)


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
