"""Find batches at the API that could belong to a shard, and prove whether one does.

A POST whose answer was lost may have created a batch. The list of batches shows the candidates; the custom_ids
in the results of an ended batch name its shard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from nightpress.batches.batch import Batch, BatchPage, OddBatch
from nightpress.batches.batch_api import BatchApi
from nightpress.batches.ledger import Entry, Ledger
from nightpress.errors import ResultsError, UnknownOutcomeError
from nightpress.shards.request_keys import custom_id_prefix

CLOCK_MARGIN_SECONDS = 300.0
"""How far two moments of the API may be out of order: its servers' clocks differ a little."""

MAX_HEAD_BYTES = 64 * 1024 * 1024
"""Most bytes of a result stream's first lines that are read to find its shard."""

MAX_HEAD_LINES = 10
"""How many of these lines are read; a gateway may put lines of its own before the results."""

MAX_PAGES = 1_000
"""Most pages of the list of batches that are read."""


def earliest_creation(entry: Entry) -> float | None:
    """Return the moment before which no batch of the shard was created, by the API's clock; None if unknown.

    It is the creation time of the newest batch listed before the first POST, or the time of that POST if that is
    earlier, less a margin. A ``Date`` alone may be a gateway's, whose clock may differ from the API's.
    """
    if not entry.attempts or entry.attempts[0].newest_batch_at is None:
        return None
    first = entry.attempts[0]
    newest = first.newest_batch_at
    assert newest is not None
    return (newest if first.api_at is None else min(newest, first.api_at)) - CLOCK_MARGIN_SECONDS


def list_known_before(entry: Entry) -> tuple[str, ...]:
    """Return ids of batches that existed before the shard's first POST: none of them is the shard's."""
    return entry.attempts[0].listed_before if entry.attempts else ()


class Oddities:
    """Reasons why the list of batches cannot prove that a batch does not exist."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def check(self, entry: Entry) -> None:
        """Make sure that the list could be read in full.

        :raises UnknownOutcomeError: it could not.
        """
        if self.reasons:
            raise UnknownOutcomeError(
                f"no batch of shard {entry.key[:16]} was found in the API's list, but the list cannot be read in "
                f"full: {'; '.join(self.reasons[:3])}. Nothing is sent; a retry reads it again.",
                code="list_unreadable",
            )


def iter_candidates(
    entry: Entry, api: BatchApi, ledger: Ledger, since: float | None, odd: Oddities | None = None
) -> Iterator[Batch]:
    """Yield batches that could be this shard's: new enough, with as many requests, not owned by another shard.

    A batch of unknown creation time or number of requests could be. One that a person gave up is not.

    :param since: epoch seconds by the API's clock; older batches are skipped. None skips none.
    :param odd: records why the list may be incomplete.
    """
    odd = odd or Oddities()
    known = {*entry.earlier, *list_known_before(entry), *ledger.discarded_batches(entry.key)}
    cursors: set[str | None] = {None}
    after_id: str | None = None
    for _ in range(MAX_PAGES):
        page = api.list(after_id=after_id)
        _note_odd(page, entry, since, odd)
        for batch in page.data:
            if _is_older(batch, since):
                continue
            if batch.id in known or batch.request_counts.total not in {0, entry.requests}:
                continue
            if ledger.owner(batch.id) in {None, entry.key}:
                yield batch
        if _ends_before(page, since) or not page.has_more:
            return
        after_id = page.last_id
        if after_id is None:
            odd.reasons.append("it has more batches and does not tell where the next page begins")
            return
        if after_id in cursors:
            odd.reasons.append(f"it repeats the page after {after_id}")
            return
        cursors.add(after_id)
    odd.reasons.append(f"it has more than {MAX_PAGES:,} pages")


def _is_older(batch: Batch | OddBatch, since: float | None) -> bool:
    return since is not None and batch.created_at is not None and batch.created_at.timestamp() < since


def _ends_before(page: BatchPage, since: float | None) -> bool:
    """Return whether all later pages are too old: this one shows an order, the newest first, and ends too early."""
    created = [batch.created_at for batch in page.data if batch.created_at is not None]
    newest_first = len(created) > 1 and created[0] > created[-1] and created == sorted(created, reverse=True)
    return since is not None and newest_first and created[-1].timestamp() < since


def _note_odd(page: BatchPage, entry: Entry, since: float | None, odd: Oddities) -> None:
    """Record elements without a usable id that could be this shard's batch."""
    for batch in page.odd:
        could_be = batch.type == "message_batch" and batch.requests in {None, entry.requests}
        if could_be and not _is_older(batch, since):
            odd.reasons.append("it holds a batch without a usable id")


def is_ours(entry: Entry, batch: Batch, api: BatchApi) -> bool:
    """Return whether an ended batch is this shard's; the first custom_id of its results proves it.

    :raises UnknownOutcomeError: its results cannot be read, so it is unclear.
    """
    lines = 0
    try:
        for line in _iter_first_lines(api.stream_results(batch)):
            lines += 1
            if (custom_id := _find_custom_id(line)) is not None:
                return custom_id.startswith(custom_id_prefix(entry.key))
    except ResultsError as error:
        raise UnknownOutcomeError(
            f"batch {batch.id} could be that of shard {entry.key[:16]}, and its results cannot be read to tell "
            f"({error}). Nothing is sent."
        ) from error
    raise UnknownOutcomeError(
        f"none of the first {lines} results of batch {batch.id} can be read, so it is unclear whether it is that of "
        f"shard {entry.key[:16]}. Nothing is sent; a retry reads them again."
    )


def _find_custom_id(line: bytes) -> str | None:
    """Return the custom_id of a result, which may follow a byte order mark; None when the line shows none."""
    start = line.find(b"{")
    try:
        found, _ = _decoder.raw_decode(line[start:].decode("utf-8", "replace")) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return None
    custom_id = found.get("custom_id") if isinstance(found, dict) else None
    return custom_id if isinstance(custom_id, str) else None


_decoder = json.JSONDecoder(strict=False)


def _iter_first_lines(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the first :data:`MAX_HEAD_LINES` lines that are not blank, at most :data:`MAX_HEAD_BYTES` of them."""
    parts: list[bytes] = []
    size = count = 0
    for chunk in stream:
        size += len(chunk)
        *ended, begun = chunk.split(b"\n")
        for end in ended:
            line, parts = b"".join((*parts, end)), []
            if line.strip():
                yield line
                count += 1
        parts.append(begun)
        if count >= MAX_HEAD_LINES or size > MAX_HEAD_BYTES:
            return
    if (rest := b"".join(parts)).strip():
        yield rest
