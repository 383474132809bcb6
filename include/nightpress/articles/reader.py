"""Read and check the articles of a source, one by one, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from nightpress.articles.arrow_rows import check_types
from nightpress.articles.article import Article, ReadStats, Rejected
from nightpress.articles.field_mapping import FieldPaths, map_fields
from nightpress.articles.file_kinds import DOCUMENTS
from nightpress.articles.file_rows import iter_file
from nightpress.articles.nested_fields import value_at
from nightpress.articles.raw_row import FileRows
from nightpress.articles.reading_options import FieldMap, Reading, ReadOptions
from nightpress.articles.row_checks import CheckContext, RowChecker
from nightpress.articles.row_sources import RowSource
from nightpress.articles.seen_ids import SeenIds
from nightpress.articles.source_files import Source, SourceFile, SourceFiles, find_files
from nightpress.errors import InputError

__all__ = ["Article", "FieldMap", "ReadStats", "Rejected", "find_files", "iter_articles"]

_DEFAULT_FIELDS = FieldMap()
_DEFAULT_OPTIONS = ReadOptions()
_SAMPLE_ROWS = 200
_SAMPLE_CHARS = 4 * 1024 * 1024


def iter_articles(
    source: Source,
    *,
    fields: FieldMap = _DEFAULT_FIELDS,
    limit: int | None = None,
    encoding: str | None = None,
    options: ReadOptions = _DEFAULT_OPTIONS,
    stats: ReadStats | None = None,
) -> Iterator[Article | Rejected]:
    """Yield every row of a source, in order, as an article or as rejected with its reason.

    :param source: the argument or the result of :func:`find_files`.
    :param fields: the source's names of id, content and title; None tries the usual names.
    :param limit: stop after this many articles; rejected rows do not count. None reads all.
    :param encoding: encoding of text files, before that of the options; None detects it.
    :param options: settings in place of detection, and limits.
    :param stats: filled while reading, if given.
    :raises InputError: a file cannot be found, opened or parsed; the message names file, position and remedy.
    :raises ConfigurationError: the encoding is unknown, or a package for the source is not installed.
    """
    if encoding is not None:
        options = replace(options, encoding=encoding)
    stats = ReadStats() if stats is None else stats
    left = math.inf if limit is None else limit
    if left <= 0:
        return
    files = source if isinstance(source, SourceFiles) else find_files(source, format=options.format)
    for path, why in files.report.skipped.items():
        stats.source.skip(path, why)
    reader = SourceReader(fields, options, stats)
    for file in files:
        if limit is None:  # no rows to count, which would take a fiftieth of the time
            yield from reader.iter_file(file)
            continue
        for row in reader.iter_file(file):
            yield row
            if isinstance(row, Article):
                left -= 1
                if left <= 0:
                    return


def iter_row_articles(
    source: RowSource,
    day: str,
    *,
    fields: FieldMap = _DEFAULT_FIELDS,
    limit: int | None = None,
    options: ReadOptions = _DEFAULT_OPTIONS,
    stats: ReadStats | None = None,
) -> Iterator[Article | Rejected]:
    """Yield every row of a query or function like :func:`iter_articles`, unstored, for a preview."""
    stats = ReadStats() if stats is None else stats
    reader = SourceReader(fields, replace(options, partition_columns=False), stats)
    rows = enumerate((dict(row) for row in source.iter_rows(day)), start=1)
    left = math.inf if limit is None else limit
    for row in reader.check_rows(FileRows(source.shown, rows)) if left > 0 else ():
        yield row
        left -= isinstance(row, Article)
        if left <= 0:
            return


class SourceReader:
    """Maps the fields of each file of a source, and checks its rows; it knows the ids and names of earlier files."""

    def __init__(self, fields: FieldMap, options: ReadOptions, stats: ReadStats) -> None:
        self._fields, self._options, self._stats = fields, options, stats
        self._reading = Reading(fields, options, stats.source)
        self._context = CheckContext(options, SeenIds(), stats)
        self._mapping: FieldPaths | None = None
        self._file: SourceFile | None = None

    def iter_file(self, file: SourceFile) -> Iterator[Article | Rejected]:
        """Yield the rows of a file, checked; begin the next file only when this one is read."""
        self._file = file
        return iter_file(file, self.check_rows, self._reading)

    def check_rows(self, rows: FileRows) -> Iterator[Article | Rejected]:
        """Yield the rows of a file, checked."""
        sample, problem = _first_rows(rows)
        if not sample:
            if problem is not None:
                raise problem
            if rows.columns:
                self._map(rows, [])
            return
        mapping = self._map(rows, [row for _, row in sample if type(row) is dict])
        columns: dict[str, str | None] = {}
        if self._file is not None and self._options.partition_columns:
            columns = self._file.partition_columns()
        check = RowChecker(rows.shown, mapping, columns, self._context).check
        stats, by_lines, record = self._stats, int(rows.by_lines), 0
        for position, row in chain(sample, rows.rows):
            stats.rows += 1
            record += by_lines
            yield check(row, position, record)
        if problem is not None:
            raise problem

    def _map(self, rows: FileRows, sample: list[dict[str, Any]]) -> FieldPaths:
        """Return where the fields are; the mapping of earlier files is kept if the names are the same."""
        known = self._mapping
        documents = self._file is not None and self._file.format in DOCUMENTS
        if known is not None and (documents or _still_fits(known, rows, sample)):
            return known
        if not sample and rows.columns is None:
            return known or FieldPaths(("content",), ("id",), ("title",))
        mapping, doubts = map_fields(sample, self._fields, rows.shown, rows.columns)
        if rows.schema is not None:
            check_types(rows.shown, rows.schema, mapping)
        report = self._stats.source
        for doubt in doubts:
            report.warn(doubt, rows.shown)
        if known is not None and mapping != known:
            names = ", ".join(f"{ours} from {theirs}" for ours, theirs in mapping.shown().items())
            report.warn(f"its fields have other names than in the files before: {names}", rows.shown)
        else:
            report.fields.update(mapping.shown())
        self._mapping = mapping
        return mapping


def _first_rows(rows: FileRows) -> tuple[list[tuple[int, Any]], InputError | None]:
    """Return the first rows, as many as their size allows, and the error after them, if any."""
    sample: list[tuple[int, Any]] = []
    size = 0
    try:
        for position, row in rows.rows:
            sample.append((position, row))
            size += (
                sum(len(value) for value in row.values() if type(value) is str) if type(row) is dict else 0
            )
            if len(sample) >= _SAMPLE_ROWS or size > _SAMPLE_CHARS:
                break
    except InputError as error:
        return sample, error
    return sample, None


def _still_fits(mapping: FieldPaths, rows: FileRows, sample: list[dict[str, Any]]) -> bool:
    """Return whether a file has the fields under the names that the files before it had."""
    if rows.schema is not None:
        return False  # map again, which also checks the types
    paths = [
        path for path in (mapping.content, mapping.id if mapping.id_required else None, mapping.title) if path
    ]
    if rows.columns is not None:
        return all(path[0] in rows.columns for path in paths)
    return all(any(value_at(row, path) is not None for row in sample) for path in paths)
