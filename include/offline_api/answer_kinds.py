"""Answers other than a plain one, for fault rules: refusals, cut-offs, tool use, empty content and the like."""

from __future__ import annotations

from dataclasses import dataclass

from offline_api.misfits import MISFITS

REFUSAL_CATEGORIES = ("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")
ANSWERS = (
    "refusal",
    "refusal_after_output",
    "context_window",
    "pause_turn",
    "tool_use",
    "empty",
    "thinking_only",
    "redacted_thinking",
    "web_search",
    "other_capitals",
)
"""Values of ``answer`` for a rule of kind ``answers``.

``refusal`` comes before any output, ``refusal_after_output`` after some text; both name a category. ``context_window``
is cut off with ``model_context_window_exceeded``. ``pause_turn`` and ``tool_use`` have no text; ``empty`` has no
content at all. ``thinking_only`` spent all of ``max_tokens`` on thinking. ``web_search`` used the search tool.
``other_capitals`` is a structured answer whose enum values differ in capitals from the schema, as happens.
"""


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """What kind of answer a succeeded request gets.

    :param misfit: how the answer fails to fit its schema (``misfits.py``).
    :param special: one of ``ANSWERS``.
    :param category: of a refusal.
    """

    misfit: str | None = None
    special: str | None = None
    category: str | None = None


PLAIN = AnswerKind()
_CATEGORIES = (None, *REFUSAL_CATEGORIES)
KINDS: tuple[AnswerKind, ...] = (
    *(AnswerKind(misfit=misfit) for misfit in MISFITS),
    *(AnswerKind(special=special, category=category) for special in ANSWERS[:2] for category in _CATEGORIES),
    *(AnswerKind(special=special) for special in ANSWERS[2:]),
)
"""Every kind but the plain one; stored batches refer to them by index, so new ones go to the end."""


def special_kind(special: str, category: str | None) -> AnswerKind:
    """Return the kind of one of ``ANSWERS``; only refusals have a category."""
    return AnswerKind(special=special, category=category if special.startswith("refusal") else None)
