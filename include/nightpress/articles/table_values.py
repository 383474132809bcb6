"""Read the values of a text table's rows: well-formed rows are split directly, all others by the parser.

The standard library's parser reads character by character, which takes five times as long for longer texts.
It still decides all other cases: in strict mode, it parses all rows that are not clearly well formed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain

from nightpress.articles.escaped_rows import split_escaped
from nightpress.articles.table_dialect import Dialect, doubled_quotes, other_escapes
from nightpress.articles.table_lines import ENDS, TableLines, mixed_line_breaks, with_line_breaks
from nightpress.errors import InputError

_MAX_JOINED = 1024 * 1024
_IN_QUOTES = re.compile(r'(?:[^"\\]|\\.)*+(?P<end>")?', re.DOTALL)


class TableValues:
    """The rows of a table: the values of each row, and the line on which it ends.

    :param number: lines read so far.
    """

    def __init__(self, lines: TableLines, dialect: Dialect, file: str) -> None:
        self._source, self._dialect, self._file = lines, dialect, file
        self._lines: Iterator[str] = chain.from_iterable(lines.blocks())
        self.number = dialect.skip_lines

    def __iter__(self) -> Iterator[list[str]]:
        dialect = self._dialect
        if dialect.splits:
            yield from self._split()
            return
        if dialect.quoting == "escaped":
            rows = split_escaped(self._counted(), dialect.delimiter)
        else:
            lines = self._checked() if dialect.strict_escapes else self._lines
            rows = self._parsed(self._closed(lines) if dialect.quoting == "backslash" else lines)
        for values in rows:
            yield self._plain(values) if self._source.mixed else values

    def _plain(self, values: list[str]) -> list[str]:
        """Return values with their line breaks restored.

        :raises InputError: the row ends with another line break than the header.
        """
        if values and values[-1].endswith(ENDS) and not self._source.strict:
            if len(values) == 1 and len(values[0]) == 1:
                return []  # a blank line
            raise mixed_line_breaks(self._file, self.number, self._source.line_break)
        return with_line_breaks(values)

    def _counted(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            yield line

    def _checked(self) -> Iterator[str]:
        """Refuse a backslash before anything but a quote."""
        for number, line in enumerate(self._lines, start=self.number + 1):
            if "\\" in line.replace('\\"', ""):
                raise InputError(other_escapes(self._file, number))
            yield line

    def _closed(self, lines: Iterator[str]) -> Iterator[str]:
        """Refuse text after a closing quote, which the parser would add to the value, quotes included."""
        delimiter, quoted = self._dialect.delimiter, False
        plain = re.compile(rf"(?:[^\\{re.escape(delimiter)}]|\\.)*+.?", re.DOTALL)
        ends = ("", delimiter, "\r", "\n", *ENDS)
        for number, line in enumerate(lines, start=self.number + 1):
            position = 0
            while position < len(line):
                if not quoted and line[position] != '"':
                    position = _match(plain, line, position).end()  # to the next value
                    continue
                match = _match(_IN_QUOTES, line, position + (not quoted))
                position, quoted = match.end() + 1, match["end"] is None
                if not quoted and line[match.end() : position] not in ends:
                    raise InputError(doubled_quotes(self._file, number))
                if quoted:
                    break  # the value continues on the next line
            yield line

    def _split(self) -> Iterator[list[str]]:
        delimiter, quotes = self._dialect.delimiter, self._dialect.quoting == "double"
        source, end = self._source, self._source.line_break
        length = len(end)
        for line in self._lines:
            self.number += 1
            body = line[:-length] if line.endswith(end) else self._odd_line(line)
            if not quotes or '"' not in body:
                values = body.split(delimiter) if body else []
                if "\r" in body:
                    values = next(self._parsed(iter((line,)), counted=1))
            else:
                found = split_quoted(body, delimiter)
                if found is None or found is OPEN:
                    for row in self._long_or_odd([line], body, found):
                        yield self._plain(row) if source.mixed else row
                    continue
                values = found
            yield self._plain(values) if source.mixed else values

    def _odd_line(self, line: str) -> str:
        """Return a line that lacks the header's line break, with its own end (if any) replaced by a mark."""
        if not line.endswith("\n") or self._source.strict:
            return line
        self._source.mixed = True
        body = line[:-1]
        return body if body.endswith(ENDS[1]) else body + ENDS[1]

    def _long_or_odd(self, pending: list[str], body: str, values: list[str] | None) -> Iterator[list[str]]:
        """Yield a row that spans several lines; if it is not well formed, the rows that the parser finds."""
        if values is OPEN:
            pending += self._rest_of_row(pending[0])
            last = pending[-1]
            end = self._source.line_break
            body = last.removesuffix(end) if last.endswith(end) else self._odd_line(last)
            values = split_quoted("".join([*pending[:-1], body]), self._dialect.delimiter)
        if values is not None and values is not OPEN:
            yield values
            return
        if self._source.mixed and body.endswith(ENDS) and not self._source.strict:
            raise mixed_line_breaks(self._file, self.number, self._source.line_break)
        taken = self.number
        self.number -= len(pending)
        for row in self._parsed(chain(pending, self._lines)):
            yield row
            if self.number >= taken:
                return

    def _rest_of_row(self, line: str) -> list[str]:
        """Return the lines up to the one that closes the open quote; fewer if they are too long."""
        rest: list[str] = []
        size = len(line)
        for more in self._lines:
            self.number += 1
            rest.append(more)
            size += len(more)
            if more.count('"') % 2 or size > _MAX_JOINED:
                break
        return rest

    def _parsed(self, lines: Iterator[str], counted: int = 0) -> Iterator[list[str]]:
        """Yield the rows as the parser reads them."""
        reader = csv.reader(lines, **self._dialect.reader_options())  # type: ignore[arg-type]
        before = self.number - counted
        for values in reader:
            self.number = before + reader.line_num
            yield values


def _match(pattern: re.Pattern[str], line: str, position: int) -> re.Match[str]:
    match = pattern.match(line, position)
    assert match is not None  # it also matches nothing
    return match


OPEN: list[str] = ["a quote is open at the end of the line"]
"""Result of :func:`split_quoted` for a row that continues on the next line."""


def split_quoted(record: str, delimiter: str) -> list[str] | None:
    r'''Return the values of a well-formed row; :data:`OPEN` if it continues, None if it is not well formed.

    >>> split_quoted('1,"two, ""too""",,"",x', ",")
    ['1', 'two, "too"', '', '', 'x']
    >>> split_quoted('5" disk,x', ",") is None, split_quoted('1,"two', ",") is OPEN
    (True, True)
    '''
    parts = record.split('"')
    head, count = parts[0], len(parts)
    if head and (head[-1] != delimiter or "\r" in head):
        return None
    values = head[:-1].split(delimiter) if head else []
    position = 1
    while position + 1 < count:
        text, after = parts[position], parts[position + 1]
        position += 2
        if not after and position < count:
            pieces = [text]
            while not after and position < count:  # a doubled quote
                pieces.append(parts[position])
                if position + 1 == count:
                    return OPEN
                after = parts[position + 1]
                position += 2
            text = '"'.join(pieces)
        values.append(text)
        if position >= count:
            if after and (after[0] != delimiter or "\r" in after):
                return None
            return values + after[1:].split(delimiter) if after else values
        if after != delimiter:
            if after[0] != delimiter or after[-1] != delimiter or "\r" in after:
                return None
            values += after[1:-1].split(delimiter)
    return OPEN
