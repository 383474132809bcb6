"""What to do about each kind of failure (API documentation, "Errors"; what is sent again: `second_round`)."""

from __future__ import annotations

from typing import get_args

from nightpress.outputs.problems import Reason

_AGAIN = "Sent again in the second round by itself."
_ACCOUNT = "collect_failures stops the run once: mend {}, then clear collect_failures."
_MISFIT = (
    "Answers that do not fit the output schema; they are billed. Asked once more in the second round, with what was "
    "wrong."
)
_KINDS: dict[str, str] = dict.fromkeys(get_args(Reason), _MISFIT) | {
    "truncated": "max_tokens ended these in the middle of their JSON; they are billed. Sent again in the second round "
    "with twice as much, up to 4,096.",
    "refusal": "The model refused, so there are no values; it is billed. Not sent again: change the prompt, then run "
    "the day again, which asks and pays for all of it anew.",
    "expired": f"The API did not get to them within 24 hours. {_AGAIN}",
    "canceled": f"The batch was canceled before they ran. {_AGAIN}",
    "missing": f"The results did not name them. {_AGAIN}",
    "api_error": f"The API's own fault. {_AGAIN}",
    "overloaded_error": f"The API was overloaded. {_AGAIN}",
    "rate_limit_error": f"The API's rate limit. {_AGAIN}",
    "timeout_error": f"The API took too long. {_AGAIN}",
    "invalid_request_error": "Not sent again, the same would come back: mend prompt, model or max_tokens, "
    "then run the day again. A changed prompt or model asks, and pays for, the whole day anew.",
    "request_too_large": "Not sent again: lower max_content_chars, then run the day again.",
    "not_found_error": "Not sent again: the model's name is not known to the API. Mend it and run the day again.",
    "authentication_error": _ACCOUNT.format("the key of the connection"),
    "billing_error": _ACCOUNT.format("the account's credit"),
    "permission_error": _ACCOUNT.format("the key's permission"),
}


def advise(kind: str) -> str:
    """Return what happens, or is to be done, about a kind of failure."""
    return _KINDS.get(kind, "Read the examples; the rows are in the day's answers with status and error.")
