"""Stop a POST of articles that another run of the day has sent since this run was planned: they would be paid twice.

A plan knows what was sent before it. Later another run of the day, with other articles, may be planned and send: while
this one waits for approval, or after it failed and before a person clears its task. Their shards differ, so the
ledger does not find one in the other.

Each POST leaves a file in its run's folder before it is sent, and then looks at those of the day's other runs. So of
two runs that send at the same moment at least one sees the other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import msgspec

from nightpress.batches.ledger import Ledger
from nightpress.errors import BudgetError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot, list_names
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.storage import INVALID_JSON, StoragePath, write_atomically

_SENT = re.compile(r"sent\.(?P<shard>[0-9a-z-]+)\.(?P<key>[A-Za-z0-9_-]{1,128})\.[0-9a-f]+\.json")
_SCHEMA_VERSION = 1


class _SentBefore(msgspec.Struct):
    posts: list[str]
    schema_version: int = _SCHEMA_VERSION


class _Post(NamedTuple):
    """A POST of another run, from the file that it left.

    :param name: of the file, with that of its run's folder.
    """

    name: str
    folder: StoragePath
    shard: str
    key: str


def keep_sent_before(
    root: DataRoot, folder: StoragePath, pipeline: str, day: str, *, fresh: bool = False
) -> None:
    """Store which POSTs of the day's other runs there are before a run is planned.

    Call it before the plan reads what was paid for, so that a later POST counts as unknown to the plan.

    :param folder: of the run.
    :param fresh: the run asks everything again, whatever was sent; nothing is stored.
    """
    path = RunFolder(folder).sent_before
    if fresh:
        path.unlink(missing_ok=True)
        return
    posts = [post.name for post in _iter_posts(root, folder, pipeline, day)]
    write_atomically(path, msgspec.json.encode(_SentBefore(posts)))


def check_sent_meanwhile(  # noqa: PLR0917 - all are needed
    shard: Shard, pipeline: str, day: str, root: DataRoot, ledger: Ledger, token: str
) -> None:
    """Tell the day's other runs of a POST, and refuse it if one of them has sent some of its articles meanwhile.

    Runs that were planned by an earlier release, and hand-made requests, are not checked, but tell the others.

    :param token: of the attempt in the ledger; the right to POST is taken.
    :raises BudgetError: articles of the shard are, or may be, paid for by another run.
    """
    folder = root.open(shard.uri).parent
    write_atomically(RunFolder(folder).sent(shard.name, shard.key, token), b"{}")
    posts = [post for post in _iter_posts(root, folder, pipeline, day) if post.key != shard.key]
    known = _read_sent_before(folder) if posts else None
    if known is None:
        return
    for post in posts:
        count = 0 if post.name in known else _count_paid(shard, post, pipeline, day, root, ledger)
        if count:
            raise BudgetError(
                f"{count:,} of the {shard.articles:,} articles of shard {shard.name} were sent by another run of "
                f"{pipeline} {day} ({post.folder.name}) after this run was planned: sent now, they are paid for twice. "
                "Nothing was sent. Let that run finish, then read the articles of this run again: only those that it "
                "has not answered are sent.",
                code="sent_meanwhile",
            )


def _iter_posts(root: DataRoot, own: StoragePath, pipeline: str, day: str) -> Iterator[_Post]:
    """Yield the POSTs of the day's other runs."""
    for folder in root.run_folders(pipeline, day):
        if folder.name != own.name:
            for found in filter(None, map(_SENT.fullmatch, list_names(folder))):
                yield _Post(f"{folder.name}/{found[0]}", folder, found["shard"], found["key"])


def _read_sent_before(folder: StoragePath) -> Collection[str] | None:
    """Return the POSTs that the run's plan knows; none if they cannot be read, and None if they were not stored."""
    try:
        found = msgspec.json.decode(RunFolder(folder).sent_before.read_bytes(), type=_SentBefore)
    except FileNotFoundError:
        return None
    except INVALID_JSON:
        return ()
    return frozenset(found.posts) if found.schema_version <= _SCHEMA_VERSION else ()


def _count_paid(  # noqa: PLR0917 - private, called once
    shard: Shard, post: _Post, pipeline: str, day: str, root: DataRoot, ledger: Ledger
) -> int:
    """Return how many articles of a shard are, or may be, in the batch of another run's POST."""
    # Imported only now, since hardly any POST has another run's beside it.
    import pyarrow as pa
    import pyarrow.compute as pc

    from nightpress.parquet_files import read_parquet
    from nightpress.runs.run import Run
    from nightpress.runs.unpublished_runs import read_paid_requests

    run = Run(pipeline, day, post.folder.name, root, ledger)
    try:
        paid = read_paid_requests(run, ShardFiles(post.folder, post.shard), post.key)
    except (FileNotFoundError, pa.ArrowInvalid):
        return shard.articles  # they cannot be compared, so they may be the same
    if paid is None:
        return 0
    own = read_parquet(ShardFiles.beside(root.open(shard.uri)).articles, ["request_key"])["request_key"]
    return int(pc.sum(pc.is_in(own, value_set=paid)).as_py() or 0)
