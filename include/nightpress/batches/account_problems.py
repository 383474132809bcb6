"""How problems of the account (key, credit, permission, limit) show: error types, codes and messages.

Sources: API documentation, "Errors"; the SDK's ``_error_classes.py`` (2.14.0); words of real replies as users
reported them in 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

API_ACCOUNT_TYPES = frozenset({"authentication_error", "billing_error", "permission_error"})
"""Error types of the API."""

ACCOUNT_TYPES = API_ACCOUNT_TYPES | {
    "budget_exceeded",
    "insufficient_credits",
    "insufficient_quota",
    "payment_required",
}
"""Error types of the API and of gateways."""

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

_WHOSE = (
    r"((your|the|this|an?) )?((account|organization|org|workspace|team|project|key|user|api|prepaid|monthly|weekly"
    r"|daily|max|current|available|remaining)('s)? )*"
)
_LIMIT = r"(usage|spend|spending|cost|billing|credit|budget)( hard)? (limit|cap)s?"
_OVER = r"(exhausted|depleted|used up|reached|exceeded|insufficient|empty|too low|not enough)"
_IS = r"((is|are|was|were|has been|have been) )?"

ACCOUNT_WORDS: tuple[tuple[str, str], ...] = (
    # The beginning of the message, and what to do. These replies have no code: HTTP 400 `invalid_request_error`.
    # "Your credit balance is too low": reported by users, last in September 2026; items of a running batch fail with
    # the same words. The other wordings are those of gateways and of vendors that sell credits, or our guess.
    (rf"{_WHOSE}(credit )?balance {_IS}{_OVER}", "add credit to the account"),
    (
        rf"{_WHOSE}(((has|have) )|you have )?insufficient (account |api )?(credits?|funds|balance|quota)",
        "add credit to the account",
    ),
    (
        r"(you(('ve| have) run|('re| are)) )?out of (\w+ )?credits?\b|no credits? (remaining|left|available)",
        "add credit to the account",
    ),
    (rf"{_WHOSE}credits? (limit )?{_IS}{_OVER}", "add credit to the account"),
    (
        rf"{_WHOSE}(payment( method)?|invoice|subscription|(free )?trial) "
        r"(required|failed|declined|is|was|has|could not)\b",
        "fix the payment of the account",
    ),
    (
        r"(please )?(add|buy|purchase) (more )?(credits?|funds|a payment method)"
        rf"|{_WHOSE}(you )?((do not|don't) have|not) enough (\w+ )?credits?\b",
        "add credit to the account",
    ),
    # OpenRouter's words for a request that the remaining credits do not cover.
    (r"this request requires more credits\b", "add credit to the account"),
    (rf"{_WHOSE}(billing (is )?not (enabled|active)|card was declined)", "fix the payment of the account"),
    # Reported by users in 2026, with and without "workspace"; the other wordings are our guess.
    (
        r"(you( have|'ve) (reached|exceeded|hit)|this (request|batch) would (reach|exceed)) "
        rf"(your|the) ((specified|workspace|organization|team|account|monthly|daily|api)('s)? )*{_LIMIT}\b",
        "raise the spend limit that was set for the API, or wait until it is renewed",
    ),
    (
        rf"{_WHOSE}((has )?(reached|exceeded|hit) (its|the) (monthly )?{_LIMIT}\b"
        rf"|{_LIMIT}( (for|of) (your|this|the) \w+)? (has been |was |is )?(reached|exceeded))",
        "raise the spend limit that was set for the API, or wait until it is renewed",
    ),
    (
        r"((invalid|missing|incorrect|unknown) (x-api-key|api[ -]key|bearer token|authentication credentials)\b"
        r"|((your|the|this) )?(api key|oauth token|credential)( is| has| was)? (been )?"
        r"(expired|disabled|revoked|invalid|deleted|not found|only authorized))",
        "check the API key of the connection",
    ),
    (
        r"((your|the|this) )?(account|organization|workspace|access( to the api)?) ((is|was|has been) )?"
        r"((put|placed) )?"
        r"(disabled|suspended|archived|deactivated|deleted|on hold|closed|locked|past due|not active|inactive)\b",
        "ask the vendor's support",
    ),
    (
        r"((your|the|this) )?(account|organization|workspace|api key) (does not have|has no) (access|permission)\b",
        "check what the account may do",
    ),
    (
        r"(message batches|batch processing|human review) (are|is) (disabled|not enabled|not available)",
        "use a workspace that takes batches",
    ),
    (
        r"((your|the|this) )?(workspace's )?(customer-managed )?(encryption|cmek) key\b.{0,60}"
        r"\b(disabled|blocked|unavailable)",
        "enable the customer-managed encryption key of the workspace",
    ),
    # LiteLLM's budgets, HTTP 400 and 429; OpenRouter and others that sell credits.
    (
        rf"(exceededbudget\b|{_WHOSE}((spend|spending|cost) )?budget (has been |was |is )?exceeded|key limit exceeded)",
        "raise the budget that the gateway sets for the key",
    ),
    (r"you( have|'ve)? exceeded your (current )?quota", "add credit to the account, or raise its quota"),
)
"""Known messages. Only the beginning is compared, since an error may quote an article with the same words."""
