"""Requests of a day that are in batches of runs which have not published it: they would be paid for twice.

A shard whose articles are the same is found in the ledger, and answers of a published day are reused. In between,
after articles were added or changed, a request that is in a batch already is part of a new shard. A person has to
say whether it is sent again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.batches.ledger import Entry
from nightpress.costs.plan import Limits
from nightpress.costs.receipt_files import decode_receipt
from nightpress.folders import RunFolder
from nightpress.layout import list_names
from nightpress.parquet_files import open_parquet, read_parquet, write_parquet
from nightpress.runs.run import Run
from nightpress.runs.unrequested_runs import ASK_ABOVE_USD
from nightpress.shards.shard import Shard, ShardFiles, name_of_articles, shard_key_of
from nightpress.statuses import STATUSES
from nightpress.storage import INVALID_JSON, StoragePath

_KEPT = re.compile(r"paid-([0-9a-f]{64})\.parquet")
_PAID = pa.array([status.name for status in STATUSES.values() if status.kept])


@dataclass(frozen=True, slots=True)
class UnpublishedShard:
    """A shard that was submitted by a run which has not published the day.

    :param run: name of the run's folder.
    :param key: of the shard.
    :param requests: keys of its requests that are, or may be, paid for.
    """

    run: str
    key: str
    requests: pa.ChunkedArray


def find_unpublished(run: Run) -> list[UnpublishedShard]:
    """Return the submitted shards of the day's runs, this one included, that have not published it.

    Call it before the run's own articles are written, which replaces those of an earlier try: their requests are
    kept, so that the next try knows of them, too.
    """
    found = {each.key: each for each in _iter_unpublished(run)} if run.ledger is not None else {}
    for each in found.values():
        if each.run == run.folder.name:
            write_parquet(pa.table({"request_key": each.requests}), RunFolder(run.folder).paid(each.key))
    return list(found.values())


def _iter_unpublished(run: Run) -> Iterator[UnpublishedShard]:
    for folder in run.root.run_folders(run.pipeline, run.day):
        names = list_names(folder)
        if _has_published(run, folder):
            continue
        for name in filter(None, map(name_of_articles, names)):
            with suppress(FileNotFoundError, pa.ArrowInvalid):
                yield from _read_unpublished(run, ShardFiles(folder, name))
        for key in _kept_keys(names):
            if _find_paid(run, key) is not None:
                requests = read_parquet(RunFolder(folder).paid(key), ["request_key"])["request_key"]
                yield UnpublishedShard(folder.name, key, requests)


def _read_unpublished(run: Run, files: ShardFiles) -> Iterator[UnpublishedShard]:
    """Yield the shard of another run's folder, or of an earlier try's, if it was paid for this day."""
    with open_parquet(files.articles) as staged:
        key = shard_key_of(staged)
        entry = _find_paid(run, key)
        if entry is not None:
            requests = staged.read(["request_key"])["request_key"]
            yield UnpublishedShard(files.folder.name, key, _paid_requests(entry, files, requests))


def read_paid_requests(run: Run, files: ShardFiles, key: str) -> pa.ChunkedArray | None:
    """Return the keys of a shard's requests that are, or may be, paid for; None if none is.

    :param files: of the shard, unless another shard has replaced them since.
    :raises FileNotFoundError: it is not known which requests the shard had.
    :raises pyarrow.ArrowInvalid: the same.
    """
    entry = _find_paid(run, key)
    if entry is None:
        return None
    with suppress(FileNotFoundError), open_parquet(files.articles) as staged:
        if shard_key_of(staged) == key:
            return _paid_requests(entry, files, staged.read(["request_key"])["request_key"])
    return read_parquet(RunFolder(files.folder).paid(key), ["request_key"])["request_key"]


def _kept_keys(names: Iterable[str]) -> list[str]:
    return [matched[1] for matched in map(_KEPT.fullmatch, names) if matched]


def _find_paid(run: Run, key: str) -> Entry | None:
    """Return the entry of a shard that may have a batch of the day, and did not end without any answer."""
    entry = run.ledger.load(key) if run.ledger is not None and key else None
    if entry is None or (entry.pipeline, entry.day) != (run.pipeline, run.day):
        return None
    return entry if entry.may_have_batch and entry.answered != 0 else None


def _paid_requests(entry: Entry, files: ShardFiles, requests: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the requests that were paid for, or all as long as that is not known."""
    if entry.collected_at is None:
        return requests
    try:
        rows = read_parquet(files.results, ["request_key", "status"])
    except (FileNotFoundError, pa.ArrowInvalid):
        return requests
    return rows["request_key"].filter(pc.is_in(rows["status"], _PAID))


def others_may_publish(run: Run) -> bool:
    """Return whether another run of the day has not published it, as far as its receipt says."""
    folders = run.root.run_folders(run.pipeline, run.day)
    return any(not _has_published(run, folder) for folder in folders if folder.name != run.folder.name)


class _Planned(msgspec.Struct):
    run: str


def _has_published(run: Run, folder: StoragePath) -> bool:
    try:
        planned = msgspec.json.decode(RunFolder(folder).plan.read_bytes(), type=_Planned)
        stored = run.root.receipt_part(run.pipeline, run.day, planned.run).read_bytes()
    except (FileNotFoundError, *INVALID_JSON):
        return False
    receipt = decode_receipt(stored)
    return receipt is not None and receipt.published_at is not None


def ask_before_paying_twice(
    run: Run, shards: Sequence[Shard], unpublished: Sequence[UnpublishedShard], limits: Limits
) -> tuple[Limits, list[str]]:
    """Make a plan wait for approval if requests of it are in batches of runs that have not published the day.

    :param shards: of the plan; their articles are stored.
    :return: the limits, and a note that says why.
    """
    own = {shard.key for shard in shards}
    for each in unpublished:
        if each.key in own and each.run == run.folder.name:
            RunFolder(run.folder).paid(each.key).unlink(missing_ok=True)
    others = [each for each in unpublished if each.key not in own]
    if not others:
        return limits, []
    paid = pa.chunked_array([chunk for each in others for chunk in each.requests.chunks], pa.string())
    count = sum(_count_again(run, shard, paid) for shard in shards)
    if not count:
        return limits, []
    return replace(limits, approve_above_usd=ASK_ABOVE_USD), [_describe(count, {each.run for each in others})]


def _count_again(run: Run, shard: Shard, paid: pa.ChunkedArray) -> int:
    entry = run.ledger.load(shard.key) if run.ledger is not None else None
    if entry is not None and entry.may_have_batch:
        return 0
    requests = read_parquet(ShardFiles(run.folder, shard.name).articles, ["request_key"])["request_key"]
    return int(pc.sum(pc.is_in(requests, value_set=paid)).as_py() or 0)


def _describe(count: int, runs: Collection[str]) -> str:
    return (
        f"{count:,} of these articles are in batches of a run that has not published this day "
        f"({', '.join(sorted(runs))}): sent now, they are paid for twice. Let that run finish, or clear its failed "
        "tasks; then run this day again, and only new and changed articles are sent. So the plan waits for approval."
    )
