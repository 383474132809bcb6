"""Why an answer does not fit, in words for the model, and the repair request that sends them to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from nightpress.errors import ResultsError

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
    :param message: names the field by its path and the broken rule; quotes a few characters at most.
    """

    reason: Reason
    message: str


class MisfitError(Exception):
    """A value that does not fit; each level that the error passes adds its name to the path.

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
        """Return the error as a problem."""
        place = ".".join(self.path).replace(".[", "[")
        text = f"{place}: {self.what}" if place else self.what
        return Problem(self.reason, text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…")


def short(value: object) -> str:
    """Return a value of an answer as a short quotation."""
    text = "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(value)[:_MAX_NAME]
    )
    return repr(f"{text}…" if len(str(value)) > _MAX_NAME else text)


_MARK = "Your last answer did not fit the requested JSON schema: "
_TASK = "Answer the request above again, with nothing but one JSON object that fits the schema. Keep what was right."


def repair_message(problem: Problem) -> str:
    """Return the message to the model."""
    return f"{_MARK}{problem.message}\n\n{_TASK}"


def repair_params(params: dict[str, Any], answer: str | None, problem: Problem) -> dict[str, Any]:
    """Return the params of a repair request: the first request, its answer and what was wrong with it.

    :param params: of the first request; not changed.
    :param answer: the answer's text; when it is empty, only the problem is sent.
    :param problem: a repairable one.
    :raises ResultsError: ``params`` is not a request, or it is a repair itself: there is one round only.
    """
    messages = params.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ResultsError(
            "a request without messages cannot be repaired; read the articles of the run again"
        )
    if is_repair(params):
        raise ResultsError("a repair is not repaired again: its answer stays invalid_output")
    turns: list[dict[str, Any]] = [{"role": "user", "content": repair_message(problem)}]
    if answer and answer.strip():
        turns.insert(0, {"role": "assistant", "content": answer})
    return {**params, "messages": [*messages, *turns]}


def is_repair(params: dict[str, Any]) -> bool:
    """Return whether a request is a repair."""
    messages = params.get("messages") or [{}]
    content = messages[-1].get("content")
    return len(messages) > 1 and isinstance(content, str) and content.startswith(_MARK)
