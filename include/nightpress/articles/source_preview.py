"""Preview a source before anything is planned: show within seconds what would be read, and what would not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nightpress.articles.article import Article, ReadStats, Rejected, show_position
from nightpress.articles.reader import SourceReader
from nightpress.articles.reading_options import FieldMap, ReadOptions
from nightpress.articles.source_files import Source, SourceFile, SourceFiles, find_files
from nightpress.articles.source_report import SourceReport
from nightpress.errors import InputError

_MAX_FILES = 20
_MAX_ROWS = 2_000
_MAX_LISTED = 1_000


@dataclass(slots=True)
class SourcePreview:
    """The result of a preview.

    :param files: all files, as they would be read.
    :param looked_at: files that were opened.
    :param whole: True if every row of every file was read; otherwise the numbers are from a sample.
    :param rejected: rows that would not be sent, by reason; the position of an example is in ``examples``.
    :param cut: articles longer than ``max_content_chars``.
    :param problem: why a file cannot be read; empty if all opened files can be read.
    :param first: the first articles; they must never be logged.
    """

    files: SourceFiles
    max_content_chars: int | None
    looked_at: int = 0
    whole: bool = True
    rows: int = 0
    articles: int = 0
    characters: int = 0
    cut: int = 0
    cut_characters: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    metadata: list[str] = field(default_factory=list)
    problem: str = ""
    first: list[Article] = field(default_factory=list)
    report: SourceReport = field(default_factory=SourceReport)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all files; None if no listing stated them."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def to_values(self) -> dict[str, Any]:
        """Return everything but the articles' texts, for programs."""
        return {
            "files": [
                {"path": str(file.path), "bytes": file.size_bytes, "format": file.format or "by content"}
                for file in self.files[:_MAX_LISTED]
            ],
            "files_count": len(self.files),
            "files_looked_at": self.looked_at,
            "whole": self.whole,
            "bytes": self.size_bytes,
            "rows": self.rows,
            "articles": self.articles,
            "characters": self.characters,
            "max_content_chars": self.max_content_chars,
            "cut": self.cut,
            "cut_characters": self.cut_characters,
            "rejected": [
                {"reason": reason, "rows": count, "example": self.examples[reason]}
                for reason, count in self.rejected.most_common()
            ],
            "kinds": dict(self.report.kinds),
            "fields": self.report.fields,
            "metadata": self.metadata,
            "derived_ids": self.report.derived_ids,
            "skipped": self.report.skipped,
            "skipped_count": self.report.skipped_count,
            "warnings": self.report.warnings,
            "problem": self.problem,
        }


def preview_source(
    source: Source,
    *,
    fields: FieldMap | None = None,
    options: ReadOptions | None = None,
    max_content_chars: int | None = None,
    seconds: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
) -> SourcePreview:
    """Read a sample of a source: rows of up to 20 of its files, spread evenly, until the time is up.

    :param max_content_chars: most characters of an article that would be sent; None sends all.
    :param seconds: time limit for reading; a step that has begun is completed.
    :raises InputError: the source does not exist, or nothing in it can be read.
    :raises ConfigurationError: a package for the source is not installed.
    """
    options = options or ReadOptions()
    files = find_files(source, format=options.format)
    preview = SourcePreview(files, max_content_chars)
    stats = ReadStats(source=preview.report)
    reader = SourceReader(fields or FieldMap(), options, stats)
    for path, why in files.report.skipped.items():
        preview.report.skip(path, why)
    chosen = _spread(files.files)
    preview.whole = len(chosen) == len(files)
    end = clock() + seconds
    for file in chosen:
        if clock() > end and preview.looked_at:
            preview.whole = False
            break
        preview.looked_at += 1
        try:
            _look_at(reader.iter_file(file), preview, lambda: clock() > end)
        except InputError as error:
            preview.problem = preview.problem or str(error)
    preview.rows = stats.rows
    return preview


def _spread(files: Sequence[SourceFile]) -> list[SourceFile]:
    if len(files) <= _MAX_FILES:
        return list(files)
    return [files[number * (len(files) - 1) // (_MAX_FILES - 1)] for number in range(_MAX_FILES)]


def _look_at(rows: Iterator[Article | Rejected], preview: SourcePreview, late: Callable[[], bool]) -> None:
    names = dict.fromkeys(preview.metadata)
    longest = preview.max_content_chars
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Article):
            preview.articles += 1
            preview.characters += len(row.content)
            if longest is not None and len(row.content) > longest:
                preview.cut += 1
                preview.cut_characters += len(row.content) - longest
            names.update(dict.fromkeys(row.metadata))
            if len(preview.first) < 3:
                preview.first.append(row)
        else:
            preview.rejected[row.reason] += 1
            preview.examples.setdefault(row.reason, f"{row.file}: {show_position(row)}: {row.detail}")
        if number >= _MAX_ROWS or late():
            preview.whole = False
            break
    preview.metadata = list(names)
