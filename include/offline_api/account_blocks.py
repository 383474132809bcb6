"""Why an account's requests are refused, in the vendor's words where they are known.

Sources: third-party reports, last seen in September 2026 (credit, own spend limit); the SDK's types (codes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CREDIT_TOO_LOW = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)
SPEND_LIMIT_REACHED = (
    "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
)
_WORKSPACE_LIMIT_REACHED = SPEND_LIMIT_REACHED.replace("specified API", "specified workspace API")


@dataclass(frozen=True, slots=True)
class Block:
    """Why creates are refused.

    :param error_code: ``error.details.error_code``.
    :param everywhere: whether other endpoints are refused too.
    """

    status: int
    message: str
    error_code: str | None = None
    retry_after: str | None = None
    everywhere: bool = False


def _coded(status: int, code: str, message: str, **more: Any) -> tuple[str, Block]:
    return code, Block(status, message, code, **more)


BLOCKS: dict[str, Block] = {
    "credit": Block(400, CREDIT_TOO_LOW),
    "spend_limit": Block(400, SPEND_LIMIT_REACHED),
    "workspace_spend_limit": Block(400, _WORKSPACE_LIMIT_REACHED),
    "payment": Block(
        402, "There is a problem with your organization's billing. Please check your payment details."
    ),
    "organization_disabled": Block(400, "This organization has been disabled.", everywhere=True),
    **dict(
        [
            _coded(
                429, "enforced_spend_limit_reached", "The monthly usage threshold of your tier was reached."
            ),
            _coded(429, "contract_spend_limit_reached", "The spend limit of your contract was reached."),
            _coded(429, "ramp_limit_exceeded", "Your usage grows too fast.", retry_after="30"),
            _coded(
                402, "linked_organization_spend_limit_reached", "The linked organization cannot pay for this."
            ),
            _coded(
                402, "linked_organization_billing_unavailable", "The linked organization cannot be billed."
            ),
            _coded(400, "organization_on_hold", "This organization is on hold.", everywhere=True),
            _coded(400, "workspace_human_review_disabled", "Batches need a workspace with human review on."),
            _coded(400, "cmek_key_disabled", "The workspace's encryption key is disabled."),
        ]
    ),
}
"""By name; only the first two have the vendor's own message."""
