"""The settings of a run: its pipeline and day, its source, and which earlier answers it may reuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nightpress.articles.article import Article, ReadStats, Rejected
from nightpress.articles.published_source import Published
from nightpress.articles.reader import iter_articles, iter_row_articles
from nightpress.articles.reading_options import FieldMap, ReadOptions
from nightpress.articles.row_sources import RowSource
from nightpress.articles.source_files import SourceFiles
from nightpress.batches.ledger import Ledger
from nightpress.days.published_articles import iter_published
from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot
from nightpress.storage import StoragePath


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a run.

    :param shown: the source as the user wrote it, for messages.
    :param files: the files of the source.
    :param limit: read at most this many articles; None reads all.
    :param encoding: of text files; None detects it.
    :param options: reading options where detection fails or is wrong.
    :param rows: a query or a function, read directly because a preview may store nothing.
    :param published: set if the source's one file is a published day of another pipeline.
    """

    shown: str
    files: SourceFiles | Sequence[StoragePath]
    fields: FieldMap
    encoding: str | None = None
    limit: int | None = None
    published: Published | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    rows: RowSource | None = None

    def iter_rows(self, day: str, stats: ReadStats) -> Iterator[Article | Rejected]:
        """Yield the source's rows.

        :raises InputError: the source cannot be read.
        """
        if self.published is not None:
            return iter_published(self.files[0], self.published, day, stats, self.limit)
        if self.rows is not None:
            return iter_row_articles(
                self.rows, day, fields=self.fields, limit=self.limit, options=self.options, stats=stats
            )
        return iter_articles(
            self.files,
            fields=self.fields,
            limit=self.limit,
            encoding=self.encoding,
            options=self.options,
            stats=stats,
        )


@dataclass(frozen=True, slots=True)
class Reuse:
    """Which earlier answers may be reused.

    :param fresh: True reuses none: everything is sent and paid again.
    :param days: number of published days before this one to search, besides the day itself; 0 or more.
    :raises ConfigurationError: a negative number of days.
    """

    fresh: bool = False
    days: int = 0

    def __post_init__(self) -> None:
        if self.days < 0:
            raise ConfigurationError(f"reuse_days is {self.days}; it must be 0 or more days before this one")


@dataclass(frozen=True, slots=True)
class Run:
    """A run's identity, and where its files are.

    :param ledger: ledger of the API to use; None if the API is unknown, and then nothing counts as submitted.
    """

    pipeline: str
    day: str
    run_id: str
    root: DataRoot
    ledger: Ledger | None = None

    @property
    def folder(self) -> StoragePath:
        """The folder of the run's files."""
        return self.root.run_folder(self.pipeline, self.day, self.run_id)

    @property
    def offline(self) -> bool:
        """True if the offline API would answer."""
        return self.ledger is not None and self.ledger.offline

    def published(self, day: str) -> StoragePath:
        """Return where a day of the pipeline is published."""
        return self.root.answers(self.pipeline, day)
