"""Rebuild a published day from the stored result streams, without the API.

Every file is first rebuilt in a temporary folder and compared; only files that differ are replaced, each
atomically. The same streams and the same versions of Nightpress, pyarrow and genai-prices give the same
bytes: the files do not depend on the clock or the machine. Another version of pyarrow may write the same rows
as other bytes; another version of genai-prices may have other prices. The report distinguishes both cases.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.days.day_sources import DaySources, ShardSource, read_published, read_sources
from nightpress.days.publications import keep_publication
from nightpress.days.publish import DayParts, write_day
from nightpress.errors import ResultsError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot
from nightpress.parquet_files import open_parquet
from nightpress.results.decode import StreamReport, iter_outcomes
from nightpress.results.raw_results import open_raw
from nightpress.results.shard_rows import Provenance, collect_shard
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.storage import StoragePath, atomic_writer, open_local, open_reader

IDENTICAL, SAME_ROWS, DIFFERS, WAS_GONE = "identical", "same rows", "differs", "was gone"
_COMPARED_ROWS = 20_000
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A file that the replay rebuilt.

    :param outcome: ``identical`` (same bytes), ``same rows`` (other bytes), ``differs`` or ``was gone``.
    :param detail: the columns that differ, and in how many rows.
    """

    path: str
    outcome: str
    detail: str = ""


@dataclass(slots=True)
class ReplayReport:
    """The outcome of a replay.

    :param shards: the shards' rebuilt results, in order, those of the second round last.
    :param day: the rebuilt published file.
    """

    shards: list[Rebuilt] = field(default_factory=list)
    day: Rebuilt | None = None

    @property
    def equal(self) -> bool:
        """True if every existing file has the same rows as its rebuilt version."""
        outcomes = {rebuilt.outcome for rebuilt in [*self.shards, *filter(None, [self.day])]}
        return outcomes <= {IDENTICAL, SAME_ROWS}


@dataclass(frozen=True, slots=True)
class _Aside(ShardFiles):
    """The files of a shard, with its results in a temporary folder."""

    scratch: StoragePath

    @property
    def results(self) -> StoragePath:
        """The results, in the temporary folder."""
        return RunFolder(self.scratch).results(self.name)


def replay_day(
    root: DataRoot,
    pipeline: str,
    day: str,
    *,
    tell: Callable[[str], None],
    write: bool = True,
) -> ReplayReport:
    """Rebuild the results of a day's shards and the published day, and replace the files that differ.

    :param tell: called with each line of progress.
    :param write: False only compares; the day is then not rebuilt if a shard differs.
    :raises ResultsError: the day was never published, or a source file is missing; nothing was changed.
    """
    published = root.answers(pipeline, day)
    sources = read_sources(published)
    places = {source: ShardFiles.of_results(root.open(source.results)) for source in _all(sources)}
    rejected = root.open(sources.rejected)
    reused = [root.open(reference) for reference in sources.reused]
    _check_files(places, [rejected, *reused])
    tell(f"{pipeline} {day}: {len(places)} shard(s), {sum(s.articles for s in sources.first):,} articles")
    report = ReplayReport()
    with tempfile.TemporaryDirectory(prefix="nightpress-replay-") as folder:
        scratch = DataRoot(open_local(folder))
        for number, (source, files) in enumerate(places.items(), start=1):
            made = _make_shard(source, files, pipeline, scratch.path)
            report.shards.append(_settle(made, files.results, write))
            tell(
                f"shard {number} of {len(places)} ({files.name}, {source.batch_id}): {_say(report.shards[-1])}"
            )
        if not write and any(made.outcome in {DIFFERS, WAS_GONE} for made in report.shards):
            return report
        made_day = scratch.answers(pipeline, day)
        parts = DayParts(
            [places[source].results for source in sources.first],
            rejected,
            [places[source].results for source in sources.second],
            reused,
            read_published(published).made_by,
        )
        with open_parquet(published) as file:
            earlier = file.schema_arrow
        write_day(root, made_day, pipeline, day, parts, earlier)
        report.day = _compare(made_day, published)
        if write and report.day.outcome != IDENTICAL:
            keep_publication(root, pipeline, day, keep=None)
            _replace(made_day, published)
    tell(f"{published}: {_say(report.day)}")
    return report


def _all(sources: DaySources) -> Iterator[ShardSource]:
    yield from sources.first
    yield from sources.second


def _say(rebuilt: Rebuilt) -> str:
    return f"{rebuilt.outcome} ({rebuilt.detail})" if rebuilt.detail else rebuilt.outcome


def _check_files(places: dict[ShardSource, ShardFiles], others: Sequence[StoragePath]) -> None:
    gone = []
    for source, files in places.items():
        if not files.raw.exists():
            gone.append(
                f"the kept results {files.raw} of shard {files.name}, batch {source.batch_id} (the API keeps results "
                "for 29 days: collect the shard once more to have them again)"
            )
        if not _is_readable(files.articles):
            gone.append(
                f"the articles {files.articles} of shard {files.name} (read the articles of the run once more; the "
                "batches are attached to, not paid again)"
            )
    gone += [f"the run's {path}" for path in others if not _is_readable(path)]
    if gone:
        more = f"; and {len(gone) - 5} more" if len(gone) > 5 else ""
        raise ResultsError(
            f"the day cannot be made again, nothing was changed. Gone or damaged: {'; '.join(gone[:5])}{more}",
            code="files_gone",
        )


def _is_readable(path: StoragePath) -> bool:
    try:
        with open_parquet(path):
            return True
    except (FileNotFoundError, pa.ArrowInvalid):
        return False


def _make_shard(source: ShardSource, files: ShardFiles, pipeline: str, scratch: StoragePath) -> StoragePath:
    shard = Shard(str(files.requests), source.articles, 0, source.key)
    provenance = Provenance(pipeline, source.day, source.batch_id, source.reused)
    _check_raw(shard, files, source)
    aside = _Aside(files.folder, files.name, scratch)
    collect_shard(shard, aside, provenance)
    return aside.results


def _check_raw(shard: Shard, files: ShardFiles, source: ShardSource) -> None:
    """Check that the stream is this shard's; with another shard's stream, every article would be missing."""
    report = StreamReport()
    with open_raw(files.raw) as stream:
        try:
            mine = next(iter_outcomes(stream, shard.key, shard.articles, report), None)
        except OSError as error:
            raise ResultsError(
                f"the kept results {files.raw} of shard {files.name}, batch {source.batch_id}, are damaged ({error}); "
                "nothing of the shard was changed. The API keeps results for 29 days: remove that file and collect the "
                "shard once more.",
                code="damaged_results",
            ) from error
    if mine is None and report.foreign:
        raise ResultsError(
            f"{files.raw} holds results of another shard than {shard.key[:16]}, of which the day was published"
        )


def _settle(made: StoragePath, target: StoragePath, write: bool) -> Rebuilt:
    """Compare a rebuilt file with the existing one, and replace the existing one if they differ."""
    rebuilt = _compare(made, target)
    if write and rebuilt.outcome != IDENTICAL:
        _replace(made, target)
    return rebuilt


def _replace(made: StoragePath, target: StoragePath) -> None:
    with open_reader(made) as source, atomic_writer(target) as copy:
        shutil.copyfileobj(source, copy)


def _compare(made: StoragePath, there: StoragePath) -> Rebuilt:
    path = str(there)
    if not there.exists():
        return Rebuilt(path, WAS_GONE)
    if _same_bytes(made, there):
        return Rebuilt(path, IDENTICAL)
    try:
        with open_parquet(made) as new, open_parquet(there) as old:
            detail = _compare_rows(new, old)
            writers = _writers(new, old)
    except (pa.ArrowInvalid, OSError) as error:
        return Rebuilt(path, DIFFERS, f"the file that was there cannot be read: {error}")
    if detail:
        return Rebuilt(path, DIFFERS, detail)
    return Rebuilt(path, SAME_ROWS, writers)


def _same_bytes(made: StoragePath, there: StoragePath) -> bool:
    if made.stat().st_size != there.stat().st_size:
        return False
    with open_reader(made) as new, open_reader(there) as old:
        while block := new.read(_BLOCK):
            if block != old.read(len(block)):
                return False
    return True


def _writers(made: pq.ParquetFile, there: pq.ParquetFile) -> str:
    earlier, now = str(there.metadata.created_by), str(made.metadata.created_by)
    return f"{earlier}, now {now}" if earlier != now else "its metadata differs"


def _compare_rows(made: pq.ParquetFile, there: pq.ParquetFile) -> str:
    """Return how the rows of two files differ; empty if they do not."""
    rows = (there.metadata.num_rows, made.metadata.num_rows)
    if rows[0] != rows[1]:
        return f"{rows[0]:,} rows, now {rows[1]:,}"
    columns, columns_there = made.schema_arrow, there.schema_arrow
    if not columns.equals(columns_there):
        changed = sorted({str(field) for field in columns} ^ {str(field) for field in columns_there})
        return f"columns {', '.join(changed)}"
    different: Counter[str] = Counter()
    for new_rows, old_rows in zip_longest(
        made.iter_batches(batch_size=_COMPARED_ROWS), there.iter_batches(batch_size=_COMPARED_ROWS)
    ):
        for name in columns.names:
            if not new_rows[name].equals(old_rows[name]):
                pairs = zip(new_rows[name].to_pylist(), old_rows[name].to_pylist(), strict=True)
                different[name] += sum(new != old for new, old in pairs)
    return ", ".join(f"{name} in {count:,} rows" for name, count in different.items())
