"""Collect an ended batch: store its results, write the shard's Parquet, and record both in the ledger."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow.compute as pc
from pydantic import BaseModel

from nightpress.batches.batch import Batch
from nightpress.batches.batch_api import BatchApi
from nightpress.batches.ledger import Entry, Example, Ledger
from nightpress.batches.ledger_records import AcceptedResults
from nightpress.errors import InvalidReferenceError, ResultsError
from nightpress.layout import DataRoot
from nightpress.parquet_files import read_parquet
from nightpress.results.decode import StreamReport, iter_outcomes
from nightpress.results.raw_results import keep_raw, open_raw
from nightpress.results.shard_rows import Provenance, ShardResults, ShardRows, collect_shard
from nightpress.results.short_results import check_short_results
from nightpress.shards.kept_bodies import pack_body
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.statuses import MAX_KINDS, MISSING, SUCCEEDED, most_frequent
from nightpress.storage import StoragePath, atomic_writer, open_reader

READINGS = 3
"""How often results with damaged lines, or lines of other shards, are read before they count as missing."""

EXAMPLES_OF_A_KIND = 3
MESSAGE_CHARACTERS = 200


def collect_batch(
    shard: Shard,
    root: DataRoot,
    provenance: Provenance,
    api: BatchApi,
    ledger: Ledger,
    *,
    model: type[BaseModel] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> ShardResults:
    """Store the results of an ended batch, write the shard's Parquet, and record both in the ledger.

    :param root: the data root; references of the shard and the ledger are relative to it.
    :param model: the model class of typed answers, whose own validators also check them.
    :param sleep: called with the seconds to wait before results are read again.
    :raises InvalidReferenceError: the shard's files are not below the data root.
    :raises ResultsError: the batch has not ended, or its results cannot be read; a retry costs nothing.
    """
    files = ShardFiles.beside(root.open(shard.uri))
    entry = ledger.load(shard.key)
    if entry is not None and (entry.pipeline, entry.day) != (provenance.pipeline, provenance.day):
        provenance = replace(provenance, reused=True)
    if entry is not None and provenance.batch_id in entry.earlier:
        # The shard was restarted: results of the earlier batch say nothing about its current batch.
        entry = None
    if entry is not None and _take_kept(entry, shard, files, root):
        results = collect_shard(shard, files, provenance, model)
    else:
        batch = _retrieve_ended(provenance.batch_id, api)
        if entry is not None:
            # Save now, so that the batch does not look like it is still running during a long download.
            entry = ledger.save(msgspec.structs.replace(entry, ended_at=batch.ended_at))
        accepted = entry.accepted if entry is not None else None
        results = _download(batch, shard, files, provenance, api, model, accepted, sleep)
    results = replace(results, uri=root.reference(files.results))
    if entry is not None:
        ledger.save(
            msgspec.structs.replace(
                entry,
                collected_at=datetime.now(UTC),
                answered=results.billable_requests,
                raw=entry.raw if provenance.reused and entry.raw else root.reference(files.raw),
                results=entry.results if provenance.reused and entry.results else results.uri,
                **_outcome(entry, results, files.results),
            )
        )
        results = replace(results, submitted_at=_iso(entry.submitted_at), ended_at=_iso(entry.ended_at))
        # Without an entry, nothing records that the batch is collected, and its body may still be needed.
        pack_body(files.requests)
    return results


def _outcome(entry: Entry, results: ShardResults, rows: StoragePath) -> dict[str, Any]:
    """Return the outcome fields of the entry; if another run paid for the batch, its numbers are kept."""
    if results.reused and entry.by_status:
        return {}
    errors, examples = find_failures(rows) if set(results.by_status) != {SUCCEEDED} else ({}, ())
    return {
        "by_status": results.by_status,
        "errors": errors,
        "examples": examples,
        "cost_usd": entry.cost_usd if results.reused else results.cost_usd,
        "known_cost_usd": entry.known_cost_usd if results.reused else _known_part(results),
    }


def _known_part(results: ShardResults) -> float | None:
    """Return the known part of a cost that is only partly known; None for a fully known cost."""
    return results.known_cost_usd if results.cost_usd is None else None


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _take_kept(entry: Entry, shard: Shard, files: ShardFiles, root: DataRoot) -> bool:
    """Copy the stored results of the shard's batch into place; return False if the ledger knows of none.

    Only the ledger is trusted: a file with the right name may belong to an earlier batch of the shard.
    """
    if entry.raw is None:
        return False
    try:
        kept = root.open(entry.raw)
    except InvalidReferenceError:
        # Read the results from the API again, which is free, instead of a file outside the data root.
        return False
    if not _is_kept(kept, shard):
        return False
    if str(kept) != str(files.raw):
        _copy(kept, files.raw)
    return True


def are_results_kept(batch_id: str, ledger: Ledger, root: DataRoot) -> bool:
    """Return whether the results of a batch are stored, so that the API is not needed to collect it again."""
    key = ledger.owner(batch_id)
    entry = ledger.load(key) if key is not None else None
    if entry is None or entry.batch_id != batch_id or entry.raw is None:
        return False
    try:
        return bool(root.open(entry.raw).exists())
    except InvalidReferenceError:
        return False


def _download(  # noqa: PLR0917 - private, called once
    batch: Batch,
    shard: Shard,
    files: ShardFiles,
    provenance: Provenance,
    api: BatchApi,
    model: type[BaseModel] | None,
    accepted: AcceptedResults | None,
    sleep: Callable[[float], None],
) -> ShardResults:
    """Store and collect the results; read again while any are missing, as sending those again costs money.

    :raises ResultsError: no line has a result of the shard; all its articles would be sent and paid again.
    """

    def check_short(report: StreamReport) -> None:
        if not _are_unusable(batch, shard, report):
            check_short_results(batch, shard, report, accepted)

    results: ShardResults | None = None
    with ShardRows(shard, files, provenance, model) as rows:
        for _ in range(READINGS):
            lines = keep_raw(
                batch, files.raw, api, shard.articles, read=rows.read, check_short=check_short, sleep=sleep
            )
            results = None if _are_unusable(batch, shard, rows.report) else rows.write()
            if results is not None and (lines < shard.articles or not results.by_status.get(MISSING)):
                break
    if results is None:
        raise _not_ours(batch, shard, rows.report)
    return results


def _are_unusable(batch: Batch, shard: Shard, report: StreamReport) -> bool:
    """Return whether no line is a result of the shard: something between changes all of them, or holds them back.

    A single line may be damaged by chance; and what is missing after the second round is not sent again. The batch's
    own counts tell whether there was anything to pay for; those that still say ``processing`` are of an earlier moment.
    """
    if report.good or shard.round != 1:
        return False
    counts = batch.request_counts
    if not counts.succeeded and counts.errored + counts.expired + counts.canceled >= shard.articles:
        return False
    return report.lines != 1 or shard.articles > 1


def _not_ours(batch: Batch, shard: Shard, report: StreamReport) -> ResultsError:
    seen = (
        f"none of the {report.lines:,} lines of the results of batch {batch.id} is a result of shard {shard.name}: "
        f"{report.foreign:,} have the custom_id of another request, {report.malformed:,} cannot be read "
        f"({', '.join(report.examples)})"
    )
    if not report.lines:
        seen = f"the results of batch {batch.id} of shard {shard.name} hold no line"
    return ResultsError(
        f"{seen}. The answers are paid for, so nothing is sent again. If a gateway is between, "
        "it may change custom_ids or lines: connect without it, then clear this task; reading them again pays "
        f"nothing. To give these answers up and pay again: nightpress ledger discard {shard.key[:16]} "
        "--even-submitted.",
        code="results_not_ours",
    )


def _retrieve_ended(batch_id: str, api: BatchApi) -> Batch:
    batch = api.retrieve(batch_id)
    if not batch.ended:
        raise ResultsError(
            f"batch {batch_id} is {batch.processing_status}; its results come when it has ended",
            code="batch_not_ended",
        )
    return batch


def _is_kept(raw: StoragePath, shard: Shard) -> bool:
    """Return whether a stored result stream exists and belongs to this shard."""
    if not raw.exists():
        return False
    with open_raw(raw) as stream:
        return next(iter_outcomes(stream, shard.key, shard.articles, StreamReport()), None) is not None


def _copy(source: StoragePath, target: StoragePath) -> None:
    with open_reader(source) as stream, atomic_writer(target) as copy:
        shutil.copyfileobj(stream, copy)


def find_failures(results: StoragePath) -> tuple[dict[str, int], tuple[Example, ...]]:
    """Count the requests without an answer by the API's error type; without one, by status.

    :param results: a shard's ``results-*.parquet``.
    :return: the counts, the most frequent kind first, and up to three examples of each kind: custom ids and the
        API's messages, never article text.
    """
    table = read_parquet(results, ["status", "error_type", "error_message", "custom_id", "article_id"])
    counts: Counter[str] = Counter()
    examples: list[Example] = []
    for row in table.filter(pc.not_equal(table["status"], SUCCEEDED)).to_pylist():
        kind = str(row["error_type"] or row["status"])[:100]
        counts[kind] += 1
        if counts[kind] <= EXAMPLES_OF_A_KIND:
            # A validator's message may quote the answer.
            message = "" if kind == "model_check" else row["error_message"] or ""
            about = (message[:MESSAGE_CHARACTERS], str(row["article_id"])[:200])
            examples.append(Example(kind, row["custom_id"], *about))
    kinds = [kind for kind, _ in counts.most_common(MAX_KINDS)]
    return most_frequent(counts), tuple(example for example in examples if example.kind in kinds)
