"""The request that tells the model what was wrong with its answer, once."""

from __future__ import annotations

from typing import Any

from nightpress.errors import ResultsError
from nightpress.outputs.problems import Problem

_MARK = "Your last answer did not fit the requested JSON schema: "
_TASK = "Answer the request above again, with nothing but one JSON object that fits the schema. Keep what was right."


def repair_message(problem: Problem) -> str:
    """Return what the model is told."""
    return f"{_MARK}{problem.message}\n\n{_TASK}"


def repair_params(params: dict[str, Any], answer: str | None, problem: Problem) -> dict[str, Any]:
    """Return the params of a repair request: the first request, its answer and what was wrong with it.

    :param params: of the first request; not changed.
    :param answer: the answer's text; without one (empty) the model is only told.
    :param problem: a repairable one.
    :raises ResultsError: ``params`` is no request, or it is a repair itself: there is one round only.
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
    """Tell whether a request is a repair."""
    messages = params.get("messages") or [{}]
    content = messages[-1].get("content")
    return len(messages) > 1 and isinstance(content, str) and content.startswith(_MARK)
