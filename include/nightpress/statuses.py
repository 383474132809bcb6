"""Every status that an article's row can have: one table, used by decoding, second rounds, reuse, page and report.

``succeeded`` means that there is a usable answer. The table says for each status what happened, whether it was
billed, whether a second round sends the request again, and what a person can do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Billed = Literal["yes", "no", "usage", "unknown"]
"""``usage``: billed by the answer's usage and the vendor's rules for it; ``unknown``: an amount is null."""

Again = Literal["same", "more_room", "repair", "never"]
"""What a second round sends: the same request, one with more ``max_tokens``, one that names the error, or nothing."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a status means.

    :param label: a few words for tables.
    :param meaning: one sentence for a person who has never seen the word.
    :param billed: whether such an article costs money.
    :param again: what a second round does with it.
    :param kept: the row is kept, not sent again, when the same request is read again for the same day: it was paid
        for, and the same request would give the same result. From other days only ``succeeded`` rows are reused.
    :param advice: what a person can do.
    """

    name: str
    label: str
    meaning: str
    billed: Billed
    again: Again
    kept: bool
    advice: str

    @property
    def answered(self) -> bool:
        """True when there is a usable answer."""
        return self.name == SUCCEEDED


SUCCEEDED = "succeeded"
INVALID_OUTPUT = "invalid_output"
REFUSED = "refused"
TRUNCATED = "truncated"
EMPTY = "empty"
UNFINISHED = "unfinished"
ERRORED = "errored"
EXPIRED = "expired"
CANCELED = "canceled"
MISSING = "missing"

STATUSES: Mapping[str, Status] = {
    status.name: status
    for status in (
        Status(SUCCEEDED, "answered", "The model answered.", "yes", "never", True, "Nothing to do."),
        Status(
            INVALID_OUTPUT,
            "does not fit",
            "The model answered, but the answer does not fit the output schema; its text is kept.",
            "yes",
            "repair",
            True,
            "Read error_message: widen the schema, or say in the prompt what is expected.",
        ),
        Status(
            REFUSED,
            "refused",
            "The model declined to answer.",
            "usage",
            "never",
            True,
            "Look at the article; rephrase the prompt, or leave such articles out.",
        ),
        Status(
            TRUNCATED,
            "cut off",
            "The answer ended at max_tokens or at the model's context window; what there is of it is kept.",
            "yes",
            "more_room",
            True,
            "Raise max_tokens, or ask for a shorter answer; for the context window, lower max_content_chars.",
        ),
        Status(
            EMPTY,
            "empty",
            "The model ended its turn without any text.",
            "yes",
            "never",
            True,
            "Ask for a text in any case, such as “write ‘none’ if there is nothing to say”.",
        ),
        Status(
            UNFINISHED,
            "unfinished",
            "The model stopped to use a tool without any text, or paused before its answer was finished.",
            "yes",
            "never",
            True,
            "Leave the tools out of the request, or let the prompt ask for an answer without them.",
        ),
        Status(
            ERRORED,
            "errored",
            "The API could not process the request; it was not billed.",
            "no",
            "same",
            False,
            "Read error_type and error_message.",
        ),
        Status(
            EXPIRED,
            "expired",
            "The batch ended after 24 hours before the request was processed; it was not billed.",
            "no",
            "same",
            False,
            "Run the day again: only such articles are sent.",
        ),
        Status(
            CANCELED,
            "canceled",
            "The batch was canceled before the request was processed; it was not billed.",
            "no",
            "same",
            False,
            "Run the day again: only such articles are sent.",
        ),
        Status(
            MISSING,
            "missing",
            "The batch's results have no readable line for the request; whether it was billed is not known.",
            "unknown",
            "same",
            False,
            "Run the day again: only such articles are sent.",
        ),
    )
}
"""All statuses by name, in the order in which they are shown."""

UNKNOWN_RESULT = "unknown result "
"""Beginning of the error type of a result of a new type. It is shown as errored, but may have been billed."""

MAX_KINDS = 100
"""Kinds of failures that are counted by name; a gateway may give each request a kind of its own."""

OTHER_KINDS = "other kinds"


def most_frequent(kinds: Counter[str]) -> dict[str, int]:
    """Return counts of failures by kind, the most frequent first; beyond :data:`MAX_KINDS`, all others together."""
    named = dict(kinds.most_common(MAX_KINDS))
    others = kinds.total() - sum(named.values())
    return named | ({OTHER_KINDS: others} if others else {})


MESSAGE_STATUSES = tuple(name for name, status in STATUSES.items() if status.billed in ("yes", "usage"))
"""Statuses of requests that a model answered in any way: they have token counts and may cost money."""
