from __future__ import annotations

import itertools
from email.utils import formatdate

import anthropic
import httpx2
import pytest

from nightpress.batches.account_problems import ACCOUNT_CODES
from nightpress.batches.redaction import describe_error
from nightpress.batches.refusals import (
    MAX_RETRY_AFTER_SECONDS,
    describe_status,
    is_account_trouble,
    read_failure,
    read_retry_after,
)


def failure(
    status: int,
    kind: str = "invalid_request_error",
    message: str = "said",
    code: str | None = None,
    **headers: str,
) -> anthropic.APIStatusError:
    details = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": kind, "message": message, **details}}
    request = httpx2.Request("POST", "https://api.anthropic.com/v1/messages/batches")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=named, json=body, request=request)
    return anthropic.Anthropic(api_key="test")._make_status_error_from_response(response)


CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
WORKSPACE = "You have reached your specified workspace API usage limits."

ACCOUNT = [
    (400, "invalid_request_error", CREDIT, None),
    (400, "invalid_request_error", LIMIT, None),
    (400, "invalid_request_error", WORKSPACE, None),
    (400, "invalid_request_error", "This organization has been disabled.", None),
    (400, "invalid_request_error", "x", "organization_on_hold"),
    (400, "invalid_request_error", "x", "workspace_human_review_disabled"),
    (400, "invalid_request_error", "x", "cmek_key_disabled"),
    # What gateways make of the same, and their own words.
    (400, "invalid_request_error", f"litellm.BadRequestError: AnthropicException - {CREDIT}", None),
    (400, "invalid_request_error", f"API Error: 400 {LIMIT}", None),
    (
        400,
        "api_error",
        'litellm.BadRequestError: AnthropicException - {"type":"error","error":{"type":"invalid_request_error",'
        f'"message":"{CREDIT}"}}}}',
        None,
    ),
    (400, "invalid_request_error", "Credit balance is too low", None),
    (
        400,
        "budget_exceeded",
        "litellm.BudgetExceededError: ExceededBudget: Crossed spend threshold. Budget has been exceeded!",
        None,
    ),
    (429, "budget_exceeded", "Budget has been exceeded! Current cost: 5.0, Max budget: 1.0", None),
    (400, "invalid_request_error", "This workspace has been archived.", None),
    # Other ways to say it.
    *(
        (400, "invalid_request_error", words, None)
        for words in (
            "Your  credit\u00a0balance is too low",
            "YOUR CREDIT BALANCE IS TOO LOW",
            "Your organization's credit balance is too low",
            "Your account balance is too low to access the API",
            "You\u2019ve reached your specified API usage limits.",
            "You have exceeded your monthly spend limit",
            "You have reached your organization API usage limits",
            "Your workspace has reached its spend limit",
            "This organization has exceeded its monthly usage limit.",
            "Monthly spend limit reached",
            "Spending limit has been exceeded",
            "Your API key has been disabled.",
            "The API key is expired",
            f"[400] {CREDIT}",
            f"Upstream error: {CREDIT}",
            "You have run out of credits",
            "Out of credits",
            "Insufficient account balance",
            "You have insufficient credits",
            "No credits remaining",
            "Your prepaid credits are exhausted",
            "Your prepaid credit balance has been exhausted",
            "Credit limit reached",
            "Billing hard limit has been reached",
            "Account balance is insufficient",
            "Your balance is not enough",
            "Max budget exceeded",
            "Key limit exceeded (total limit)",
            "Your payment method was declined",
            "This request would exceed your organization's monthly spend limit of $1,000",
            "Your organization reached its spend cap for this month",
            "You have reached your monthly spend cap",
            "This request requires more credits, or fewer max_tokens. You requested up to 8192 tokens",
            "You do not have enough credits",
            "Please purchase more credits to continue",
            "Billing not active",
            "Your card was declined",
            "The workspace has been deleted",
            "Batch processing is disabled for this workspace",
            # Gateways name the provider, as Portkey and OpenRouter do.
            f"anthropic error: {CREDIT}",
            f"Provider returned error: {CREDIT}",
            f"Upstream provider returned 400: {CREDIT}",
            f"Error from provider (anthropic): {CREDIT}",
            f"[anthropic] {CREDIT}",
            "Your subscription has expired",
            "Your account is past due",
            "Account is not active, please check your billing details",
            "The workspace has been archived",
            "Organization on hold",
            "Your organization has been put on hold",
            "Your organization does not have access to the Message Batches API",
            "Human review is disabled for this workspace",
            "The encryption key of this workspace is disabled",
            "Invalid API key",
            "API key not found",
            "OAuth token has expired",
            "API usage limit reached",
            "Your API spend limit has been reached",
            "The monthly spend limit for your organization has been reached",
            "Your team has reached its spending limit",
            "Error code: 400 - {'type': 'error', 'error': {'type': 'invalid_request_error', 'message': "
            f"'{CREDIT}'}}, 'request_id': 'req_1'}}",
        )
    ),
    (402, "payment_required", "Insufficient credits. Add more.", None),
    (402, "billing_error", "x", None),
    (402, "billing_error", "x", "linked_organization_spend_limit_reached"),
    (429, "rate_limit_error", "x", "enforced_spend_limit_reached"),
    (429, "rate_limit_error", "x", "contract_spend_limit_reached"),
    (401, "authentication_error", "x", None),
    (403, "permission_error", "x", None),
]


@pytest.mark.parametrize(("status", "kind", "message", "code"), ACCOUNT)
def test_account_trouble_stops_all_shards_and_says_what_to_do(
    status: int, kind: str, message: str, code: str | None
) -> None:
    refusal = read_failure(failure(status, kind, message, code))
    assert refusal is not None
    assert refusal.account
    assert not refusal.later
    assert ";" in refusal.message
    assert is_account_trouble(kind, message, code)


@pytest.mark.parametrize(
    ("status", "kind", "message", "code"),
    [
        (400, "invalid_request_error", "max_tokens: too large", None),
        (400, "invalid_request_error", "messages.0: the text 'Your credit balance is too low' is", None),
        (400, "invalid_request_error", "messages.0.content: 'Your API key has expired' is too long", None),
        (400, "invalid_request_error", "max_tokens: usage limit", None),
        (400, "invalid_request_error", "This request would exceed the model's limit of 64 images", None),
        (
            400,
            "invalid_request_error",
            "anthropic error: messages.0.content: Your credit balance is too low",
            None,
        ),
        (400, "invalid_request_error", "Credits of the film: not enough text", None),
        (400, "invalid_request_error", "The usage limits of the gym were raised", None),
        (400, "invalid_request_error", "Spending reviews are limited", None),
        (400, "invalid_request_error", "thinking budget exceeded max_tokens", None),
        (400, "invalid_request_error", "API keys of the article are out of range", None),
        (400, "invalid_request_error", "Balance of the books: too long", None),
        (400, "invalid_request_error", "The organization of the tools is invalid", None),
        (400, "invalid_request_error", "usage limit of 4 blocks with cache_control exceeded", None),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", None),
        (
            400,
            "invalid_request_error",
            "{'text': 'it says', 'message': 'Your credit balance is too low'}",
            None,
        ),
        (404, "not_found_error", "model: no such model", None),
        (413, "request_too_large", "x", None),
        (422, "invalid_request_error", "x", "tool_name_conflict"),
    ],
)
def test_what_is_wrong_with_the_request_is_no_account_trouble(
    status: int, kind: str, message: str, code: str | None
) -> None:
    refusal = read_failure(failure(status, kind, message, code))
    assert refusal is not None
    assert not refusal.account
    assert not refusal.later
    assert not is_account_trouble(kind, message, code)


def test_a_limit_on_growth_passes_by_itself() -> None:
    refusal = read_failure(failure(429, "rate_limit_error", "x", "ramp_limit_exceeded", retry_after="120"))
    assert refusal is not None
    assert (refusal.later, refusal.account, refusal.retry_after_seconds) == (True, False, 120)
    assert not is_account_trouble("rate_limit_error", "x", "ramp_limit_exceeded")


def test_an_error_without_a_json_body_is_read_by_its_status() -> None:
    request = httpx2.Request("POST", "https://api.anthropic.com/v1/messages/batches")
    client = anthropic.Anthropic(api_key="test")
    for content in (b"", b"<html>413 Request Entity Too Large</html>", b"[]", b'{"error": "text"}'):
        response = httpx2.Response(413, content=content, request=request)
        refusal = read_failure(client._make_status_error_from_response(response))
        assert refusal is not None
        assert "max_bytes" in refusal.message


@pytest.mark.parametrize("status", [302, 303, 408, 409, 500, 502, 503, 504])
def test_after_any_other_answer_a_batch_may_exist(status: int) -> None:
    assert read_failure(failure(status)) is None


def test_the_errors_of_the_newest_sdk_are_told_by_their_code() -> None:
    raised = failure(400, code="workspace_human_review_disabled")
    assert isinstance(raised, anthropic.WorkspaceHumanReviewDisabledError)
    refusal = read_failure(raised)
    assert refusal is not None
    assert refusal.account
    assert ACCOUNT_CODES["workspace_human_review_disabled"] in refusal.message


SENT = formatdate(1_000_000, usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        ("0.5", 0.5),
        ("-5", 0.0),
        (str(14 * 86_400), MAX_RETRY_AFTER_SECONDS),
        ("inf", MAX_RETRY_AFTER_SECONDS),
        ("1e400", MAX_RETRY_AFTER_SECONDS),
        ("-inf", 0.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        (formatdate(1_000_090, usegmt=True), 90.0),
        (formatdate(999_000, usegmt=True), 0.0),
        (formatdate(9_000_000, usegmt=True), MAX_RETRY_AFTER_SECONDS),
        ("Wed, 99 Nov 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_bounded_and_finite(value: str, seconds: float | None) -> None:
    assert read_retry_after(httpx2.Headers({"retry-after": value, "date": SENT})) == seconds


def test_a_date_to_retry_after_means_nothing_without_the_replys_own() -> None:
    later = formatdate(4_000_000_000, usegmt=True)
    assert read_retry_after(httpx2.Headers({"retry-after": later})) is None
    assert read_retry_after(httpx2.Headers({})) is None
    assert read_retry_after(None) is None


@pytest.mark.parametrize(
    "acting", ["\x1b[2J", "\r", "\n", "\u2028", "\u202e", "\x00", "\x9b31m", "\xad", "\ud800"]
)
def test_the_apis_words_stay_one_line_that_does_nothing(acting: str) -> None:
    reply = {"type": "error", "error": {"type": f"odd{acting}error", "message": f"said{acting}this"}}
    request = httpx2.Request("POST", "https://api.example/v1/messages/batches")
    response = httpx2.Response(400, headers={"request-id": "req_1"}, request=request)
    failed = anthropic.BadRequestError("failed", response=response, body=reply)
    for line in (describe_status(failed), describe_error(failed), describe_error(ValueError(f"a{acting}b"))):
        assert line.isprintable()


ODD = [None, 7, 1.5, True, [], ["x"], {}, {"a": 1}]


@pytest.mark.parametrize("name", ["type", "message", "details", "error_code", "request_id"])
def test_no_odd_field_of_a_reply_leaves_the_outcome_of_a_post_open(name: str) -> None:
    client = anthropic.Anthropic(api_key="test")
    request = httpx2.Request("POST", "https://api.anthropic.com/v1/messages/batches")
    for odd, status in itertools.product(ODD, [400, 401, 402, 404, 413, 422, 429, 529]):
        error: dict[str, object] = {"type": "x", "message": "said", "details": {"error_code": "y"}}
        if name == "error_code":
            error["details"] = {"error_code": odd}
        elif name != "request_id":
            error[name] = odd
        body = {"type": "error", "error": error, "request_id": odd if name == "request_id" else "r"}
        response = httpx2.Response(status, json=body, request=request)
        refusal = read_failure(client._make_status_error_from_response(response))
        assert refusal is not None
        assert refusal.message.startswith(f"HTTP {status}")
        assert (refusal.account, refusal.later) == (status in {401, 402}, status in {429, 529})
