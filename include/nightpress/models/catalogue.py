"""One table of the models that the Message Batches API accepts, with the source of each column.

Everything that depends on the model reads it from here: the form, the request, the plan and the receipt. A model
that is newer than the table is not an error; :func:`nightpress.models.lookup.assume_model` says what is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

ThinkingDefault: TypeAlias = Literal["off", "on", "always"]

EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""Effort levels, in rising order (SDK 2.14, ``EffortCapability``)."""

COLUMN_SOURCES = {
    "id, dated_id": "SDK 2.14.0, types/model_param.py, November 2026",
    "input_usd, output_usd, long_prompt": "vendor's pricing page, 8 October 2026; genai-prices (a test compares)",
    "cache_read_multiplier": "vendor's pricing page, 8 October 2026; genai-prices (a test compares)",
    "thinking_default, thinking_off, off_max_effort": "vendor's thinking page and model pages, September-October 2026",
    "thinking_types": "vendor's thinking page, September-October 2026; SDK 2.14.0, types/thinking_types.py",
    "efforts, default_effort": "vendor's effort page, September-October 2026; haiku-4-5: third-party reports",
    "chars_per_token": "vendor's Haiku 5.5 page, October 2026: a new tokenizer from 4.7 on",
    "context_tokens, max_output_tokens": "vendor's Haiku 5.5 page and models overview, October 2026",
    "min_cached_tokens": "vendor's prompt caching page, August-September 2026",
    "forced_tools": "vendor's model pages, September-October 2026",
    "sampling": "vendor's model pages: only default values from 4.7 on",
    "geography": "vendor's data residency page: from Opus 4.6 on",
    "retires, retires_not_before": "vendor's deprecations page and SDK 2.14.0, November 2026",
}
"""Where each column of :class:`Model` comes from, and as of when."""


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """List prices of a whole request whose prompt is longer than ``above_tokens``, in USD per million tokens."""

    above_tokens: int
    input_usd: float
    output_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of one model.

    :param id: as it is sent.
    :param dated_id: the id of its only dated snapshot; empty when there is none.
    :param input_usd: list price of a million input tokens in USD; a batch pays half. None when it is not known.
    :param output_usd: the same for output tokens; thinking is billed as output.
    :param long_prompt: higher prices of long prompts, or None.
    :param cache_read_multiplier: price of a token read from the prompt cache, as a share of the input price.
    :param thinking_default: what the model does when ``thinking`` is left out of the request.
    :param thinking_off: the ``thinking.type`` that switches thinking off; empty when leaving it out does so, or
        when thinking cannot be switched off.
    :param off_max_effort: highest effort that is allowed with ``thinking_off``; empty when all are.
    :param thinking_types: values of ``thinking.type`` that it accepts.
    :param efforts: effort levels that it accepts; empty when it refuses the parameter.
    :param default_effort: its effort when the request names none.
    :param chars_per_token: characters of English text per token, on average.
    :param min_cached_tokens: shortest prefix that the prompt cache keeps.
    :param forced_tools: accepts ``tool_choice`` of type ``any`` or ``tool``.
    :param sampling: accepts ``temperature`` or ``top_p`` other than their defaults.
    :param geography: accepts ``inference_geo``.
    :param retires: date from which on requests fail; None when no date is set.
    :param retires_not_before: earliest date of its retirement, as announced; None when nothing is.
    :param offered: the form lists it.
    :param known: False for assumptions about a model that is not in the table.
    """

    id: str
    dated_id: str = ""
    input_usd: float | None
    output_usd: float | None
    long_prompt: LongPrompt | None = None
    cache_read_multiplier: float = 0.1
    thinking_default: ThinkingDefault
    thinking_off: str = ""
    off_max_effort: str = ""
    thinking_types: frozenset[str]
    efforts: tuple[str, ...] = EFFORTS
    default_effort: str = "high"
    chars_per_token: float = 2.5
    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    min_cached_tokens: int
    forced_tools: bool = True
    sampling: bool = False
    geography: bool = True
    retires: date | None = None
    retires_not_before: date | None = None
    offered: bool = True
    known: bool = True

    @property
    def batch_input_usd(self) -> float | None:
        """USD of a million input tokens in a batch: half the list price."""
        return None if self.input_usd is None else self.input_usd / 2

    @property
    def batch_output_usd(self) -> float | None:
        """USD of a million output tokens in a batch: half the list price."""
        return None if self.output_usd is None else self.output_usd / 2

    @property
    def takes_long_output(self) -> bool:
        """True when the beta ``output-300k`` raises its limit of output tokens."""
        return self.context_tokens >= 1_000_000


_NO_XHIGH = ("low", "medium", "high", "max")
_OFF_OR_ADAPTIVE = frozenset({"disabled", "adaptive"})

_TABLE = (
    Model(
        id="claude-haiku-5-5",
        input_usd=0.10,
        output_usd=0.50,
        long_prompt=LongPrompt(100_000, 0.50, 2.50),
        thinking_default="on",
        thinking_off="disabled",
        off_max_effort="high",
        thinking_types=_OFF_OR_ADAPTIVE,
        default_effort="medium",
        min_cached_tokens=512,
        retires_not_before=date(2027, 10, 1),
    ),
    Model(
        id="claude-haiku-4-5",
        dated_id="claude-haiku-4-5-20251001",
        input_usd=1.0,
        output_usd=5.0,
        thinking_default="off",
        thinking_types=frozenset({"disabled", "enabled"}),
        efforts=(),
        default_effort="",
        chars_per_token=3.4,
        context_tokens=200_000,
        max_output_tokens=64_000,
        min_cached_tokens=4_096,
        sampling=True,
        geography=False,
    ),
    Model(
        id="claude-sonnet-5-5",
        input_usd=2.0,
        output_usd=10.0,
        cache_read_multiplier=0.05,
        thinking_default="on",
        thinking_off="between_tools",
        off_max_effort="high",
        thinking_types=frozenset({"between_tools", "adaptive"}),
        min_cached_tokens=512,
        forced_tools=False,
        retires_not_before=date(2027, 9, 1),
    ),
    Model(
        id="claude-sonnet-5",
        input_usd=2.0,
        output_usd=10.0,
        thinking_default="on",
        thinking_off="disabled",
        thinking_types=_OFF_OR_ADAPTIVE,
        min_cached_tokens=1_024,
        retires_not_before=date(2027, 6, 1),
    ),
    Model(
        id="claude-sonnet-4-6",
        input_usd=3.0,
        output_usd=15.0,
        thinking_default="off",
        thinking_types=frozenset({"disabled", "adaptive", "enabled"}),
        efforts=_NO_XHIGH,
        chars_per_token=3.4,
        min_cached_tokens=1_024,
        sampling=True,
        retires_not_before=date(2027, 2, 1),
    ),
    Model(
        id="claude-sonnet-4-5",
        dated_id="claude-sonnet-4-5-20250929",
        input_usd=3.0,
        output_usd=15.0,
        long_prompt=LongPrompt(200_000, 6.0, 22.5),
        thinking_default="off",
        thinking_types=frozenset({"disabled", "enabled"}),
        efforts=(),
        default_effort="",
        chars_per_token=3.4,
        context_tokens=200_000,
        max_output_tokens=64_000,
        min_cached_tokens=1_024,
        sampling=True,
        geography=False,
        retires=date(2026, 11, 30),
        offered=False,
    ),
    Model(
        id="claude-opus-5-5",
        input_usd=4.0,
        output_usd=20.0,
        cache_read_multiplier=0.05,
        thinking_default="always",
        thinking_types=frozenset({"adaptive"}),
        default_effort="medium",
        min_cached_tokens=512,
        forced_tools=False,
        retires_not_before=date(2027, 9, 1),
    ),
    Model(
        id="claude-opus-5",
        input_usd=5.0,
        output_usd=25.0,
        thinking_default="on",
        thinking_off="disabled",
        off_max_effort="high",
        thinking_types=_OFF_OR_ADAPTIVE,
        min_cached_tokens=512,
        retires_not_before=date(2027, 7, 1),
    ),
    Model(
        id="claude-opus-4-8",
        input_usd=5.0,
        output_usd=25.0,
        thinking_default="off",
        thinking_types=_OFF_OR_ADAPTIVE,
        min_cached_tokens=1_024,
        retires_not_before=date(2027, 4, 1),
    ),
    Model(
        id="claude-opus-4-7",
        input_usd=5.0,
        output_usd=25.0,
        thinking_default="off",
        thinking_types=_OFF_OR_ADAPTIVE,
        min_cached_tokens=2_048,
        retires_not_before=date(2027, 4, 1),
    ),
    Model(
        id="claude-opus-4-6",
        input_usd=5.0,
        output_usd=25.0,
        thinking_default="off",
        thinking_types=frozenset({"disabled", "adaptive", "enabled"}),
        efforts=_NO_XHIGH,
        chars_per_token=3.4,
        min_cached_tokens=4_096,
        sampling=True,
        retires_not_before=date(2027, 2, 1),
    ),
    Model(
        id="claude-opus-4-5",
        dated_id="claude-opus-4-5-20251101",
        input_usd=5.0,
        output_usd=25.0,
        thinking_default="off",
        thinking_types=frozenset({"disabled", "enabled"}),
        efforts=("low", "medium", "high"),
        chars_per_token=3.4,
        context_tokens=200_000,
        max_output_tokens=64_000,
        min_cached_tokens=4_096,
        sampling=True,
        geography=False,
        retires=date(2027, 1, 22),
    ),
    Model(
        id="claude-fable-5-1",
        input_usd=10.0,
        output_usd=50.0,
        cache_read_multiplier=0.025,
        thinking_default="always",
        thinking_types=frozenset({"adaptive"}),
        min_cached_tokens=512,
        forced_tools=False,
        retires_not_before=date(2027, 9, 1),
    ),
)

CATALOGUE = {model.id: model for model in _TABLE}
"""The models by id, in the order in which the form lists them."""

OTHER_IDS = frozenset(
    {
        "claude-fable-5",
        "claude-fable-5-2",
        "claude-mythos-5",
        "claude-mythos-5-1",
        "claude-mythos-5-2",
        "claude-mythos-preview",
    }
)
"""Ids that the SDK 2.14.0 has and the table does not: they exist, but nothing else is known about them."""
