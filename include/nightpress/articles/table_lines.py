"""Read the lines of a text table: rows end with the header's line break, and never silently with another.

For Python's parser, a carriage return outside quotes ends a row. pandas writes one into an unquoted value if
its rows end with a line feed, and such a value would be cut. So other line breaks than the header's are
replaced by lone surrogates, which no decoded text contains, before parsing, and then restored in the values.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal, TypeAlias

import numpy as np

from nightpress.articles.byte_streams import RawStream
from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import InputError

LineBreak: TypeAlias = Literal["\n", "\r\n", "\r", ""]
"""The end of a row; empty means any of the three."""

SAID: dict[str | None, LineBreak] = {"lf": "\n", "crlf": "\r\n", "any": ""}
"""Line breaks by the names of :attr:`ReadOptions.line_break`."""

_BLOCK = 1024 * 1024
_CHARACTERS = 256 * 1024
_MANY_TIMES = 50  # rows with too many values are reported by line as long as they fit into memory

_CR, _LF = "\udc0d", "\udc0b"
"""Placeholders for line breaks that are text."""

ENDS = ("\udc0e", "\udc0a")
"""Marks before the line feed of a line with another end than the header's: for a hidden CR, and for none."""

_SHOWN = {"\n": "LF", "\r\n": "CRLF"}


def line_break_of(text: str) -> LineBreak:
    r"""Return the line break that ends the first line, ignoring line breaks inside quotes.

    >>> line_break_of('id,"a\nb"\r\n1,2\n')
    '\r\n'
    """
    outside = 0
    for number, part in enumerate(text.split('"')):
        if number % 2 == 0:
            found = [place for place in (part.find("\n"), part.find("\r")) if place >= 0]
            if found:
                start = outside + min(found)
                if text[start] == "\n":
                    return "\n"
                return "\r\n" if text[start + 1 : start + 2] == "\n" else "\r"
        outside += len(part) + 1
    return "\n"


def split_lines(text: str, line_break: LineBreak) -> list[str]:
    """Return the lines of a text in the same form as :class:`TableLines` returns those of a file."""
    newline: str = "\n" if line_break == "\r\n" else line_break
    lines = list(io.StringIO(text, newline=newline))
    return hide_others(lines, line_break) if line_break in ("\n", "\r\n") and "\r" in text else lines


def hide_others(lines: Sequence[str], line_break: LineBreak) -> list[str]:
    """Hide line breaks that do not end a row from the parser."""
    hide = _hide_in_lf if line_break == "\n" else _hide_in_crlf
    return [hide(line) for line in lines]


def _hide_in_lf(line: str) -> str:
    if "\r" not in line:
        return line
    if line.endswith("\r\n"):
        return line[:-2].replace("\r", _CR) + ENDS[0] + "\n"
    return line.replace("\r", _CR)


def _hide_in_crlf(line: str) -> str:
    if line.endswith("\r\n"):
        body = line[:-2]
        return body.replace("\r", _CR) + "\r\n" if "\r" in body else line
    if line.endswith("\n"):
        return line[:-1].replace("\r", _CR) + ENDS[1] + "\n"
    return line[:-1].replace("\r", _CR) + line[-1:]


def with_line_breaks(values: list[str]) -> list[str]:
    """Return values with the hidden line breaks restored."""
    return [value if value.isascii() else _restored(value) for value in values]


def _restored(value: str) -> str:
    value = value.replace(_CR, "\r").replace(_LF, "\n")
    return value.replace(ENDS[0], "\r").replace(ENDS[1], "")


def mixed_line_breaks(file: str, line: int, line_break: LineBreak) -> InputError:
    """Return the error for a row that ends with another line break than the header."""
    other = "CRLF" if line_break == "\n" else "LF"
    return InputError(
        f"{file}: the row that ends on line {line:,} ends with {other}, and the header with {_SHOWN[line_break]}, so "
        "it is unclear whether that is the end of the row or text of its last value. Say line_break='any' if every "
        f"line break ends a row, or line_break={_SHOWN[line_break].lower()!r} if only the header's does and others are "
        "text; or write the file again with a CSV library. No article is sent until then"
    )


class TableLines:
    """The lines of a table, in blocks.

    :param line_break: the table's line break.
    :param strict: True if a person set the line break; all other line breaks are then text.
    """

    def __init__(self, source: GuardedReader, line_break: LineBreak, *, strict: bool) -> None:
        self._source, self.line_break, self.strict = source, line_break, strict
        newline: str = "\n" if line_break == "\r\n" and not strict else line_break
        self._text = io.TextIOWrapper(source, encoding="utf-8", newline=newline)
        self._text._CHUNK_SIZE = _CHARACTERS  # type: ignore[attr-defined]  # fewer calls; 8 KiB otherwise

    @property
    def mixed(self) -> bool:
        """Whether line breaks may have been hidden so far."""
        return self._source.mixed

    @mixed.setter
    def mixed(self, mixed: bool) -> None:
        self._source.mixed = mixed

    def blocks(self) -> Iterator[list[str]]:
        """Yield some lines at a time."""
        while lines := self._text.readlines(_CHARACTERS):
            if not self._source.mixed:
                yield lines
            elif self.strict:
                end = self.line_break
                yield [
                    line.removesuffix(end).replace("\r", _CR).replace("\n", _LF)
                    + (end if line.endswith(end) else "")
                    for line in lines
                ]
            else:
                yield hide_others(lines, self.line_break)


class GuardedReader(io.BufferedReader):
    """A buffered reader that counts its bytes, detects other line breaks, and refuses impossible lines.

    A block of a megabyte without a line break is one long quoted value or thousands of columns. The parser
    would turn the latter into a list of millions of values before it could be checked.
    """

    def __init__(
        self, stream: BinaryIO, delimiter: str, line_break: LineBreak, limits: ReadLimits, file: str
    ) -> None:
        super().__init__(RawStream(stream), _BLOCK)
        self.given_bytes, self.last_byte, self.mixed = 0, b"", False
        self._delimiter, self._limits, self._file = delimiter.encode(), limits, file
        self._line_break, self.count_pairs = line_break, False
        self._quotes, self._columns, self._line_bytes = 0, 0, 0

    def skip(self, size_bytes: int) -> None:
        """Skip the lines before the header."""
        self.given_bytes += len(super().read(size_bytes))

    def read1(self, size: int = -1, /) -> bytes:
        """Return some bytes; empty at the end."""
        data = super().read1(size)
        if not data:
            return data
        if data.endswith(b"\r"):
            data += super().read(1)
        self.given_bytes += len(data)
        self.last_byte = data[-1:]
        if b"\n" in data or b"\r" in data:
            self._columns = self._line_bytes = 0
        elif len(data) > 4096:
            self._check(data)
        if not self.mixed:
            self.mixed = self._has_others(data)
        self._quotes += _count(data, b'"')
        return data

    def _has_others(self, data: bytes) -> bool:
        """Return whether there is another line break than the table's, inside or outside quotes."""
        if self._line_break == "\n":
            return b"\r" in data
        if self._line_break != "\r\n":
            return False
        feeds = _count(data, b"\n")
        # Where rows are split, each line is checked for a CRLF pair; counting pairs here is slow.
        return _count(data, b"\r") != feeds or (self.count_pairs and data.count(b"\r\n") != feeds)

    def _check(self, data: bytes) -> None:
        """Count the delimiters outside quotes, and the bytes of the line."""
        for number, part in enumerate(data.split(b'"')):
            if (self._quotes + number) % 2 == 0:
                self._columns += part.count(self._delimiter)
        if self._columns > _MANY_TIMES * self._limits.max_columns:
            raise InputError(
                f"{self._file} has a line with more than {self._columns - 1:,} values, near byte "
                f"{self.given_bytes:,}; is it damaged, or separated otherwise? If it is right, raise "
                f"max_columns={self._limits.max_columns:,}"
            )
        self._line_bytes += len(data)
        if self._line_bytes > self._limits.max_row_bytes:
            raise InputError(
                f"{self._file} has a line longer than {self._limits.max_row_bytes:,} bytes, before byte "
                f"{self.given_bytes:,}; raise max_row_bytes if that is right. No article is sent until then"
            )


def _count(data: bytes, byte: bytes) -> int:
    """Return how often a byte is in a block; three times as fast as :meth:`bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == byte[0]))
