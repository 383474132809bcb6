"""Remove files that are no longer needed from the data root.

Always kept: the ledger, receipts, published days and their earlier publications, reports, inboxes; all files
of a run with a batch that is not collected or an attempt with an unknown outcome; all sources of a kept
publication, so that it can be replayed; the results of hand-made requests, which are not published; and all
files of a run that is younger than the given age.

The following may be removed. At worst, a later step is refused with a clear message; nothing is paid twice:

* **bodies**: the POST body of a shard whose results are collected, unless the run has not published and the shard
  has articles that a second round sends again: it is made of this body.
* **unsent runs**: runs of which nothing was ever submitted: plans alone, rejected plans, failed reads.
* **leftovers**: temporary files of a killed writer.
* **replaced runs**, only on request: results of a run whose day another run has published since, if no
  publication of it is kept. The ledger still knows their batches, so the same articles are not paid again.
  After 29 days the API no longer has the results either, and they are lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot
from nightpress.runs.needed_files import Needs, find_needs, is_open, waits_for_others
from nightpress.runs.stored_files import (
    BODIES,
    LEFTOVERS,
    RAW,
    StoredAmount,
    StoredFile,
    add_up,
    list_files,
    remove_file,
)

DEFAULT_DAYS = 30
API_KEEPS_DAYS = 29
"""Days for which the API keeps results; documentation, "Message Batches: results availability"."""

COLLECTED_BODY = "staged bodies of collected shards"
UNSENT_RUN = "runs of which nothing was sent"
LEFT_ASIDE = "leftovers of killed writers"
REPLACED_RUN = "results of runs whose day another run has published since"
WAITING = "with a batch that is open"

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class PruneRules:
    """Rules for removal.

    :param days: only runs without a changed file for this many days, 1 or more.
    :param replaced_days: the same for results of replaced runs, more than the API's 29; None keeps them all.
    :raises ConfigurationError: a number is out of range.
    """

    days: int = DEFAULT_DAYS
    replaced_days: int | None = None

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ConfigurationError(
                f"{self.days} days are too few; a run that continues needs its files: 1 or more"
            )
        if self.replaced_days is not None and self.replaced_days <= API_KEEPS_DAYS:
            raise ConfigurationError(
                f"results of replaced runs may go after {self.replaced_days} days; the API still has them then, and a "
                f"run may want them: more than {API_KEEPS_DAYS} are needed"
            )


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """The files that would be removed.

    :param usage: files that are stored now, by kind.
    :param going: files that may be removed, by reason.
    :param kept: number of runs that are kept, by reason.
    """

    usage: Mapping[str, StoredAmount]
    going: Mapping[str, Sequence[StoredFile]]
    kept: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> StoredAmount:
        """Everything that may be removed."""
        files = [file for group in self.going.values() for file in group]
        return StoredAmount(len(files), sum(file.size_bytes for file in files))


def plan_prune(root: DataRoot, rules: PruneRules, now: float) -> PrunePlan:
    """Return the files that may be removed; nothing is changed.

    :param now: epoch seconds.
    :raises LedgerError: an entry of the ledger cannot be read, so it is unclear what is needed.
    :raises OSError: the store cannot be reached.
    """
    files = list_files(root)
    needs = find_needs(root)
    going: defaultdict[str, list[StoredFile]] = defaultdict(list)
    kept: defaultdict[str, int] = defaultdict(int)
    runs: defaultdict[str, list[StoredFile]] = defaultdict(list)
    for file in files:
        if file.run:
            runs[file.run].append(file)
        elif file.kind == LEFTOVERS and _unchanged_for(1, [file], now):
            going[LEFT_ASIDE].append(file)
    for place, folders in needs.publishers.items():
        moments = [file.modified for folder in folders for file in runs.get(folder, [])]
        if moments and None not in moments:
            needs.replaced_at[place] = min(moment for moment in moments if moment is not None)
    for run, own in runs.items():
        why_kept, found = _judge(root, run, own, needs, rules, now)
        if why_kept:
            kept[why_kept] += 1
        for reason, group in found.items():
            going[reason].extend(group)
    return PrunePlan(add_up(files), dict(going), dict(kept))


def remove_unneeded(root: DataRoot, rules: PruneRules, now: float) -> Iterator[tuple[str, StoredFile]]:
    """Remove the files that may be removed, and yield each one with its reason afterwards.

    Each run's files are checked again just before removal, so that a run that was restarted meanwhile keeps
    them. If the process is killed, the next call removes the rest; no file to be removed needs another one.

    :raises LedgerError: see :func:`plan_prune`; nothing was removed.
    """
    plan = plan_prune(root, rules, now)
    still_old: dict[str, bool] = {}
    for reason, group in plan.going.items():
        for file in group:
            if file.run and file.run not in still_old:
                still_old[file.run] = _unchanged_for(rules.days, list_files(root, file.run), now)
            if (not file.run or still_old[file.run]) and remove_file(root, file):
                yield reason, file


def _judge(  # noqa: PLR0917 - private, called once
    root: DataRoot, run: str, files: Sequence[StoredFile], needs: Needs, rules: PruneRules, now: float
) -> tuple[str, dict[str, list[StoredFile]]]:
    """Return why a run is kept (empty if it is not), and which of its files may be removed."""
    _, pipeline, day, _ = run.split("/", 3)
    entries = needs.entries.get(run, [])
    if not _unchanged_for(rules.days, files, now):
        return "younger than asked for", {}
    if any(map(is_open, entries)):
        return WAITING, {}
    if run in needs.folders:
        return "needed by a publication", _bodies(files)
    replaced = _before(files, needs.replaced_at.get((pipeline, day)))
    # A run whose day another run has published since is not continued.
    bodies = _bodies(files) if replaced else _bodies(files, needs.never_sent_again(run))
    if (pipeline, day) in needs.unknown:
        return "needed by a publication", bodies
    if not entries and run not in needs.discarded and not any(file.kind == RAW for file in files):
        return (WAITING, {}) if waits_for_others(root, files, needs) else ("", {UNSENT_RUN: list(files)})
    if any(file.name.startswith("given-") for file in files):
        return "of hand-made requests", bodies
    if rules.replaced_days is None or not (replaced and _unchanged_for(rules.replaced_days, files, now)):
        return "with answers that were paid for", bodies
    return "", {REPLACED_RUN: list(files)}


def _bodies(
    files: Sequence[StoredFile], never_sent_again: Collection[str] | None = None
) -> dict[str, list[StoredFile]]:
    """Return the bodies of shards whose results exist.

    :param never_sent_again: names of the only shards whose bodies may go; None allows all.
    """
    there = {file.name for file in files}
    named = ((file.name.removeprefix("requests-").partition(".")[0], file) for file in files)
    found = [
        file
        for name, file in named
        if file.kind == BODIES
        and f"results-{name}.parquet" in there
        and (never_sent_again is None or name in never_sent_again)
    ]
    return {COLLECTED_BODY: found} if found else {}


def _before(files: Sequence[StoredFile], moment: float | None) -> bool:
    """Return whether all files are older; False if that is unknown."""
    return moment is not None and all(file.modified is not None and file.modified < moment for file in files)


def _unchanged_for(days: float, files: Sequence[StoredFile], now: float) -> bool:
    """Return whether no file changed for this many days; False if the store does not state it."""
    limit = now - days * _DAY_SECONDS
    return bool(files) and all(file.modified is not None and file.modified <= limit for file in files)
