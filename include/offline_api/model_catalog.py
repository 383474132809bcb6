"""The models that this API knows, with what each accepts and costs.

Sources: the vendor's pages of pricing, models, thinking and effort, October 2026. Prices are list prices in cents
per million tokens; a batch halves them. Times are UTC days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from offline_api.clock import rfc3339

Line = Literal["haiku", "sonnet", "opus", "fable"]
ThinkingDefault = Literal["off", "on", "always"]

EFFORTS = ("low", "medium", "high", "xhigh", "max")
THINKING_TYPES = ("enabled", "disabled", "adaptive", "between_tools")
_NO_XHIGH = ("low", "medium", "high", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class LongPromptPrice:
    """Another price for every token of a request whose prompt is long.

    :param above_tokens: the longest prompt at the usual price, tokens from the cache included.
    """

    above_tokens: int
    input_cents: int
    output_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model.

    :param input_cents: list price of a million input tokens.
    :param thinking: what happens when a request does not mention it.
    :param refused_thinking: values of ``thinking.type`` that are answered with 400.
    :param max_effort_without_thinking: the highest effort that may be asked for with thinking turned off.
    :param efforts: allowed values of ``output_config.effort``; empty when the parameter is refused.
    :param new_tokenizer: about 30 % more tokens for the same text.
    :param min_cached_tokens: the shortest prefix that is cached.
    :param cache_read_permille: price of a token read from the cache, in thousandths of an input token's.
    :param forced_tools: ``tool_choice`` may be ``any`` or ``tool``.
    :param sampling: ``temperature``, ``top_p`` and ``top_k`` may differ from their defaults.
    :param prefill: the last message may be the assistant's.
    :param geography: ``inference_geo`` is accepted, and inference in the US costs a tenth more.
    :param retires: the day from which requests fail; None when none was announced.
    """

    id: str
    line: Line
    display_name: str
    released: str
    input_cents: int
    output_cents: int
    long_prompt: LongPromptPrice | None = None
    thinking: ThinkingDefault = "off"
    refused_thinking: tuple[str, ...] = ("between_tools",)
    max_effort_without_thinking: str | None = None
    efforts: tuple[str, ...] = EFFORTS
    default_effort: str = "high"
    new_tokenizer: bool = True
    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    min_cached_tokens: int = 512
    cache_read_permille: int = 100
    forced_tools: bool = True
    sampling: bool = False
    prefill: bool = False
    geography: bool = True
    deprecated: str | None = None
    retires: str | None = None

    def lifecycle(self, now: float) -> str:
        """Return ``active``, ``deprecated`` or ``retired``.

        :param now: epoch seconds.
        """
        if self.retires is not None and now >= _epoch(self.retires):
            return "retired"
        return "deprecated" if self.deprecated is not None and now >= _epoch(self.deprecated) else "active"

    def effort_rank(self, effort: str) -> int:
        """Return the place of an effort in the order from low to max."""
        return EFFORTS.index(effort)


_OLD = {"new_tokenizer": False, "sampling": True}
_4_5: dict[str, Any] = {
    **_OLD,
    "prefill": True,
    "geography": False,
    "context_tokens": 200_000,
    "max_output_tokens": 64_000,
    "min_cached_tokens": 4_096,
}
_NO_FORCED = {"forced_tools": False, "thinking": "always"}

_TABLE: tuple[dict[str, Any], ...] = (
    {
        "id": "claude-haiku-5-5",
        "released": "2026-09-29",
        "input_cents": 10,
        "output_cents": 50,
        "long_prompt": LongPromptPrice(above_tokens=100_000, input_cents=50, output_cents=250),
        "thinking": "on",
        "refused_thinking": ("enabled", "between_tools"),
        "max_effort_without_thinking": "high",
        "default_effort": "medium",
    },
    {
        "id": "claude-sonnet-5-5",
        "released": "2026-09-15",
        "input_cents": 200,
        "output_cents": 1_000,
        "thinking": "on",
        "refused_thinking": ("enabled", "disabled"),
        "max_effort_without_thinking": "high",
        "cache_read_permille": 50,
        "forced_tools": False,
    },
    {
        "id": "claude-fable-5-1",
        "released": "2026-09-08",
        "input_cents": 1_000,
        "output_cents": 5_000,
        "refused_thinking": ("enabled", "disabled", "between_tools"),
        "cache_read_permille": 25,
        **_NO_FORCED,
    },
    {
        "id": "claude-opus-5-5",
        "released": "2026-09-01",
        "input_cents": 400,
        "output_cents": 2_000,
        "refused_thinking": ("enabled", "disabled", "between_tools"),
        "default_effort": "medium",
        "cache_read_permille": 50,
        **_NO_FORCED,
    },
    {
        "id": "claude-opus-5",
        "released": "2026-07-07",
        "input_cents": 500,
        "output_cents": 2_500,
        "thinking": "on",
        "refused_thinking": ("enabled", "between_tools"),
        "max_effort_without_thinking": "high",
    },
    {
        "id": "claude-sonnet-5",
        "released": "2026-06-16",
        "input_cents": 200,
        "output_cents": 1_000,
        "thinking": "on",
        "refused_thinking": ("enabled", "between_tools"),
        "min_cached_tokens": 1_024,
    },
    {
        "id": "claude-opus-4-8",
        "released": "2026-05-28",
        "input_cents": 500,
        "output_cents": 2_500,
        "refused_thinking": ("enabled", "between_tools"),
        "min_cached_tokens": 1_024,
    },
    {
        "id": "claude-opus-4-7",
        "released": "2026-04-16",
        "input_cents": 500,
        "output_cents": 2_500,
        "refused_thinking": ("enabled", "between_tools"),
        "min_cached_tokens": 2_048,
    },
    {
        "id": "claude-sonnet-4-6",
        "released": "2026-02-17",
        "input_cents": 300,
        "output_cents": 1_500,
        "efforts": _NO_XHIGH,
        "min_cached_tokens": 1_024,
        **_OLD,
    },
    {
        "id": "claude-opus-4-6",
        "released": "2026-02-05",
        "input_cents": 500,
        "output_cents": 2_500,
        "efforts": _NO_XHIGH,
        "min_cached_tokens": 4_096,
        **_OLD,
    },
    {
        "id": "claude-opus-4-5",
        "released": "2025-11-24",
        "input_cents": 500,
        "output_cents": 2_500,
        "refused_thinking": ("adaptive", "between_tools"),
        "efforts": ("low", "medium", "high"),
        "deprecated": "2026-10-22",
        "retires": "2027-01-22",
        **_4_5,
    },
    {
        "id": "claude-haiku-4-5",
        "released": "2025-10-15",
        "input_cents": 100,
        "output_cents": 500,
        "refused_thinking": ("adaptive", "between_tools"),
        "efforts": (),
        **_4_5,
    },
    {
        **_4_5,
        "id": "claude-sonnet-4-5",
        "released": "2025-09-29",
        "input_cents": 300,
        "output_cents": 1_500,
        "refused_thinking": ("adaptive", "between_tools"),
        "efforts": (),
        "min_cached_tokens": 1_024,
        "deprecated": "2026-05-30",
        "retires": "2026-11-30",
    },
)


def _named(row: dict[str, Any]) -> Model:
    _, line, *version = row["id"].split("-")
    return Model(line=line, display_name=f"Claude {line.title()} {'.'.join(version)}", **row)


MODELS = {model.id: model for model in map(_named, _TABLE)}
"""By id, newest first."""

_DATED = {
    "claude-opus-4-5-20251101": "claude-opus-4-5",
    "claude-haiku-4-5-20251001": "claude-haiku-4-5",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
}
for _dated, _plain in _DATED.items():
    MODELS[_dated] = replace(MODELS[_plain], id=_dated)


def find_model(name: object, now: float) -> Model | None:
    """Return a model that answers requests; None for an unknown or retired one.

    :param now: epoch seconds.
    """
    model = MODELS.get(name) if isinstance(name, str) else None
    return None if model is None or model.lifecycle(now) == "retired" else model


def model_info(model: Model, now: float) -> dict[str, Any]:
    """Return a model as ``GET /v1/models/{id}`` shows it."""
    lifecycle = model.lifecycle(now)
    ending = lifecycle != "active"
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": f"{model.released}T00:00:00Z",
        "line": model.line,
        "lifecycle": lifecycle,
        "deprecated_at": _rfc3339(model.deprecated) if ending else None,
        "retires_at": _rfc3339(model.retires) if ending else None,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Model) -> dict[str, Any]:
    yes = {"supported": True}
    efforts = {effort: {"supported": effort in model.efforts} for effort in EFFORTS}
    thinking = {kind: {"supported": kind not in model.refused_thinking} for kind in THINKING_TYPES}
    return {
        "batch": yes,
        "citations": yes,
        "code_execution": {"supported": not model.prefill},
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": yes,
            "clear_tool_uses_20250919": yes,
            "compact_20260112": {"supported": not model.prefill},
        },
        "effort": {"supported": bool(model.efforts), **efforts},
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": {"supported": True, "code_execution": yes, "web_search": yes},
        "structured_outputs": yes,
        "thinking": {"supported": True, "types": thinking},
    }


def _epoch(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def _rfc3339(day: str | None) -> str | None:
    return None if day is None else rfc3339(_epoch(day))
