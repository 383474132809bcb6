"""Requests of a day that are in batches of runs which have not published it: they would be paid for twice.

A shard whose articles are the same is found in the ledger, and answers of a published day are reused. In between,
after articles were added or changed, a request that is in a batch already is part of a new shard. A person has to
say whether it is sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.batches.ledger import Entry
from nightpress.costs.plan import Limits
from nightpress.costs.receipt_files import decode_receipt
from nightpress.folders import RunFolder
from nightpress.layout import list_names
from nightpress.parquet_files import open_parquet, read_parquet
from nightpress.runs.run import Run
from nightpress.runs.unrequested_runs import ASK_ABOVE_USD
from nightpress.shards.shard import Shard, ShardFiles, name_of_articles
from nightpress.statuses import STATUSES
from nightpress.storage import INVALID_JSON, StoragePath

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

    Call it before the run's own articles are written, which replaces those of an earlier try.
    """
    return list(_iter_unpublished(run)) if run.ledger is not None else []


def _iter_unpublished(run: Run) -> Iterator[UnpublishedShard]:
    for folder in run.root.run_folders(run.pipeline, run.day):
        names = [name for name in map(name_of_articles, list_names(folder)) if name is not None]
        if not names or _has_published(run, folder):
            continue
        for name in names:
            try:
                shard = _read_unpublished(run, ShardFiles(folder, name))
            except (FileNotFoundError, pa.ArrowInvalid):
                continue
            if shard is not None:
                yield shard


def _read_unpublished(run: Run, files: ShardFiles) -> UnpublishedShard | None:
    """Return a shard of another run's folder, or of an earlier try's; None if it was not paid for this day."""
    with open_parquet(files.articles) as staged:
        key = (staged.schema_arrow.metadata or {}).get(b"shard_key", b"").decode()
        entry = run.ledger.load(key) if run.ledger is not None and key else None
        if entry is None or not _is_paid_by(entry, run):
            return None
        requests = staged.read(["request_key"])["request_key"]
    return UnpublishedShard(files.folder.name, key, _paid_requests(entry, files, requests))


def _is_paid_by(entry: Entry, run: Run) -> bool:
    mine = (entry.pipeline, entry.day) == (run.pipeline, run.day)
    return mine and entry.may_have_batch and entry.answered != 0


def _paid_requests(entry: Entry, files: ShardFiles, requests: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the requests that were paid for, or all as long as that is not known."""
    if entry.collected_at is None:
        return requests
    try:
        rows = read_parquet(files.results, ["request_key", "status"])
    except (FileNotFoundError, pa.ArrowInvalid):
        return requests
    return rows["request_key"].filter(pc.is_in(rows["status"], _PAID))


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
