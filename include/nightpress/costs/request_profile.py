"""What the cost of a request depends on, apart from its text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import msgspec

from nightpress.costs.text_sizes import KINDS, count_kinds
from nightpress.models.catalogue import Model
from nightpress.models.lookup import assume_model, find_model
from nightpress.models.request_options import RequestOptions

FRAMING_TOKENS = 16
"""Most tokens that the API adds to a request's text (system and message framing)."""

TOOL_TOKENS = 800
"""Most tokens of the system prompt that the API adds to a request with tools (the vendor's tool use page names 290 to
about 700, by model and tool_choice)."""

FORMAT_TOKENS = 300
"""Most tokens that the API adds to a request with an output schema, besides the schema's own."""

US_FACTOR = 1.1
"""Price factor for inference in the US, for models from 4.6 on (vendor's pricing page, October 2026)."""

SEARCH_USD = 0.01
"""A web search: $10 for 1,000, not halved in a batch (vendor's pricing page, October 2026)."""

SEARCH_RESULT_TOKENS = 20_000
"""Most input tokens of the results of one web search. The vendor publishes no limit; this one is our assumption."""


ELSEWHERE = frozenset({"", "global", "not_available"})
"""Values of ``usage.inference_geo`` without a surcharge."""


@dataclass(frozen=True, slots=True)
class RequestProfile:
    """What the cost of a request depends on, apart from its text.

    :param model: model id.
    :param max_tokens: of the answer.
    :param room_tokens: added for thinking.
    :param cached_tokens: most tokens of each request that may be written to the prompt cache, which costs more.
    :param caches_all: all of a prompt may be written to the prompt cache.
    :param added_tokens: most tokens that the API adds to each request.
    :param searches: most web searches of a request; None when there is no limit.
    :param us_expected: inference in the US is expected.
    :param us_possible: inference in the US is possible.
    :param skeleton: characters by kind of the JSON around a request's texts, which is not part of the prompt.
    """

    model: str
    max_tokens: int
    room_tokens: int = 0
    cached_tokens: int = 0
    caches_all: bool = False
    added_tokens: int = FRAMING_TOKENS
    searches: int | None = 0
    us_expected: bool = False
    us_possible: bool = False
    skeleton: tuple[int, ...] = (0,) * len(KINDS)

    @property
    def request_max_tokens(self) -> int:
        """``max_tokens`` of the request."""
        return self.max_tokens + self.room_tokens

    @property
    def us_factor(self) -> float:
        """Price factor for the place where inference may run."""
        return US_FACTOR if self.us_possible and self.facts.geography else 1.0

    @property
    def facts(self) -> Model:
        """What is known or assumed about the model."""
        return find_model(self.model) or assume_model(self.model)


def make_profile(
    options: RequestOptions,
    *,
    cached_tokens: int = 0,
    typed: bool = False,
    geographies: Collection[str] = (),
) -> RequestProfile:
    """Return what the cost of a pipeline's requests depends on.

    :param cached_tokens: most tokens of each request that may be written to the prompt cache.
    :param typed: answers have an output schema.
    :param geographies: where inference ran, according to earlier answers; empty when there are none.
    """
    asked = options.extra_parameters.get("inference_geo")
    tools = options.extra_parameters.get("tools")
    seen_in_us = any(geography not in ELSEWHERE for geography in geographies)
    added = FRAMING_TOKENS + (TOOL_TOKENS if tools else 0) + (FORMAT_TOKENS if typed else 0)
    return RequestProfile(
        options.model.id,
        options.max_tokens,
        options.thinking.room_tokens,
        cached_tokens,
        caches_all=b"cache_control" in msgspec.json.encode(options.extra_parameters),
        added_tokens=added,
        searches=count_searches(options.extra_parameters),
        us_expected=asked == "us" or (asked is None and seen_in_us),
        # If the request does not say, the workspace decides. Earlier answers show where it was then, or where
        # the workspace of an earlier key was; neither bounds what the next answers cost.
        us_possible=asked in {None, "us"},
        skeleton=_skeleton(options),
    )


def _skeleton(options: RequestOptions) -> tuple[int, ...]:
    params = replace(options, extra_parameters={}).params() | {"messages": [{"role": "user", "content": ""}]}
    return count_kinds(msgspec.json.encode(params))


def count_searches(extra_parameters: Mapping[str, object]) -> int | None:
    """Return how many times at most the API itself may search or fetch for a request.

    :return: None if there is no limit on it, or on what else the API does for a request.
    """
    tools = extra_parameters.get("tools")
    total = 0
    for tool in tools if isinstance(tools, list) else []:
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if kind is None or kind == "custom":
            continue  # a tool of the client: the API only names it
        uses = tool.get("max_uses")
        if not _is_bounded(str(kind), tool) or type(uses) is not int or uses < 0:
            return None
        total += uses
    more = extra_parameters.get("mcp_servers") or _compacts(extra_parameters.get("context_management"))
    return None if more else total


def _is_bounded(kind: str, tool: Mapping[str, object]) -> bool:
    """Return whether one use of a server tool adds a bounded number of tokens; a fetched document may have any."""
    if not kind.startswith("web_fetch"):
        return kind.startswith("web_search")
    most = tool.get("max_content_tokens")
    return type(most) is int and 0 < most <= SEARCH_RESULT_TOKENS


def _compacts(context_management: object) -> bool:
    """Return whether the API may sum up the context, which it bills like another request; clearing costs nothing."""
    if context_management is None:
        return False
    edits = context_management.get("edits") if isinstance(context_management, Mapping) else None
    if not isinstance(edits, list):
        return edits is not None
    kinds = [edit.get("type") if isinstance(edit, Mapping) else None for edit in edits]
    return not all(str(kind).startswith("clear_") for kind in kinds)
