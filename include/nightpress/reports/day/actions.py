"""What a reader can do about each kind of failure that is left in a published day.

Kinds and meanings: Claude API documentation, "Errors", and Message Batches, "Results".
"""

from __future__ import annotations

_AGAIN = "Run the day again: only articles without an answer are sent and paid for."
_ALL_ANEW = (
    "A changed prompt, model or max_tokens asks and pays for all articles anew; the plan says so first."
)
_ACCOUNT = "Mend it on the connection anthropic_default, then run the day again; only these are paid for."

_ADVICE = {
    "invalid_request_error": "The API refuses these requests as they are, and sending them again gives the same. "
    "The message names the field. Mend the article, then run the day again: only these are paid for. If it is the "
    f"setting: {_ALL_ANEW}",
    "request_too_large": "The article is too long for one request: lower max_content_chars, then run the day again.",
    "not_found_error": "The API does not know the model's name: mend it, then run the day again.",
    "authentication_error": f"The API key was refused. {_ACCOUNT}",
    "billing_error": f"The account has no credit. {_ACCOUNT}",
    "permission_error": f"The key may not do this. {_ACCOUNT}",
    "rate_limit_error": f"The account's limit was reached, twice. {_AGAIN}",
    "overloaded_error": f"The API was overloaded, twice. {_AGAIN}",
    "timeout_error": f"The API took too long, twice. {_AGAIN}",
    "api_error": f"The API failed on its side, twice. {_AGAIN}",
    "expired": f"The batch ran out of its 24 hours before these came up; they were not billed. {_AGAIN}",
    "canceled": f"The batch was canceled before these came up; they were not billed. {_AGAIN}",
    "missing": f"The API's results did not hold these. {_AGAIN}",
    "invalid_output": "The answer does not fit the output schema, even after a repair. It was billed. "
    f"Loosen the schema, or say in the prompt what is wanted. {_ALL_ANEW}",
    "errored": f"The API gave an error of no kind. {_AGAIN}",
}

_RULES = (
    *("empty", "truncated", "not_json", "not_an_object", "duplicate_key", "missing_field", "extra_field"),
    *("wrong_type", "unknown_value", "out_of_range", "bad_date", "bad_text", "bad_list", "model_check"),
)
_ADVICE |= dict.fromkeys(_RULES, _ADVICE["invalid_output"])
_ADVICE["truncated"] = (
    f"max_tokens ended the answer in the middle of its JSON. It was billed. Raise max_tokens. {_ALL_ANEW}"
)
_ADVICE["refusal"] = f"The model refused, so the columns are empty. It was billed. {_ALL_ANEW}"

REJECTED = (
    "These rows were not sent and cost nothing. Mend them in the source at the file and position named, then run "
    "the day again."
)
CUT = f"They end in mid-sentence: raise max_tokens. {_ALL_ANEW}"
REFUSED = f"Read them; if they should be answered, change the prompt. {_ALL_ANEW}"


def advise(kind: str) -> str:
    """Return what to do about articles that ended this way."""
    return _ADVICE.get(kind, f"A kind not known here: read the API's message in the table. {_AGAIN}")
