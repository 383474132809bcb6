"""Let the API count the input tokens of a run's requests, free of charge, to make its plan more accurate.

For a small run all requests are counted, and the plan's upper bound uses the counts. For a larger run a
sample is counted, which makes the expected number accurate. A sample is no upper bound, so it can only raise
the upper bound, if it shows that the estimate is too low.

Requests are counted one after the other, at most about ten per second: in the lowest tier, the API allows an
organization 2,000 per minute. Counting ends with the first request that is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from nightpress.batches.api_addresses import is_vendor_scope
from nightpress.batches.model_api import ModelApi
from nightpress.costs.request_profile import RequestProfile
from nightpress.costs.text_sizes import measure_requests
from nightpress.shards.requests import iter_params
from nightpress.shards.shard import Shard
from nightpress.storage import StoragePath, open_reader

MAX_ALL = 100
"""All requests of a run are counted if there are at most this many."""

MAX_COUNTED = 12
"""Number of requests that are counted in a larger run."""

MIN_SHARE, MIN_SHARE_OF_ONE = 0.5, 0.1
"""Counts below these shares of the expected tokens, of all requests and of one, are not used: no upper bound may
rest on a gateway that answers with a made-up number."""

MAX_SECONDS = 20.0
"""Total time limit for counting, in seconds."""

_MAX_BODY_BYTES = 16_000_000
_CHUNK_BYTES = 400_000
_ENTRY = b'{"custom_id":"'


@dataclass(frozen=True, slots=True)
class CountedTokens:
    """Token counts of the API.

    :param requests: number of counted requests.
    :param expected_share: counted tokens divided by expected tokens.
    :param upper_share: counted tokens divided by the upper bound, for the request with the highest quotient.
    :param tokens: input tokens of all counted requests.
    :param by_vendor: the vendor itself counted. A gateway may count with another tokenizer, as some do for models that
        they do not know; such a count makes no upper bound, and can only raise one.
    """

    requests: int = 0
    expected_share: float | None = None
    upper_share: float | None = None
    tokens: int = 0
    by_vendor: bool = False


def count_requests(
    shards: Sequence[Shard],
    folder: StoragePath,
    api: ModelApi,
    profile: RequestProfile,
    clock: Callable[[], float],
) -> CountedTokens:
    """Count the requests of a small run, or some of each shard of a larger one, within the time limit.

    :param folder: folder of the run, with the bodies of the shards.
    :param clock: returns seconds.
    """
    until = clock() + MAX_SECONDS
    counted, expected, highest, requests = 0, 0, 0.0, 0
    for params in _iter_chosen(shards, folder):
        if clock() > until or (tokens := api.count_tokens(params)) is None:
            break
        sizes = measure_requests([params]).without(profile.skeleton)
        likely = sizes.expected_tokens(profile.facts)
        if tokens < MIN_SHARE_OF_ONE * likely:
            break
        requests, counted = requests + 1, counted + tokens
        expected += likely
        upper = sizes.upper_tokens(profile.facts) + profile.added_tokens
        highest = max(highest, tokens / max(upper, 1))
    if not requests or not expected or counted < MIN_SHARE * expected:
        return CountedTokens()
    return CountedTokens(requests, counted / expected, highest, counted, is_vendor_scope(api.scope))


def _iter_chosen(shards: Sequence[Shard], folder: StoragePath) -> Iterator[bytes]:
    small = sum(shard.bytes for shard in shards) <= _MAX_BODY_BYTES
    if small and sum(shard.articles for shard in shards) <= MAX_ALL:
        for shard in shards:
            yield from iter_params((folder / shard.uri.rsplit("/", 1)[-1]).read_bytes())
        return
    each = max(MAX_COUNTED // max(len(shards), 1), 1)
    for shard in shards[:MAX_COUNTED]:
        body = folder / shard.uri.rsplit("/", 1)[-1]
        yield from _iter_sample(body, shard.bytes, min(each, shard.articles))


def _iter_sample(body: StoragePath, size_bytes: int, count: int) -> Iterator[bytes]:
    """Yield the params of some requests, from places spread over a POST body."""
    with open_reader(body, block_bytes=_CHUNK_BYTES) as stream:
        for number in range(count):
            stream.seek(size_bytes * number // count)
            params = _first_params(stream.read(_CHUNK_BYTES))
            if params is not None:
                yield params


def _first_params(chunk: bytes) -> bytes | None:
    """Return the params of the first whole request in a piece of a body.

    Quotes inside texts are escaped, so the beginning of an entry cannot occur inside a text.
    """
    start = chunk.find(_ENTRY)
    if start < 0:
        return None
    try:
        entry, _ = json.JSONDecoder().raw_decode(chunk[start:].decode("utf-8", "ignore"))
    except ValueError:
        return None  # the request is longer than the piece
    return msgspec.json.encode(entry["params"], order="sorted")
