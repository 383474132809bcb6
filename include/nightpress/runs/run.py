"""What a run is: which day of which pipeline, what it reads, which earlier answers may stand in."""

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
    """What is read.

    :param shown: as the user wrote it, for people.
    :param files: what it came to.
    :param limit: read at most this many articles; None reads all.
    :param encoding: of text files; None detects it.
    :param options: how to read what is not detected, or not rightly.
    :param rows: a query or a function, read directly because nothing may be stored: a preview.
    :param published: what the one file is, when it is a published day of another pipeline.
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
        """Yield its rows.

        :raises InputError: it cannot be read.
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
    """Which earlier answers may stand in.

    :param fresh: none: everything is asked and paid again.
    :param days: published days before this one to look in, besides itself; 0 or more.
    :raises ConfigurationError: a negative number of days.
    """

    fresh: bool = False
    days: int = 0

    def __post_init__(self) -> None:
        if self.days < 0:
            raise ConfigurationError(f"reuse_days is {self.days}; it must be 0 or more days before this one")


@dataclass(frozen=True, slots=True)
class Run:
    """Which run it is, and where its files are.

    :param ledger: of the API that would be used; None when it is not known: then nothing counts as submitted.
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
        """True when the offline API would answer."""
        return self.ledger is not None and self.ledger.offline

    def published(self, day: str) -> StoragePath:
        """Return where a day of the pipeline is published."""
        return self.root.answers(self.pipeline, day)
