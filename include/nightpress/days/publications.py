"""Earlier publications of a day: stored when a day is published again, listed, and restored.

They are in ``publications/<pipeline>/<day>/``, outside the folder that ``day=*/answers.parquet`` and readers
of whole folders look into. The file's name holds the time of replacement and a digest of the bytes::

    20261122T020304.567890Z-0123456789abcdef.parquet
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from nightpress.days.day_sources import read_published
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot, list_names
from nightpress.parquet_files import open_parquet
from nightpress.settings import DEFAULT_KEPT_PUBLICATIONS
from nightpress.statuses import SUCCEEDED
from nightpress.storage import StoragePath, atomic_writer, open_reader

CURRENT = "current"
"""Name of the publication that readers see."""

_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-([0-9a-f]{16})\.parquet")
_FORM = "%Y%m%dT%H%M%S.%fZ"
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredPublication:
    """One publication of a day.

    :param name: the name to restore it by; ``current`` for the one that readers see.
    :param replaced_at: when another publication replaced it; None for the current one.
    :param run: the run that published it; empty if the file does not state it.
    :param answered: articles with an answer.
    :param cost_usd: cost of its rows, reused rows at 0; None if an amount is unknown.
    :param damaged: the file cannot be read, so its numbers are unknown; it cannot be restored.
    """

    name: str
    replaced_at: datetime | None
    run: str
    articles: int
    answered: int
    cost_usd: float | None
    damaged: bool = False

    @property
    def current(self) -> bool:
        """True for the one that readers see."""
        return self.name == CURRENT


def list_publications(root: DataRoot, pipeline: str, day: str) -> list[StoredPublication]:
    """Return the stored publications of a day: the current one, then the others, the last replaced first.

    A damaged file hides only its own numbers: the list is what a person needs to restore another one.
    """
    found = []
    current = root.answers(pipeline, day)
    if current.exists():
        found.append(_describe_any(current, CURRENT, None))
    folder = root.publications(pipeline, day)
    listed: set[str] = set()
    for name in reversed(_kept_names(folder)):
        # Two runs that publish at once both keep the publication before.
        if name[24:40] in listed or _is_copy(folder / name, current):
            continue
        listed.add(name[24:40])
        replaced_at = datetime.strptime(name[:23], _FORM).replace(tzinfo=UTC)
        found.append(_describe_any(folder / name, name, replaced_at))
    return found


def list_publication_files(root: DataRoot, pipeline: str, day: str) -> list[StoragePath]:
    """Return the files of a day's stored publications, the current one first, without opening them."""
    current, folder = root.answers(pipeline, day), root.publications(pipeline, day)
    return [
        *([current] if current.exists() else []),
        *(folder / name for name in reversed(_kept_names(folder))),
    ]


def keep_publication(
    root: DataRoot,
    pipeline: str,
    day: str,
    *,
    keep: int | None = DEFAULT_KEPT_PUBLICATIONS,
    following: StoragePath | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StoragePath | None:
    """Store a copy of the published day before it is replaced, and delete the oldest copies above ``keep``.

    :param keep: number of copies; 0 keeps none, None deletes none.
    :param following: the file that replaces it, to be stored as well; it does not count. While it is the published
        day, :func:`list_publications` leaves the copy out.
    :return: the copy; None if nothing is published or nothing is kept. A file that is no Parquet, such as one that was
        cut off, is not kept: nothing can restore it.
    """
    current = root.answers(pipeline, day)
    folder = root.publications(pipeline, day)
    kept = new = None
    if keep != 0 and current.exists() and _is_parquet(current):
        kept = _keep(root, pipeline, day, current, now())
    if keep != 0 and following is not None:
        new = _keep(root, pipeline, day, following, now())
    if keep is not None:
        _remove_oldest(folder, keep, None if new is None else new.name)
    return kept


def _remove_oldest(folder: StoragePath, keep: int, new: str | None) -> None:
    """Delete all but the last ``keep`` publications; copies of the same bytes, by two runs at once, count as one.

    :param new: the file that is published next, which does not count.
    """
    last: set[str] = set()
    for name in reversed(_kept_names(folder)):
        if name == new or name[24:40] in last:
            continue
        if len(last) < keep:
            last.add(name[24:40])
        else:
            (folder / name).unlink(missing_ok=True)


def _keep(root: DataRoot, pipeline: str, day: str, file: StoragePath, moment: datetime) -> StoragePath:
    """Store a copy of a file as a publication, in place of earlier copies of the same bytes; return the copy."""
    folder, digest = root.publications(pipeline, day), _digest(file)
    kept = root.publication(pipeline, day, f"{moment.astimezone(UTC).strftime(_FORM)}-{digest}.parquet")
    same = [name for name in _kept_names(folder) if name[24:40] == digest]
    _copy(file, kept)
    for name in same:
        if name != kept.name:
            (folder / name).unlink(missing_ok=True)
    return kept


def restore_publication(
    root: DataRoot,
    pipeline: str,
    day: str,
    name: str,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StoredPublication:
    """Make an earlier publication the current one again; the one that it replaces is stored in its place.

    Nothing is sent or paid. The day's receipt stays: it states what was paid, whichever answers are shown.
    No publication is deleted: how many are kept is a setting of the pipeline, which is not known here.

    :param name: a name from :func:`list_publications`.
    :raises ResultsError: there is no such publication, or it cannot be read.
    """
    folder = root.publications(pipeline, day)
    names = _kept_names(folder)
    if name not in names:
        raise ResultsError(
            f"{pipeline} {day} has no earlier publication {name!r:.80}; there are: {', '.join(names) or 'none'}",
            code="no_publication",
        )
    restored = _describe(folder / name, CURRENT, None)
    target = root.answers(pipeline, day)
    if target.exists() and name[24:40] == _digest(target):
        return restored
    # Its copy stays, since a run that publishes at this moment may replace the restored day without having seen it.
    _copy(
        folder / name,
        target,
        lambda made: keep_publication(root, pipeline, day, keep=None, now=now),  # noqa: ARG005
    )
    return restored


def check_replacement(
    published: StoragePath, articles: int, answered: int, min_answered_share: float
) -> None:
    """Refuse to replace a published day with one that has too few answers.

    :param articles: articles of the new day.
    :param answered: articles of the new day with an answer.
    :param min_answered_share: 0 to 1; with 0, one answer is enough.
    :raises ResultsError: the published day would lose its answers.
    """
    enough = answered > 0 and answered >= min_answered_share * articles
    if enough or not published.exists():
        return
    before = _count_answers(published)
    if not before:
        return
    needed = f", and at least {min_answered_share:.0%} are needed" if answered else ""
    raise ResultsError(
        f"{published} holds {before:,} answers and is not replaced: the new day has {articles:,} articles, of which "
        f"{answered:,} were answered{needed}. Nothing is lost: what the new run was answered is kept in its folder. "
        "Look why so little was answered; to replace the day anyway, publish it with lose_answers.",
        code="would_lose_answers",
    )


def _count_answers(path: StoragePath) -> int:
    try:
        with open_parquet(path) as file:
            batches = file.iter_batches(columns=["status"])
            return sum(pc.sum(pc.equal(batch["status"], SUCCEEDED)).as_py() or 0 for batch in batches)
    except (pa.ArrowInvalid, FileNotFoundError):
        return 0


def _describe_any(path: StoragePath, name: str, replaced_at: datetime | None) -> StoredPublication:
    try:
        return _describe(path, name, replaced_at)
    except ResultsError:
        return StoredPublication(name, replaced_at, "", 0, 0, None, damaged=True)


def _describe(path: StoragePath, name: str, replaced_at: datetime | None) -> StoredPublication:
    try:
        made_by = read_published(path).made_by
        answered, articles, cost, unknown = 0, 0, 0.0, False
        with open_parquet(path) as file:
            for batch in file.iter_batches(columns=["status", "cost_usd"]):
                articles += batch.num_rows
                answered += pc.sum(pc.equal(batch["status"], SUCCEEDED)).as_py() or 0
                cost += pc.sum(batch["cost_usd"]).as_py() or 0.0
                unknown = unknown or bool(batch["cost_usd"].null_count)
    except pa.ArrowInvalid as error:
        raise ResultsError(f"{path} cannot be read ({error})", code="damaged_day") from None
    return StoredPublication(
        name, replaced_at, made_by.get("run", ""), articles, answered, None if unknown else cost
    )


def _is_parquet(path: StoragePath) -> bool:
    try:
        with open_parquet(path):
            return True
    except pa.ArrowInvalid:
        return False


def _kept_names(folder: StoragePath) -> list[str]:
    """Return the names of stored publications, the earliest replaced first."""
    return [name for name in list_names(folder) if _NAME.fullmatch(name)]


def _is_copy(kept: StoragePath, current: StoragePath) -> bool:
    """Return whether a kept publication is the published day itself; see :func:`keep_publication`."""
    try:
        same_size = kept.stat().st_size == current.stat().st_size
        return same_size and kept.name[24:40] == _digest(current)
    except FileNotFoundError:
        return False


def _digest(path: StoragePath) -> str:
    digest = hashlib.sha256()
    with open_reader(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()[:16]


def _copy(
    source: StoragePath,
    target: StoragePath,
    before_replacing: Callable[[StoragePath], object] | None = None,
) -> None:
    with open_reader(source) as stream, atomic_writer(target, before_replacing) as copy:
        shutil.copyfileobj(stream, copy, _BLOCK)
