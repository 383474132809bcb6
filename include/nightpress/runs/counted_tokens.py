"""Input tokens that the API counts for requests of a run, free of charge, to make its plan good.

Of a small run all requests are counted, and the plan's upper bound rests on it. Of a larger one a few are, which make
the expectation good; a sample bounds nothing, so it only ever raises the upper bound, when it shows that the estimate
is too low.

Requests are counted one after the other, so that a run asks about ten times a second at most: the API allows 2,000 a
minute to an organization of the lowest tier. Counting ends with the first request that is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from nightpress.batches.model_api import ModelApi
from nightpress.costs.request_profile import RequestProfile
from nightpress.costs.text_sizes import measure_requests
from nightpress.shards.requests import iter_params
from nightpress.shards.shard import Shard
from nightpress.storage import StoragePath

MAX_ALL = 100
"""A run of at most this many requests is counted in full."""

MAX_COUNTED = 12
"""Requests that are counted of a run that has more."""

MAX_SECONDS = 20.0
"""How long counting may take in all."""

_MAX_BODY_BYTES = 16_000_000
_CHUNK_BYTES = 400_000
_ENTRY = b'{"custom_id":"'


@dataclass(frozen=True, slots=True)
class CountedTokens:
    """What the API counted.

    :param requests: how many were counted.
    :param expected_share: counted tokens, in shares of the expected ones.
    :param upper_share: the same of the upper bound, of the request where it is highest.
    :param tokens: of all of them.
    """

    requests: int = 0
    expected_share: float | None = None
    upper_share: float | None = None
    tokens: int = 0


def count_requests(
    shards: Sequence[Shard],
    folder: StoragePath,
    api: ModelApi,
    profile: RequestProfile,
    clock: Callable[[], float],
) -> CountedTokens:
    """Count the requests of a small run, or some of each shard of a larger one, as far as time allows.

    :param folder: of the run, where the bodies of the shards are.
    :param clock: seconds.
    """
    until = clock() + MAX_SECONDS
    counted, expected, highest, requests = 0, 0, 0.0, 0
    for params in _iter_chosen(shards, folder):
        if clock() > until or (tokens := api.count_tokens(params)) is None:
            break
        sizes = measure_requests([params]).without(profile.skeleton)
        requests, counted = requests + 1, counted + tokens
        expected += sizes.expected_tokens(profile.facts)
        upper = sizes.upper_tokens(profile.facts) + profile.added_tokens
        highest = max(highest, tokens / max(upper, 1))
    if not requests or not expected:
        return CountedTokens()
    return CountedTokens(requests, counted / expected, highest, counted)


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
    with body.open("rb") as stream:
        for number in range(count):
            stream.seek(size_bytes * number // count)
            params = _first_params(stream.read(_CHUNK_BYTES))
            if params is not None:
                yield params


def _first_params(chunk: bytes) -> bytes | None:
    """Return the params of the first whole request in a piece of a body.

    Quotes within texts are escaped, so the beginning of an entry cannot occur in one.
    """
    start = chunk.find(_ENTRY)
    if start < 0:
        return None
    try:
        entry, _ = json.JSONDecoder().raw_decode(chunk[start:].decode("utf-8", "ignore"))
    except ValueError:
        return None  # it is longer than the piece
    return msgspec.json.encode(entry["params"], order="sorted")
