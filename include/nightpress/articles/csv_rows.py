"""Read rows of text tables (CSV and similar) with the standard library's parser in strict mode.

In lenient mode, a quote that is never closed turns the rest of the file into text, and a truncated article
would be sent as if it were complete.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from nightpress.articles.raw_row import BadRow, Row
from nightpress.articles.reading_options import Reading
from nightpress.articles.table_dialect import Dialect, ambiguous_quotes, merges_rows
from nightpress.articles.table_lines import GuardedReader, TableLines
from nightpress.articles.table_values import TableValues
from nightpress.errors import InputError

_NULL = "\\N"


class TableText:
    """A text table: reads its header, then its rows.

    :param stream: UTF-8 without a byte order mark.
    """

    def __init__(self, stream: BinaryIO, file: str, dialect: Dialect, reading: Reading) -> None:
        options = reading.options
        limits = options.limits
        csv.field_size_limit(limits.max_row_bytes)
        self._file, self._dialect, self._options, self._report = file, dialect, options, reading.report
        self._bytes = GuardedReader(stream, dialect.delimiter, dialect.line_break, limits, file)
        self._bytes.count_pairs = not dialect.splits
        self._bytes.skip(dialect.skip_bytes)
        lines = TableLines(self._bytes, dialect.line_break, strict=options.line_break is not None)
        self._values = TableValues(lines, dialect, file)
        self._rows = iter(self._values)
        self._line = dialect.skip_lines + 1
        self._first: list[str] = []
        self.columns = self._header()

    def _header(self) -> list[str]:
        """Return the stripped names of the columns, with names such as ``column_3`` for unnamed ones."""
        if not self._dialect.header:
            return list(self._options.columns or ())
        self._first = self._guarded_next() or []
        names = [name.strip() for name in self._first]
        while names and not names[-1]:
            names.pop()
        return [name or f"column_{number}" for number, name in enumerate(names, start=1)]

    def _guarded_next(self) -> list[str] | None:
        with self._named_errors():
            return next(self._rows, None)
        return None

    def iter_rows(self) -> Iterator[Row]:
        """Yield each row as a dict by column name, or as :class:`BadRow`; empty values are None."""
        with self._named_errors():
            yield from self._iter_rows()

    def _iter_rows(self) -> Iterator[Row]:
        names, width, nulls = self.columns, len(self.columns), 0
        read = self._values
        merges = (
            self._dialect.delimiter == "\t"
            and self._dialect.quoting == "double"
            and not self._options.quoting
        )
        known_nulls = self._options.quoting is None or self._options.quoting == "escaped"
        unnamed = [name for name in names if name.startswith("column_")] if self._dialect.header else []
        header, marked = self._headers()
        last: list[str] = []
        line = read.number + 1
        for values in self._rows:
            last = values
            if len(values) != width and not any(values[width:]):
                del values[width:]
            if (
                len(values) != width
                or values in (header, marked)
                or (header and _is_header_again(values, header))
            ):
                if values:
                    yield line, BadRow(len(values), width)
            else:
                if merges and read.number > line and merges_rows(values, "\t"):
                    raise InputError(ambiguous_quotes(self._file))
                row: dict[str, str | None] = dict(zip(names, values))  # noqa: B905 - equal lengths
                if "" in values:
                    row = {name: value or None for name, value in row.items()}
                    for name in unnamed:
                        if row[name] is None:
                            del row[name]
                if known_nulls and _NULL in values:
                    row = {name: None if value == _NULL else value for name, value in row.items()}
                    nulls += values.count(_NULL)
                yield line, row
            self._line = line = read.number + 1
        self._report.nulls += nulls
        self._check_end(last)

    def _headers(self) -> tuple[list[str] | None, list[str] | None]:
        """Return the header, which concatenated files repeat, possibly after a byte order mark."""
        header = self._first if len(self._first) == len(self.columns) > 1 else None
        return header, header and [f"\ufeff{header[0]}", *header[1:]]

    def _check_end(self, last: list[str]) -> None:
        """Refuse a table that may be cut off in its last value: neither a quote nor a line break ends it."""
        end = self._bytes.last_byte
        whole = end in (b"\n", b"") or (end == b"\r" and self._dialect.line_break != "\n")
        if not last or not last[-1] or whole or self._options.unfinished_line:
            return
        if end == b'"' and self._dialect.quoting in ("double", "backslash"):
            return
        raise InputError(
            f"{self._file}: the last line, {self._values.number:,}, has no line break, so it is unclear whether "
            "its last value is cut off; copy the file again, or end it with a line break if it is whole (or say "
            "unfinished_line=True). No article is sent until then"
        )

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Name the position where the parser fails, without quoting the file."""
        problem = ""
        try:
            yield
        except UnicodeDecodeError as error:
            byte = self._bytes.given_bytes - len(error.object) + error.start + 1
            problem = (
                f"byte {byte:,} (after line {self._values.number:,}) is not UTF-8, unlike everything before it; say "
                "what the file is in, e.g. encoding='cp1252', 'gb18030' or 'utf-16', or save it as UTF-8"
            )
        except csv.Error as error:
            problem = (
                f"the row that begins on line {self._line:,} is not valid CSV: a quote that is not closed or not "
                "doubled, or a stray line break; fix it, write the file again with a CSV library, or say "
                "quoting='none' if quotes are text"
            )
            if "field larger" in str(error):
                problem = (
                    f"the row that begins on line {self._line:,} has a value longer than "
                    f"{self._options.limits.max_row_bytes:,} bytes; raise max_row_bytes if that is right"
                )
        if problem:
            raise InputError(f"{self._file}: {problem}. No article is sent until then")


def _is_header_again(values: list[str], header: list[str]) -> bool:
    """Return whether a row is the header in other capitals, or the line of dashes that SQL Server puts under it."""
    if values[0][:1] == "-":
        dashes = [value.strip() for value in values]
        return not "".join(dashes).strip("-") and all(dashes) and max(map(len, dashes)) > 2
    if len(values[0]) != len(header[0]) or values[0].lower() != header[0].lower():
        return False
    return [value.lower() for value in values] == [name.lower() for name in header]
