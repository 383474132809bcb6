"""The shared part of a pipeline's prompts in the prompt cache: whether it is long enough, and what caching saves.

API documentation, "Prompt caching": a prefix is cached only if it has a minimum number of tokens, which depends on
the model; a shorter one is silently processed without caching. Writing for one hour costs twice the input price,
reading a tenth or less. In a batch hits are best effort, 30 to 98 %; a lifetime of five minutes is too short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from nightpress.costs.prices import UnitPrices
from nightpress.costs.text_sizes import measure_requests
from nightpress.models.lookup import assume_model, find_model

LIFETIME = "1h"
WORST_HIT_SHARE, LIKELY_HIT_SHARE = 0.3, 0.7
"""Shares of a batch's requests that read the prefix; the documentation's range is 0.3 to 0.98."""

Verdict: TypeAlias = Literal["cached", "perhaps", "too_short"]


def minimum_prefix_tokens(model: str) -> int:
    """Return the fewest tokens of a prefix that is cached; for an unknown model the highest such minimum."""
    return (find_model(model) or assume_model(model)).min_cached_tokens


def cached_system(text: str) -> list[dict[str, Any]]:
    """Return the ``system`` of a request whose text is kept in the cache for an hour."""
    mark = {"type": "ephemeral", "ttl": LIFETIME}
    return [{"type": "text", "text": text, "cache_control": mark}]


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """The part that all requests begin with. Holds sizes, never the text.

    :param tokens: expected; no tokenizer of Claude's is published.
    :param upper_tokens: upper bound.
    :param minimum: fewest tokens that the model caches.
    """

    model: str
    tokens: int
    upper_tokens: int
    minimum: int

    @classmethod
    def of(cls, text: str, model: str) -> SharedPrefix:
        """Measure a system prompt."""
        facts, size = find_model(model) or assume_model(model), measure_requests([text.encode()])
        return cls(model, size.expected_tokens(facts), size.upper_tokens(facts), facts.min_cached_tokens)

    @property
    def verdict(self) -> Verdict:
        """Whether it is long enough; ``perhaps`` when the estimate cannot tell."""
        if self.upper_tokens < self.minimum:
            return "too_short"
        return "cached" if self.tokens >= self.minimum else "perhaps"

    @property
    def message(self) -> str:
        """The verdict in words, for the plan, with what to do."""
        about = f"the shared part is about {self.tokens:,} tokens, and {self.model} caches from {self.minimum:,} on"
        return {
            "cached": f"Prompt caching: {about}.",
            "perhaps": f"Prompt caching: {about}: it may be too short, and then caching changes nothing.",
            "too_short": f"Prompt caching has no effect: {about}. Move more of the instructions and examples into "
            "system, take a model that caches shorter parts, or leave caching off.",
        }[self.verdict]

    def saved_usd(self, requests: int, price: UnitPrices, hit_share: float = LIKELY_HIT_SHARE) -> float:
        """Return the USD that caching saves; negative when writing costs more than reading saves.

        :param requests: to send; at least one of them writes.
        :param price: of the model in a batch.
        :param hit_share: share of the requests that read.
        """
        if self.verdict == "too_short" or requests < 1:
            return 0.0
        reads = min(requests - 1, round(requests * hit_share))
        writes = requests - reads
        difference = reads * (price.input - price.cache_read) + writes * (price.input - price.cache_write_1h)
        return self.tokens * difference / 1e6
