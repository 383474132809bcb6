"""Input tokens that the API counts for a few requests of a run, free of charge, to make its plan's expectation good.

The plan's upper bound does not rest on it: a sample bounds nothing. It is raised, though, when the sample shows that
the estimate is too low.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from nightpress.batches.model_api import ModelApi
from nightpress.costs.question import Question
from nightpress.costs.text_sizes import measure_requests
from nightpress.shards.shard import Shard
from nightpress.storage import StoragePath

MAX_COUNTED = 12
"""Requests of a run that are counted."""

MAX_SECONDS = 10.0
"""How long counting may take in all."""

_CHUNK_BYTES = 400_000
_ENTRY = b'{"custom_id":"'


@dataclass(frozen=True, slots=True)
class CountedTokens:
    """What the API counted.

    :param requests: how many were counted.
    :param expected_share: counted tokens, in shares of the expected ones.
    :param upper_share: the same of the upper bound, of the request where it is highest.
    """

    requests: int = 0
    expected_share: float | None = None
    upper_share: float | None = None


def count_sample(
    shards: Sequence[Shard],
    folder: StoragePath,
    api: ModelApi,
    question: Question,
    clock: Callable[[], float],
) -> CountedTokens:
    """Count some requests of each shard, as far as number and time allow.

    :param folder: of the run, where the bodies of the shards are.
    :param clock: seconds.
    """
    until = clock() + MAX_SECONDS
    counted, expected, highest, requests = 0, 0, 0.0, 0
    each = max(MAX_COUNTED // max(len(shards), 1), 1)
    for shard in shards[:MAX_COUNTED]:
        for params in _iter_sample(
            folder / shard.uri.rsplit("/", 1)[-1], shard.bytes, min(each, shard.articles)
        ):
            if clock() > until or (tokens := api.count_tokens(params)) is None:
                return _summary(requests, counted, expected, highest)
            sizes = measure_requests([params]).without(question.skeleton)
            requests, counted = requests + 1, counted + tokens
            expected += sizes.expected_tokens(question.facts)
            upper = sizes.upper_tokens(question.facts) + question.added_tokens
            highest = max(highest, tokens / max(upper, 1))
    return _summary(requests, counted, expected, highest)


def _summary(requests: int, counted: int, expected: int, highest: float) -> CountedTokens:
    if not requests or not expected:
        return CountedTokens()
    return CountedTokens(requests, counted / expected, highest)


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
