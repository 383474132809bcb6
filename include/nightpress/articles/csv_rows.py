"""Rows of tables of text, with the standard library's parser in its strict form.

Strict, because the lenient one takes a quote that is never closed for text up to the end of the file, and
would send a cut-off article as if it were whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from nightpress.articles.byte_streams import RawStream
from nightpress.articles.raw_row import BadRow, Row
from nightpress.articles.reading_options import Reading, ReadLimits
from nightpress.articles.table_dialect import (
    Dialect,
    ambiguous_quotes,
    merges_rows,
    other_escapes,
    split_escaped,
)
from nightpress.errors import InputError

_BLOCK = 1024 * 1024
_NULL = "\\N"
_MANY_TIMES = 50  # rows of the wrong width are told by line as long as they fit into memory


class TableText:
    """The text of a table: gives its header, then its rows.

    :param stream: UTF-8 without a byte order mark.
    """

    def __init__(self, stream: BinaryIO, file: str, dialect: Dialect, reading: Reading) -> None:
        options = reading.options
        limits = options.limits
        csv.field_size_limit(limits.max_row_bytes)
        self._file, self._dialect, self._options, self._report = file, dialect, options, reading.report
        self._bytes = _GuardedReader(stream, dialect, limits, file)
        text = io.TextIOWrapper(self._bytes, encoding="utf-8", newline="")
        for _ in islice(text, dialect.skip_lines):
            pass
        lines: Iterator[str] = text
        if dialect.quoting == "backslash" and dialect.strict_escapes:
            lines = self._checked(text)
        self._lines = _LineCount(text) if dialect.quoting == "escaped" else None
        self._rows: Iterator[list[str]]
        if self._lines is not None:
            self._rows = split_escaped(self._lines, dialect.delimiter)
        else:
            self._rows = csv.reader(lines, **dialect.reader_options())  # type: ignore[arg-type]
        self.columns = self._header()

    @property
    def _line_number(self) -> int:
        """The last line that was read."""
        read = self._rows.line_num if self._lines is None else self._lines.number  # type: ignore[attr-defined]
        return self._dialect.skip_lines + int(read)

    def _checked(self, lines: Iterator[str]) -> Iterator[str]:
        """Refuse a backslash that stands before anything but a quote."""
        for number, line in enumerate(lines, start=self._dialect.skip_lines + 1):
            if "\\" in line.replace('\\"', ""):
                raise InputError(other_escapes(self._file, number))
            yield line

    def _header(self) -> list[str]:
        """Return the names of the columns: stripped, and ``column_3`` where there is none."""
        if not self._dialect.header:
            return list(self._options.columns or ())
        names = [name.strip() for name in self._guarded_next() or []]
        while names and not names[-1]:
            names.pop()
        return [name or f"column_{number}" for number, name in enumerate(names, start=1)]

    def _guarded_next(self) -> list[str] | None:
        return next((values for _, values in self._guarded(1)), None)

    def iter_rows(self) -> Iterator[Row]:
        """Yield each row as a dict by the names of the columns, or as :class:`BadRow`; empty values are None."""
        names, width, nulls = self.columns, len(self.columns), 0
        tabs = self._dialect.delimiter == "\t" and self._dialect.quoting == "double"
        known_nulls = self._options.quoting is None or self._options.quoting == "escaped"
        unnamed = [name for name in names if name.startswith("column_")] if self._dialect.header else []
        last: Sequence[str] = ()
        for line, values in self._guarded(self._line_number + 1):
            last = values
            if len(values) != width and not any(values[width:]):
                del values[width:]
            if len(values) != width:
                if values:
                    yield line, BadRow(len(values), width)
                continue
            if (
                tabs
                and self._options.quoting is None
                and self._line_number > line
                and merges_rows(values, "\t")
            ):
                raise InputError(ambiguous_quotes(self._file))
            row: dict[str, str | None] = dict(zip(names, values))  # noqa: B905 - as long as each other, see above
            if "" in values:
                row = {name: value or None for name, value in row.items()}
                for name in unnamed:
                    if row[name] is None:
                        del row[name]
            if known_nulls and _NULL in values:
                row = {name: None if value == _NULL else value for name, value in row.items()}
                nulls += values.count(_NULL)
            yield line, row
        self._report.nulls += nulls
        self._check_end(last)

    def _check_end(self, last: Sequence[str]) -> None:
        """Refuse a table that may be cut off in its last value: no quote and no line break ends it."""
        end = self._bytes.last_byte
        if not last or not last[-1] or end in (b"\n", b"\r", b"") or self._options.unfinished_line:
            return
        if end == b'"' and self._dialect.quoting in ("double", "backslash"):
            return
        raise InputError(
            f"{self._file}: the last line, {self._line_number:,}, has no line break, so it cannot be told whether its "
            "last value is cut off; copy the file again, or end it with a line break if it is whole (or say "
            "unfinished_line=True). No article is sent until then"
        )

    def _guarded(self, line: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the line that each row begins on, and its values; trouble is named without quoting the file."""
        problem = ""
        try:
            for values in self._rows:
                yield line, values
                line = self._line_number + 1
            return
        except UnicodeDecodeError as error:
            byte = self._bytes.given_bytes - len(error.object) + error.start + 1
            problem = (
                f"byte {byte:,} (after line {self._line_number:,}) is not UTF-8, unlike everything before it; say what "
                "the file is in, e.g. encoding='cp1252', 'gb18030' or 'utf-16', or save it as UTF-8"
            )
        except csv.Error as error:
            problem = (
                f"the row that begins on line {line:,} is not valid CSV: a quote that is not closed or not doubled, "
                "or a stray line break; mend it, write the file again with a CSV library, or say quoting='none' if "
                "quotes are text"
            )
            if "field larger" in str(error):
                problem = (
                    f"the row that begins on line {line:,} has a value longer than "
                    f"{self._options.limits.max_row_bytes:,} bytes; raise max_row_bytes if that is right"
                )
        raise InputError(f"{self._file}: {problem}. No article is sent until then")


class _LineCount:
    """Lines of a text, counted."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self.number = lines, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line


class _GuardedReader(io.BufferedReader):
    """A buffered reader that counts what it gave, and refuses a line that no table has.

    A block of a megabyte without a line break is one long value in quotes, or thousands of columns; the second
    would become a list of millions of values before the parser could be asked.
    """

    def __init__(self, stream: BinaryIO, dialect: Dialect, limits: ReadLimits, file: str) -> None:
        super().__init__(RawStream(stream), _BLOCK)
        self.given_bytes, self.last_byte = 0, b""
        self._delimiter, self._limits, self._file = dialect.delimiter.encode(), limits, file
        self._quotes, self._columns = 0, 0

    def read1(self, size: int = -1, /) -> bytes:
        """Return some bytes, none at the end."""
        data = super().read1(size)
        if data:
            self.given_bytes += len(data)
            self.last_byte = data[-1:]
            if len(data) > 4096 and b"\n" not in data and b"\r" not in data:
                self._check(data)
            else:
                self._columns = 0
            self._quotes += data.count(b'"')
        return data

    def _check(self, data: bytes) -> None:
        """Count delimiters outside of quotes."""
        for number, part in enumerate(data.split(b'"')):
            if (self._quotes + number) % 2 == 0:
                self._columns += part.count(self._delimiter)
        if self._columns > _MANY_TIMES * self._limits.max_columns:
            raise InputError(
                f"{self._file} has a line with more than {self._columns - 1:,} values, near byte "
                f"{self.given_bytes:,}; is it damaged, or separated otherwise? If it is right, raise "
                f"max_columns={self._limits.max_columns:,}"
            )
