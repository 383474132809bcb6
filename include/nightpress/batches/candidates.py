"""Find batches at the API that could belong to a shard, and prove whether one does.

A POST whose answer was lost may have created a batch. The list of batches shows the candidates; the custom_ids
in the results of an ended batch name its shard.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nightpress.batches.batch import Batch, BatchPage
from nightpress.batches.batch_api import BatchApi
from nightpress.batches.ledger import Entry, Ledger
from nightpress.errors import ResultsError, UnknownOutcomeError
from nightpress.shards.request_keys import custom_id_prefix
from nightpress.storage import INVALID_JSON

CLOCK_MARGIN_SECONDS = 300.0
"""How far two moments of the API may be out of order: its servers' clocks differ a little."""

MAX_HEAD_BYTES = 64 * 1024 * 1024
"""Most bytes of a result stream's first line that are read to find its shard."""

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

    A batch of unknown creation time or number of requests could be.

    :param since: epoch seconds by the API's clock; older batches are skipped. None skips none.
    :param odd: records why the list may be incomplete.
    """
    odd = odd or Oddities()
    known = {*entry.earlier, *list_known_before(entry)}
    cursors: set[str | None] = {None}
    after_id: str | None = None
    for _ in range(MAX_PAGES):
        page = api.list(after_id=after_id)
        old = _note_odd(page, entry, since, odd)
        for batch in page.data:
            if since is not None and batch.created_at is not None and batch.created_at.timestamp() < since:
                old = True
                continue
            if batch.id in known or batch.request_counts.total not in {0, entry.requests}:
                continue
            if ledger.owner(batch.id) in {None, entry.key}:
                yield batch
        if old or not page.has_more or page.last_id is None:
            return
        after_id = page.last_id
        if after_id in cursors:
            odd.reasons.append(f"it repeats the page after {after_id}")
            return
        cursors.add(after_id)
    odd.reasons.append(f"it has more than {MAX_PAGES:,} pages")


def _note_odd(page: BatchPage, entry: Entry, since: float | None, odd: Oddities) -> bool:
    """Record elements without a usable id that could be this shard's batch; return whether one is too old."""
    old = False
    for batch in page.odd:
        if since is not None and batch.created_at is not None and batch.created_at.timestamp() < since:
            old = True
        elif batch.type == "message_batch" and batch.requests in {None, entry.requests}:
            odd.reasons.append("it holds a batch without a usable id")
    return old


def is_ours(entry: Entry, batch: Batch, api: BatchApi) -> bool:
    """Return whether an ended batch is this shard's; the first custom_id of its results proves it.

    :raises UnknownOutcomeError: its results cannot be read, so it is unclear.
    """
    try:
        head = _first_line(api.stream_results(batch))
    except ResultsError as error:
        raise UnknownOutcomeError(
            f"batch {batch.id} could be that of shard {entry.key[:16]}, and its results cannot be read to tell "
            f"({error}). Nothing is sent."
        ) from error
    try:
        first = _decode_head(head).custom_id
    except INVALID_JSON as error:
        raise UnknownOutcomeError(
            f"the first result of batch {batch.id} cannot be read ({error}), so it is unclear whether it is "
            f"that of shard {entry.key[:16]}. Nothing is sent; a retry reads it again."
        ) from None
    return first.startswith(custom_id_prefix(entry.key))


class _Head(msgspec.Struct):
    custom_id: str


_decode_head = msgspec.json.Decoder(_Head).decode


def _first_line(stream: Iterator[bytes]) -> bytes:
    """Return the first line that is not blank, reading at most about :data:`MAX_HEAD_BYTES` of it."""
    parts: list[bytes] = []
    size = 0
    for chunk in stream:
        begun = chunk if parts else chunk.lstrip(b"\r\n \t")
        line, end, _ = begun.partition(b"\n")
        if line:
            parts.append(line)
            size += len(line)
        if (end and parts) or size > MAX_HEAD_BYTES:
            break
    return b"".join(parts)[:MAX_HEAD_BYTES]
