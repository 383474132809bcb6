"""What the stored runs are still needed for, from the ledger and the publications: the facts that ``prune`` goes by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import pyarrow as pa

from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.manual_ledger import list_apis
from nightpress.days.day_sources import read_sources
from nightpress.days.publications import list_publication_files
from nightpress.errors import InvalidReferenceError, LedgerError, ResultsError
from nightpress.layout import DataRoot, is_day
from nightpress.parquet_files import open_parquet
from nightpress.runs.stored_files import StoredFile
from nightpress.shards.shard import Shard, has_no_second_round, name_of_articles, shard_key_of
from nightpress.statuses import STATUSES


@dataclass(slots=True)
class Needs:
    """The files that are still needed.

    :param folders: run folders with sources of a kept publication.
    :param unknown: each ``(pipeline, day)`` with a publication that does not state its sources.
    :param publishers: run folders of the current publication, by ``(pipeline, day)``.
    :param replaced_at: epoch seconds of the first change in these folders; older runs were replaced.
    :param entries: ledger entries by run folder.
    :param open_keys: keys of the shards with a batch that is not collected, or that may have one.
    :param discarded: run folders with a shard that a person set aside: it was sent, or may have been.
    """

    folders: set[str] = field(default_factory=set)
    unknown: set[tuple[str, str]] = field(default_factory=set)
    publishers: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    replaced_at: dict[tuple[str, str], float] = field(default_factory=dict)
    entries: defaultdict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    discarded: set[str] = field(default_factory=set)
    open_keys: set[str] = field(default_factory=set)

    def never_sent_again(self, folder: str) -> set[str]:
        """Return the names of a run's shards of which no article goes into a second round.

        A shard that another run submitted is not among them: its entry names that run's files.
        """
        shards = ((Shard(entry.uri, 0, 0, entry.key), entry) for entry in self.entries.get(folder, ()))
        return {shard.name for shard, entry in shards if has_no_second_round(shard.uri) or _is_settled(entry)}


def is_open(entry: Entry) -> bool:
    """Return whether a shard has, or may have, a batch that is not collected."""
    return entry.batch_id is None or entry.collected_at is None


def waits_for_others(root: DataRoot, files: Iterable[StoredFile], needs: Needs) -> bool:
    """Return whether a run that submitted nothing has a shard whose batch another run submitted, not collected yet."""
    if not needs.open_keys:
        return False
    for file in files:
        if name_of_articles(file.name) is not None:
            with (
                suppress(FileNotFoundError, pa.ArrowInvalid),
                open_parquet(root.open(file.reference)) as articles,
            ):
                if shard_key_of(articles) in needs.open_keys:
                    return True
    return False


def _is_settled(entry: Entry) -> bool:
    """Return whether all requests of a collected shard have an outcome that is never sent again."""
    counts = entry.by_status or {}
    never = sum(
        number for name, number in counts.items() if name in STATUSES and STATUSES[name].again == "never"
    )
    return bool(entry.requests) and never == entry.requests


def find_needs(root: DataRoot) -> Needs:
    """Read every ledger entry and the sources of every publication.

    :raises LedgerError: an entry cannot be read, so what it needs is not known.
    """
    needs = Needs()
    for scope in list_apis(root):
        for key, entry in Ledger(root.ledger(), scope).scan():
            if isinstance(entry, Entry) and is_open(entry):
                needs.open_keys.add(key)
            if isinstance(entry, LedgerError):
                raise LedgerError(
                    f"the ledger's entry {key:.16} of {scope} cannot be read, so it is unclear what is needed; "
                    f"nothing was removed. Look at it first: {entry}"
                )
            for folder in {
                _folder_of(root, name) for name in (entry.uri, entry.raw or "", entry.results or "")
            }:
                needs.entries[folder].append(entry)
        for entry in Ledger(root.ledger(), scope).iter_discarded():
            needs.discarded.add(_folder_of(root, entry.uri))
    replaced = root.replaced_days()
    for pipeline in {*root.iter_pipelines(), *replaced}:
        for day in filter(is_day, {*root.published_days(pipeline), *replaced.get(pipeline, ())}):
            _add_publications(root, pipeline, day, needs)
    return needs


def _add_publications(root: DataRoot, pipeline: str, day: str, needs: Needs) -> None:
    for path in list_publication_files(root, pipeline, day):
        try:
            sources = read_sources(path)
            named = [source.results for source in (*sources.first, *sources.second)]
            folders = {_folder_of(root, name) for name in (*named, sources.rejected, *sources.reused)}
        except ResultsError:
            needs.unknown.add((pipeline, day))
            continue
        if "" in folders:
            needs.unknown.add((pipeline, day))
        needs.folders |= folders
        if path == root.answers(pipeline, day):
            needs.publishers[pipeline, day] = folders


def _folder_of(root: DataRoot, reference: str) -> str:
    """Return the run folder of a recorded reference; empty if it is in none."""
    try:
        relative = root.reference(root.open(reference)) if reference else ""
    except InvalidReferenceError:
        return ""
    return StoredFile(relative, 0, None).run
