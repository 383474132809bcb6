"""What a request says about thinking and effort, and how many tokens thinking may take.

Thinking counts against ``max_tokens`` and is billed as output (vendor's thinking page, October 2026), so thinking can
reach that limit before the answer begins. Here ``max_tokens`` therefore always means the tokens of the answer; where
the model may think, room for thinking is added to the ``max_tokens`` of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from nightpress.errors import ConfigurationError
from nightpress.models.catalogue import EFFORTS, Model

ThinkingSetting: TypeAlias = "str | Mapping[str, object]"
"""``"off"``, ``"auto"``, or a ``thinking`` object as in the Messages API."""

MIN_BUDGET_TOKENS = 1_024
"""Smallest ``budget_tokens`` of extended thinking (SDK 2.14.0, types/thinking_config_enabled_param.py)."""

ROOM_TOKENS = {"low": 1_024, "medium": 4_096, "high": 8_192, "xhigh": 16_384, "max": 32_768}
"""Tokens added for thinking, by effort. The vendor publishes no limit; these values are ours. They also limit the
thinking, because the ``max_tokens`` of the request ends it."""

REFUSED_PARAMETER = "refused_parameter"
"""Code of the error for a parameter that the API would refuse."""

_FIELDS = {
    "adaptive": {"display"},
    "between_tools": set(),
    "disabled": set(),
    "enabled": {"budget_tokens", "display"},
}


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a request says about thinking.

    :param parameter: the request's ``thinking``; None leaves it out.
    :param effort: the request's ``output_config.effort``; None leaves it out.
    :param room_tokens: added to the answer's ``max_tokens``; 0 when the model does not think.
    :param note: what a person should know about it; empty when there is nothing.
    """

    parameter: Mapping[str, object] | None = None
    effort: str | None = None
    room_tokens: int = 0
    note: str = ""


def resolve_thinking(
    model: Model,
    thinking: ThinkingSetting = "off",
    effort: str | None = None,
    *,
    tools: bool = False,
    thinking_room: int | None = None,
) -> Thinking:
    """Return what to send so that a model thinks as asked.

    :param thinking: ``"off"`` asks for the least that the model allows; ``"auto"`` lets the model decide, as far as
        it can; an object is sent as it is.
    :param effort: effort level, or None for the model's own (the lowest where thinking cannot be switched off).
    :param tools: the request has tools; a model may think between their calls.
    :param thinking_room: tokens added where the model may think; None takes :data:`ROOM_TOKENS`.
    :raises ConfigurationError: the API would answer 400; names model, parameter and what is allowed.
    """
    resolved = _resolve(model, thinking, effort, tools)
    if thinking_room is None:
        return resolved
    _check_room(thinking_room, resolved)
    return replace(resolved, room_tokens=thinking_room) if resolved.room_tokens else resolved


def _resolve(model: Model, thinking: ThinkingSetting, effort: str | None, tools: bool) -> Thinking:
    _check_effort(model, effort)
    if isinstance(thinking, Mapping):
        return _as_given(model, thinking, effort)
    if thinking == "auto":
        return _auto(model, effort)
    if thinking != "off":
        raise ConfigurationError(
            f'thinking is {thinking!r:.80}; use "off", "auto" or an object such as {{"type": "adaptive"}}',
            code=REFUSED_PARAMETER,
        )
    return _off(model, effort, tools)


def _off(model: Model, effort: str | None, tools: bool) -> Thinking:
    if not model.known:
        return Thinking(None, effort, room(model, effort), _UNKNOWN.format(model=model.id))
    if model.thinking_default == "off":
        return Thinking(None, effort)
    if model.thinking_default == "always":
        least = effort or "low"
        note = f"{model.id} always thinks: room for it is added to max_tokens, and effort is {least}."
        return Thinking(None, least, room(model, least), note)
    highest = model.off_max_effort
    if effort and highest and EFFORTS.index(effort) > EFFORTS.index(highest):
        raise ConfigurationError(
            f"{model.id} accepts effort {effort!r} only with thinking; without it, effort may be up to {highest!r}. "
            f'Lower effort, or set thinking="auto"',
            code=REFUSED_PARAMETER,
        )
    # Between tools, notes on progress come as thinking blocks (SDK 2.14.0, types/thinking_types.py).
    added = room(model, "low") if tools and model.thinking_off == "between_tools" else 0
    return Thinking({"type": model.thinking_off}, effort, added)


_UNKNOWN = "{model} is not in the catalogue of models: it may think, so room for it is added to max_tokens."


def _auto(model: Model, effort: str | None) -> Thinking:
    if not model.known:
        return Thinking(None, effort, room(model, effort), _UNKNOWN.format(model=model.id))
    if model.thinking_default != "off":
        return Thinking(None, effort, room(model, effort))
    if "adaptive" in model.thinking_types:
        return Thinking({"type": "adaptive"}, effort, room(model, effort))
    note = f"{model.id} cannot decide by itself when to think, so it does not think."
    return Thinking(None, effort, 0, note)


def _as_given(model: Model, thinking: Mapping[str, object], effort: str | None) -> Thinking:
    kind = thinking.get("type")
    allowed = sorted(model.thinking_types)
    if not isinstance(kind, str) or kind not in model.thinking_types:
        raise ConfigurationError(
            f"{model.id} does not accept thinking of type {kind!r:.60}; allowed: {', '.join(allowed)}",
            code=REFUSED_PARAMETER,
        )
    unknown = sorted(set(map(str, thinking)) - {"type"} - _FIELDS.get(kind, set()))
    if unknown:
        raise ConfigurationError(
            f"thinking of type {kind!r} does not accept {unknown[0]!r:.60}; allowed besides type: "
            f"{', '.join(sorted(_FIELDS.get(kind, set()))) or 'nothing'}",
            code=REFUSED_PARAMETER,
        )
    if kind == "enabled":
        return Thinking(dict(thinking), effort, _budget(thinking))
    if kind in {"disabled", "between_tools"} and model.known:
        if model.off_max_effort and effort:
            _off(model, effort, False)
        added = room(model, "low") if kind == "between_tools" else 0
        return Thinking(dict(thinking), effort, added)
    return Thinking(dict(thinking), effort, room(model, effort))


def _budget(thinking: Mapping[str, object]) -> int:
    budget = thinking.get("budget_tokens")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < MIN_BUDGET_TOKENS:
        raise ConfigurationError(
            f"thinking's budget_tokens is {budget!r:.60}; it must be {MIN_BUDGET_TOKENS:,} or more",
            code=REFUSED_PARAMETER,
        )
    return budget


def _check_room(thinking_room: object, resolved: Thinking) -> None:
    if isinstance(thinking_room, bool) or not isinstance(thinking_room, int) or thinking_room < 1:
        raise ConfigurationError(
            f"thinking_room is {thinking_room!r:.60}; it must be 1 token or more. To ask for no thinking, use "
            'thinking="off"',
            code=REFUSED_PARAMETER,
        )
    if resolved.parameter is not None and resolved.parameter.get("type") == "enabled":
        raise ConfigurationError(
            f"thinking_room is {thinking_room:,}, but thinking has budget_tokens {resolved.room_tokens:,}, which is "
            "the room; leave thinking_room out",
            code=REFUSED_PARAMETER,
        )


def _check_effort(model: Model, effort: str | None) -> None:
    if effort is None or (effort in EFFORTS and not model.known) or effort in model.efforts:
        return
    allowed = f"allowed: {', '.join(model.efforts)}" if model.efforts else "the model has no effort levels"
    raise ConfigurationError(
        f"{model.id} does not accept effort {effort!r:.60}; {allowed}", code=REFUSED_PARAMETER
    )


def room(model: Model, effort: str | None) -> int:
    """Return the tokens that are added for thinking at an effort; None takes the model's own effort."""
    return ROOM_TOKENS[effort or model.default_effort or "high"]
