"""Further parameters of a Messages request, and beta headers: what a batch takes and what it refuses.

The API checks the params of each request only after the batch was created: a refused parameter makes every item
``errored``, hours later. So it is refused here, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NoReturn

from nightpress.errors import ConfigurationError
from nightpress.models.catalogue import Model
from nightpress.models.thinking import REFUSED_PARAMETER

LONG_OUTPUT_BETA = "output-300k"
LONG_OUTPUT_TOKENS = 300_000
"""Tokens of an answer that the beta ``output-300k-2026-03-24`` allows in a batch (vendor's Haiku 5.5 page)."""

OWN_PARAMETERS = {
    "model": "use model=",
    "messages": "use prompt=: the articles are the messages",
    "max_tokens": "use max_tokens=",
    "system": "use system=",
    "thinking": "use thinking=",
    "output_config": "use output= for the format and effort= for the effort",
}
"""Parameters that Nightpress sets itself, and what sets them."""

NOT_IN_BATCHES = {
    "stream": "a batch does not stream",
    "speed": "a batch has no fast mode",
    "fallbacks": "a batch answers such a request with an error",
    "workspace_id": "the workspace belongs to the connection",
}
"""Parameters that a batch does not take, and why (vendor's batch page, September 2026)."""

KNOWN_PARAMETERS = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "inference_geo",
        "mcp_servers",
        "metadata",
        "service_tier",
        "stop_sequences",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
    }
)
"""Parameters that are passed on (SDK 2.14.0, types/message_create_params.py, and its betas)."""

GEOGRAPHIES = ("global", "us")
"""Values of ``inference_geo`` (vendor's data residency page)."""

_BETA = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


def check_parameters(
    model: Model,
    request: Mapping[str, object],
    betas: Sequence[str] = (),
    *,
    thinks: bool = False,
    adapts: bool = False,
) -> None:
    """Refuse additional parameters that the API would answer with 400.

    :param request: the parameters by name.
    :param betas: the beta headers that go with them.
    :param thinks: extended thinking with a budget is asked for.
    :param adapts: adaptive thinking is asked for, which also allows only default sampling.
    :raises ConfigurationError: naming model, parameter and what is allowed.
    """
    for name in request:
        _check_name(name, betas)
    _check_sampling(model, request, thinks or adapts)
    _check_tool_choice(model, request, thinks)
    geography = request.get("inference_geo")
    if geography is not None and (not model.geography or geography not in GEOGRAPHIES):
        allowed = f"allowed: {', '.join(GEOGRAPHIES)}" if model.geography else "only models from 4.6 on do"
        _refuse(f"{model.id} does not accept inference_geo {geography!r:.60}; {allowed}")
    stops = request.get("stop_sequences")
    if stops is not None and not (
        isinstance(stops, list | tuple) and all(isinstance(stop, str) and stop.strip() for stop in stops)
    ):
        _refuse("stop_sequences must be a list of texts that are not blank")


def check_betas(betas: Sequence[str], model: Model) -> tuple[str, ...]:
    """Return beta headers, each once.

    :raises ConfigurationError: one is not a name of a beta, or does not fit the model.
    """
    if isinstance(betas, str) or not all(isinstance(beta, str) and _BETA.fullmatch(beta) for beta in betas):
        _refuse(f"betas is {betas!r:.120}; use a list of names such as output-300k-2026-03-24")
    if any(beta.startswith(LONG_OUTPUT_BETA) for beta in betas) and not model.takes_long_output:
        _refuse(
            f"{model.id} does not take the beta {LONG_OUTPUT_BETA}: only models with a window of 1M tokens do"
        )
    return tuple(dict.fromkeys(betas))


def max_output_tokens(model: Model, betas: Sequence[str] = ()) -> int:
    """Return the highest ``max_tokens`` that the model accepts."""
    if model.takes_long_output and any(beta.startswith(LONG_OUTPUT_BETA) for beta in betas):
        return LONG_OUTPUT_TOKENS
    return model.max_output_tokens


def _check_name(name: object, betas: Sequence[str]) -> None:
    if not isinstance(name, str):
        _refuse(f"a parameter of request is {name!r:.60}; its name must be text")
    if name in OWN_PARAMETERS:
        _refuse(f"request must not set {name}: {OWN_PARAMETERS[name]}")
    if name in NOT_IN_BATCHES:
        _refuse(f"request must not set {name}: {NOT_IN_BATCHES[name]}")
    if name not in KNOWN_PARAMETERS and not betas:
        close = get_close_matches(name, KNOWN_PARAMETERS, 1)
        meant = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(KNOWN_PARAMETERS))}."
        _refuse(f"the Messages API has no parameter {name!r:.60}; {meant} A parameter of a beta needs betas=")


def _check_sampling(model: Model, request: Mapping[str, object], thinks: bool) -> None:
    given = {
        name: request[name] for name in ("temperature", "top_p", "top_k") if request.get(name) is not None
    }
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse(f"{name} is {value!r:.60}; it must be a number")
        elif name != "top_k" and not 0 <= value <= 1:
            _refuse(f"{name} is {value!r:.60}; it must be 0 to 1")
    changed = {name: value for name, value in given.items() if name == "top_k" or value != 1}
    if changed and not model.sampling:
        names = ", ".join(changed)
        _refuse(
            f"{model.id} does not accept {names}: models from 4.7 on take default values only. Leave it out"
        )
    if changed and thinks:
        _refuse(f"{', '.join(changed)} cannot go with thinking. Leave it out")
    if model.known and "temperature" in given and "top_p" in given:
        _refuse(f"{model.id} takes temperature or top_p, not both")


def _check_tool_choice(model: Model, request: Mapping[str, object], thinks: bool) -> None:
    choice = request.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind not in {"auto", "any", "tool", "none"}:
        _refuse(f'tool_choice is {choice!r:.80}; use an object such as {{"type": "auto"}}')
    if not request.get("tools"):
        _refuse("tool_choice needs tools")
    if kind in {"any", "tool"} and not model.forced_tools:
        _refuse(f"{model.id} does not accept tool_choice of type {kind!r}; allowed: auto, none")
    if kind in {"any", "tool"} and thinks:
        _refuse(f"tool_choice of type {kind!r} cannot go with thinking; use auto, or leave thinking off")


def _refuse(message: str) -> NoReturn:
    raise ConfigurationError(message, code=REFUSED_PARAMETER)
