"""Reasons to refuse one request when it is processed: its result is then errored.

The vendor checks ``custom_id`` and the presence of fields at create, and everything else in ``params`` only later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offline_api.message_checks import content_refusal, messages_refusal, prompt_refusal
from offline_api.model_catalog import EFFORTS, THINKING_TYPES, Model, find_model
from offline_api.prompt_cache import marks_refusal
from offline_api.schema_checks import schema_refusal
from offline_api.token_counts import iter_blocks

LONG_OUTPUT_BETA = "output-300k-2026-03-24"
LONG_OUTPUT_TOKENS = 300_000
_MIN_BUDGET_TOKENS = 1_024
_NOT_IN_BATCHES = ("speed", "fallbacks")
_PLAIN = frozenset(("model", "max_tokens", "messages", "system"))
"""Parameters whose rules do not depend on the model."""

Refusal = tuple[str, str]
"""Error type and message."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else the checks of a request depend on.

    :param now: when the batch was created, in epoch seconds.
    :param betas: values of the create's ``anthropic-beta`` header.
    """

    now: float
    betas: tuple[str, ...] = ()

    def max_output_tokens(self, model: Model) -> int:
        """Return the highest ``max_tokens`` of a model."""
        longer = LONG_OUTPUT_BETA in self.betas and model.context_tokens > LONG_OUTPUT_TOKENS
        return LONG_OUTPUT_TOKENS if longer else model.max_output_tokens


def refusal(params: dict[str, Any], around: Circumstances, size_bytes: int = 0) -> Refusal | None:
    """Return error type and message if a request is refused when it is processed, else None.

    :param size_bytes: size of the request's JSON; tokens are counted only if it is large.
    """
    model = find_model(params["model"], around.now)
    if model is None:
        return "not_found_error", f"model: {params['model']}"[:200]
    found = (
        _limits_refusal(params, model, around)
        or prompt_refusal(params)
        or messages_refusal(params["messages"], model)
    )
    if found is None and not params.keys() <= _PLAIN:
        found = _options_refusal(params, model)
    if found is None:
        found = content_refusal(params, model, size_bytes)
    return None if found is None else ("invalid_request_error", found)


def count_refusal(params: dict[str, Any], now: float) -> Refusal | None:
    """Return why the tokens of a request are not counted, or None."""
    model = find_model(params["model"], now)
    if model is None:
        return "not_found_error", f"model: {params['model']}"[:200]
    found = (
        prompt_refusal(params)
        or messages_refusal(params["messages"], model)
        or _thinking_refusal(params, model)
    )
    return None if found is None else ("invalid_request_error", found)


def _limits_refusal(params: dict[str, Any], model: Model, around: Circumstances) -> str | None:
    max_tokens = params["max_tokens"]
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int):
        return "max_tokens: Input should be a valid integer"
    if max_tokens < 1:
        return "max_tokens: must be greater than or equal to 1 in a batch"
    if max_tokens > (longest := around.max_output_tokens(model)):
        return (
            f"max_tokens: {max_tokens} > {longest}, which is the maximum allowed number of output tokens "
            f"for {model.id}"
        )
    return None


def _options_refusal(params: dict[str, Any], model: Model) -> str | None:
    if params.get("stream"):
        return "stream: streaming is not supported in a batch"
    for name in _NOT_IN_BATCHES:
        if params.get(name) is not None:
            return f"{name}: Extra inputs are not permitted"
    for check in _CHECKS:
        if (found := check(params, model)) is not None:
            return found
    return None


def _thinking(params: dict[str, Any], model: Model) -> str | None:
    """Return the ``thinking.type`` that a request asks for or gets."""
    asked = params.get("thinking")
    if isinstance(asked, dict):
        return str(asked.get("type"))
    return None if model.thinking == "off" else "adaptive"


def _thinking_refusal(params: dict[str, Any], model: Model) -> str | None:
    asked = params.get("thinking")
    if asked is None:
        return None
    kind = asked.get("type") if isinstance(asked, dict) else None
    if kind not in THINKING_TYPES:
        return f"thinking.type: Input should be one of {', '.join(map(repr, THINKING_TYPES))}"
    if kind in model.refused_thinking:
        allowed = [name for name in THINKING_TYPES if name not in model.refused_thinking]
        return (
            f'"thinking.type.{kind}" is not supported for this model. '
            f"Use {' or '.join(f'thinking.type.{name}' for name in allowed)} instead."
        )
    known = {"type", "display"} | ({"budget_tokens"} if kind == "enabled" else set())
    if kind in ("disabled", "between_tools"):
        known = {"type"}
    if extra := sorted(set(asked) - known):
        return f"thinking.{kind}.{extra[0]}: Extra inputs are not permitted"
    if asked.get("display") not in (None, "summarized", "omitted"):
        return "thinking.display: Input should be 'summarized' or 'omitted'"
    if kind == "enabled":
        return _budget_refusal(asked.get("budget_tokens"), params.get("max_tokens"))
    return None


def _budget_refusal(budget: object, max_tokens: int | None) -> str | None:
    if isinstance(budget, bool) or not isinstance(budget, int):
        return "thinking.enabled.budget_tokens: Field required"
    if budget < _MIN_BUDGET_TOKENS:
        return (
            f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_MIN_BUDGET_TOKENS}"
        )
    if max_tokens is not None and budget >= max_tokens:
        return "`max_tokens` must be greater than `thinking.budget_tokens`"
    return None


def _effort_refusal(params: dict[str, Any], model: Model) -> str | None:
    config = params.get("output_config")
    if config is None:
        return None
    if not isinstance(config, dict):
        return "output_config: Input should be a valid dictionary"
    effort = config.get("effort")
    if effort is None:
        return None
    if not model.efforts:
        return "This model does not support the effort parameter."
    if effort not in EFFORTS:
        return f"output_config.effort: Input should be one of {', '.join(map(repr, EFFORTS))}"
    if effort not in model.efforts:
        return f"output_config.effort: '{effort}' is not supported for this model; use {', '.join(model.efforts)}"
    limit = model.max_effort_without_thinking
    off = _thinking(params, model) in ("disabled", "between_tools")
    if off and limit is not None and model.effort_rank(effort) > model.effort_rank(limit):
        return f"output_config.effort: '{effort}' needs thinking; with thinking turned off, use at most '{limit}'"
    return None


def _sampling_refusal(params: dict[str, Any], model: Model) -> str | None:
    temperature, top_p, top_k = (params.get(name) for name in ("temperature", "top_p", "top_k"))
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            return f"{name}: Input should be a valid number"
        if value is not None and not 0 <= value <= 1:
            return f"{name}: Input should be from 0 to 1"
    if not model.sampling:
        for name, usual in (("temperature", 1), ("top_p", 1), ("top_k", None)):
            if params.get(name) not in (None, usual):
                return f"{name}: only the default value is supported for this model"
        return None
    if temperature is not None and top_p is not None:
        return "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    if _thinking(params, model) in ("enabled", "adaptive") and (
        temperature not in (None, 1) or top_k is not None
    ):
        return "`temperature` may only be set to 1 and `top_k` may not be set when thinking is enabled."
    return None


def _tools_refusal(params: dict[str, Any], model: Model) -> str | None:
    choice = params.get("tool_choice")
    forced = isinstance(choice, dict) and choice.get("type") in ("any", "tool")
    if forced and not model.forced_tools:
        return "tool_choice: this model does not support forced tool use; use 'auto' or 'none'"
    if forced and isinstance(params.get("thinking"), dict) and params["thinking"].get("type") == "enabled":
        return "Thinking may not be enabled when tool_choice forces tool use."
    if forced and not params.get("tools"):
        return "tool_choice: may only be specified while providing tools."
    tools = params.get("tools")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if not isinstance(tool, dict) or "input_schema" not in tool:
            continue
        schema = tool["input_schema"]
        if not isinstance(schema, dict) or schema.get("type") != "object":
            return f"tools.{index}.custom.input_schema.type: Input should be 'object'"
    return None


def _format_refusal(params: dict[str, Any], model: Model) -> str | None:  # noqa: ARG001
    if refused := marks_refusal(params):
        return refused
    config = params.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return "output_config.format.type: Input should be 'json_schema'"
    if any(_has_citations(block) for block in iter_blocks(params)):
        return "output_config.format: citations cannot be used together with structured outputs"
    refused = schema_refusal(wanted.get("schema"))
    return f"output_config.format.schema: {refused}" if refused else None


def _has_citations(block: dict[str, Any]) -> bool:
    citations = block.get("citations")
    return block.get("type") != "text" and isinstance(citations, dict) and citations.get("enabled") is True


def _geography_refusal(params: dict[str, Any], model: Model) -> str | None:
    place = params.get("inference_geo")
    if place is None:
        return None
    if not model.geography:
        return "inference_geo: not supported for this model"
    return None if place in ("us", "global") else "inference_geo: Input should be 'us' or 'global'"


def _other_refusal(params: dict[str, Any], model: Model) -> str | None:  # noqa: ARG001
    stops = params.get("stop_sequences")
    if stops is not None and not (isinstance(stops, list) and all(isinstance(stop, str) for stop in stops)):
        return "stop_sequences: Input should be a valid list of strings"
    if stops and not all(stop.strip() for stop in stops):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    tier = params.get("service_tier")
    if tier not in (None, "auto", "standard_only"):
        return "service_tier: Input should be 'auto' or 'standard_only'"
    if extra := sorted(params.keys() - _KNOWN):
        return f"{extra[0][:100]}: Extra inputs are not permitted"
    return None


_KNOWN = _PLAIN | {
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "mcp_servers",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
    "fallbacks",
    "task_budget",
}
_CHECKS: tuple[Callable[[dict[str, Any], Model], str | None], ...] = (
    _thinking_refusal,
    _effort_refusal,
    _sampling_refusal,
    _tools_refusal,
    _format_refusal,
    _geography_refusal,
    _other_refusal,
)
