"""Why an answer does not fit, in words that can go back to the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

MAX_MESSAGE = 400
_MAX_NAME = 40

Reason: TypeAlias = Literal[
    "empty",
    "not_json",
    "not_an_object",
    "duplicate_key",
    "missing_field",
    "extra_field",
    "wrong_type",
    "unknown_value",
    "out_of_range",
    "bad_date",
    "bad_text",
    "bad_list",
    "model_check",
]
"""``bad_text``, ``bad_list``: a length, pattern or item rule; ``model_check``: a validator of the model."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an answer does not fit its schema.

    :param reason: for counting.
    :param message: names the field by its path and the rule it broke; quotes at most a few characters.
    """

    reason: Reason
    message: str


class MisfitError(Exception):
    """A value that does not fit; its path grows on the way up.

    :param what: the rule that was broken, without the path.
    """

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason, self.what = reason, what
        self.path: list[str] = []

    def below(self, step: str) -> MisfitError:
        """Return this error as seen from one level up."""
        self.path.insert(0, step)
        return self

    def problem(self) -> Problem:
        """Return it as a finding."""
        place = ".".join(self.path).replace(".[", "[")
        text = f"{place}: {self.what}" if place else self.what
        return Problem(self.reason, text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…")


def short(value: object) -> str:
    """Return a value of an answer so short that it can be quoted."""
    text = "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(value)[:_MAX_NAME]
    )
    return repr(f"{text}…" if len(str(value)) > _MAX_NAME else text)
