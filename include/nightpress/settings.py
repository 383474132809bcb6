"""Limits and defaults, with the source of each number."""

from __future__ import annotations

from dataclasses import dataclass

from nightpress.errors import ConfigurationError

API_MAX_REQUESTS = 100_000
"""Requests in one batch: Message Batches API documentation, "Batch limitations"."""

API_MAX_BYTES = 256 * 1024 * 1024
"""Bytes of one batch's body: Message Batches API documentation, "Batch limitations"."""

OFFLINE_BATCH_PREFIX = "msgbatch_local_"
"""Prefix of the offline API's batch ids; no model answered such a batch."""

DEFAULT_MODEL = "claude-haiku-4-5"
DEFAULT_MAX_TOKENS = 200
DEFAULT_MAX_CONTENT_CHARS = 2_000
DEFAULT_MAX_REJECTED_SHARE = 0.2
DEFAULT_MAX_REQUESTS_IN_FLIGHT = 200_000
"""Requests that may wait at the API at once: the queue of its lowest tier (documentation, "Rate limits")."""

DEFAULT_KEPT_PUBLICATIONS = 3
"""How many earlier publications of a day are kept unless another number is set."""

DEFAULT_MIN_ANSWERED_SHARE = 0.0
"""With 0, a published day that has answers is replaced by any result with at least one answer."""


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """The limits of a shard; reaching any of them closes it.

    :param max_requests: requests in a shard, 1 to 100,000 (default 10,000).
    :param max_bytes: bytes of the POST body, 1,000 to 256 MiB (default 32 MB).
    :param max_staged_bytes: bytes of the articles' other fields, which are not sent (default 64 MB).
    :param max_metadata_columns: distinct metadata fields of a run; each is a column (default 2,000).
    :raises ConfigurationError: a value is out of its range.
    """

    max_requests: int = 10_000
    max_bytes: int = 32_000_000
    max_staged_bytes: int = 64_000_000
    max_metadata_columns: int = 2_000

    def __post_init__(self) -> None:
        if not 1 <= self.max_requests <= API_MAX_REQUESTS:
            raise ConfigurationError(
                f"shard max_requests is {self.max_requests}; the API takes 1 to {API_MAX_REQUESTS:,} a batch"
            )
        if not 1_000 <= self.max_bytes <= API_MAX_BYTES:
            raise ConfigurationError(
                f"shard max_bytes is {self.max_bytes}; the API takes up to {API_MAX_BYTES:,}, and less than "
                "1,000 holds no article"
            )
        for name in ("max_staged_bytes", "max_metadata_columns"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"shard {name} is {getattr(self, name)}; it must be 1 or more")


def is_offline(batch_id: str) -> bool:
    """Return whether a batch belongs to the offline API, which calls no model and bills nothing."""
    return batch_id.startswith(OFFLINE_BATCH_PREFIX)
