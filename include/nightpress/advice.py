"""What to do about each kind of failure, for the Batches page, the report and the comparison.

A failed row is counted under its kind: the API's error type when there is one, else the row's status. Statuses are
described in :mod:`nightpress.statuses`; this module adds the API's error types (API documentation, "Errors") and the
sentences that are shown for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from nightpress.batches.account_problems import API_ACCOUNT_TYPES
from nightpress.batches.refusals import find_account_remedy
from nightpress.outputs.problems import Reason
from nightpress.plain_text import shorten
from nightpress.statuses import ERRORED, INVALID_OUTPUT, REFUSED, STATUSES, UNKNOWN_RESULT, Again, Billed

ALL_ANEW = (
    "A changed prompt, model or max_tokens asks and pays for all articles again; the plan says so first."
)
RUN_AGAIN = "Run the day again: only articles without an answer are sent and paid for."
REJECTED = (
    "These rows were not sent and cost nothing. Correct them in the source at the file and position named, then run "
    "the day again."
)
CUT_OFF = f"These answers end in mid-sentence: raise max_tokens. {ALL_ANEW}"

_MAX_KIND_CHARS = 100
"""As in the ledger; a gateway may put anything into an error type."""

_ACCOUNT = (
    "Correct it for the connection that the pipeline uses, then run the day again; only these are paid for."
)
_BILLED: dict[Billed, str] = {
    "yes": "billed",
    "no": "not billed",
    "usage": "billed by category",
    "unknown": "not known whether billed",
}
_AGAIN: dict[Again, str] = {
    "same": "Sent once more by the run itself.",
    "more_room": "Sent once more by the run itself, with more max_tokens.",
    "repair": "Asked once more by the run itself, with what was wrong.",
    "never": "Not sent again.",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """What a kind of failure means.

    :param billed: whether such requests are billed, in words.
    :param again: what the run does about it by itself, as a sentence.
    :param remedy: what a person can do about the requests that are still without an answer.
    """

    meaning: str
    billed: str
    again: str
    remedy: str

    @property
    def during_run(self) -> str:
        """The text to show while the run may still send such requests again."""
        return " ".join(part for part in (self.meaning, self.again, self.remedy) if part)

    @property
    def after_run(self) -> str:
        """The text to show for failures that are left in a published day."""
        return f"{self.meaning} {self.remedy}"


def _error(meaning: str, remedy: str, again: Again = "same") -> Advice:
    return Advice(meaning, _BILLED["no"], _AGAIN[again], remedy)


_ERROR_TYPES = {
    "invalid_request_error": _error(
        "The API refuses these requests as they are; its message names the field.",
        "Correct the article, then run the day again: only these are paid for. If it is the setting: "
        f"{ALL_ANEW}",
        "never",
    ),
    "request_too_large": _error(
        "The article is too long for one request.",
        "Lower max_content_chars, then run the day again.",
        "never",
    ),
    "not_found_error": _error(
        "The API does not know the model's name, or the account may not use it.",
        "Correct it, then run the day again: only these are paid for.",
        "never",
    ),
    "authentication_error": _error("The API key was refused.", _ACCOUNT),
    "billing_error": _error("The account has no credit.", f"Add credit. {_ACCOUNT}"),
    "permission_error": _error("The key lacks a permission.", _ACCOUNT),
    "rate_limit_error": _error("The account's rate limit was reached.", RUN_AGAIN),
    "overloaded_error": _error("The API was overloaded.", RUN_AGAIN),
    "timeout_error": _error("The API took too long.", RUN_AGAIN),
    "api_error": _error("The API failed on its side.", RUN_AGAIN),
}


def _of_status(name: str) -> Advice:
    status = STATUSES[name]
    remedy = f"{status.advice} {ALL_ANEW}" if status.kept else status.advice
    return Advice(status.meaning, _BILLED[status.billed], _AGAIN[status.again], remedy)


_ADVICE: dict[str, Advice] = {
    **dict.fromkeys(get_args(Reason), _of_status(INVALID_OUTPUT)),
    **{name: _of_status(name) for name, status in STATUSES.items() if not status.answered},
    "refusal": _of_status(REFUSED),
    **_ERROR_TYPES,
}
_UNKNOWN = Advice(
    "An error that is not known here; read the API's message.",
    _BILLED[STATUSES[ERRORED].billed],
    _AGAIN["same"],
    RUN_AGAIN,
)


_OF_NEW_TYPE = Advice(
    "A result of a type that is not known here.",
    _BILLED["unknown"],
    _AGAIN["never"],
    f"Look at the vendor's bill before the day is run again. {RUN_AGAIN}",
)


def advise(kind: str, status: str = "", messages: Sequence[str] = ()) -> Advice:
    """Return what a kind of failure means.

    :param kind: an error type of the API, the code of an account problem, a status, or a rule of the output schema.
    :param status: the row's status, if known; used when the kind is not in the list.
    :param messages: the API's messages for some requests of the kind: they tell an account problem that comes as an
        ``invalid_request_error``.
    """
    remedies = [find_account_remedy(kind, message) for message in messages or ("",)]
    if kind not in API_ACCOUNT_TYPES and all(remedies):
        return _error(
            "The API rejects requests because of an account problem.", f"To do: {remedies[0]}. {_ACCOUNT}"
        )
    if kind in _ADVICE:
        return _ADVICE[kind]
    if kind.startswith(UNKNOWN_RESULT):
        return _OF_NEW_TYPE
    return _of_status(status) if status in STATUSES and status != ERRORED else _UNKNOWN


def label(kind: str) -> str:
    """Return the name to show for a kind: the label of a status, or the API's error type unchanged."""
    return STATUSES[kind].label if kind in STATUSES else shorten(kind, _MAX_KIND_CHARS)
