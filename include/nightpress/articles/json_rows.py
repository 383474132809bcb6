"""Read rows of JSON in all its layouts, in bounded memory.

The standard library's scanner splits arrays into elements, a quarter of a megabyte at a time. ijson is as
fast, but silently turns lone surrogates into ``?`` and refuses values that ``json.dump`` writes: NaN and
integers beyond 64 bits.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

import msgspec

from nightpress.articles.byte_streams import RawStream, read_whole
from nightpress.articles.json_shape import Shape
from nightpress.articles.raw_row import Row
from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import InputError

_BLOCK = 256 * 1024
_LONGEST_TOKEN = 16  # characters of a cut number, literal or escape that the scanner reports as an error
_NUMBERS = (int, float)
_skip_space = re.compile(r"[ \t\r\n]*").match


def iter_json(stream: BinaryIO, file: str, shape: Shape, limits: ReadLimits) -> Iterator[Row]:
    """Yield the rows of a JSON file of a known shape, in UTF-8 without a byte order mark.

    :raises InputError: a line or element cannot be parsed; the message names it.
    """
    match shape.kind:
        case "empty":
            return iter(())
        case "lines":
            return _iter_lines(stream, file, limits)
        case "array":
            return _iter_arrays(_Text(stream, file, limits))
        case "objects":
            return _iter_objects(_Text(stream, file, limits))
        case "list":
            return _iter_list(_Text(stream, file, limits), shape.path)
    return _iter_table(stream, file, shape, limits)


def _iter_lines(stream: BinaryIO, file: str, limits: ReadLimits) -> Iterator[Row]:
    """Yield the value of each line that is not blank."""
    decode = msgspec.json.Decoder().decode
    longest = limits.max_row_bytes
    lines = io.BufferedReader(RawStream(stream), _BLOCK)
    for number, line in enumerate(iter(partial(lines.readline, longest), b""), start=1):
        if line == b"\n":
            continue
        try:
            yield number, decode(line)
            continue
        except (ValueError, RecursionError):
            pass
        if not line.isspace():
            yield number, _decode_leniently(line, file, number, longest)


def _decode_leniently(line: bytes, file: str, number: int, longest: int) -> Any:
    """Read values that the strict decoder refuses: lone surrogates, NaN, huge numbers."""
    try:
        return json.loads(line.decode("utf-8-sig"))  # concatenated files may have byte order marks
    except UnicodeDecodeError:
        problem = "is not UTF-8; save the file as UTF-8, or say what it is in with encoding="
    except (ValueError, RecursionError):
        problem = "is not a JSON value; fix or remove that line"
    if not line.endswith(b"\n"):
        problem = f"{problem} (it is the last one, without a line break: is the file cut off?)"
    if len(line) >= longest:
        problem = f"is longer than {longest:,} bytes; is each article on a line of its own? If so, raise max_row_bytes"
    raise InputError(f"{file}: line {number:,} {problem}. No article is sent until then")


def _iter_arrays(text: _Text) -> Iterator[Row]:
    """Yield the elements of an array, or of several consecutive arrays."""
    if text.next_character() != "[":
        raise text.error("is not JSON: it should begin with [ or {")
    while text.next_character() == "[":
        yield from _iter_array(text)
    if text.next_character():
        raise text.error("continues after the array's end; write one array, or one object a line")


def _iter_array(text: _Text) -> Iterator[Row]:
    """Yield the elements of the array that begins at the current position."""
    text.index += 1
    if text.next_character() == "]":
        text.index += 1
        return
    separator = ","
    while separator == ",":
        if not text.next_character():
            raise text.error("is cut off; write it again")
        text.elements += 1
        yield text.elements, text.element()
        separator = text.next_character()
        text.index += 1
    if not separator:
        raise text.error("is cut off; write it again")
    if separator != "]":
        raise text.error("is not valid JSON: a comma or ] is missing; write it again with a JSON library")


def _iter_objects(text: _Text) -> Iterator[Row]:
    """Yield consecutive values, with or without commas and line breaks between them."""
    while character := text.next_character():
        if character == "," and text.elements:
            text.index += 1
            continue
        if character != "{":
            raise text.error(
                "continues after an object with something else; write one object a line, or one array"
            )
        text.elements += 1
        yield text.elements, text.element()


def _iter_list(text: _Text, path: tuple[str, ...]) -> Iterator[Row]:
    """Yield the elements of a list inside an object; everything before and after it is parsed and dropped."""
    shown = ".".join(path)
    for depth, wanted in enumerate(path):
        if text.next_character() != "{":
            raise text.error(f"has no list of articles at {shown!r}; say where they are with record_path=")
        if not _go_to_key(text, wanted):
            raise text.error(
                f"has no {'.'.join(path[: depth + 1])!r}; say where the articles are with record_path="
            )
    if text.next_character() != "[":
        raise text.error(f"has no list at {shown!r} but something else; say where they are with record_path=")
    yield from _iter_array(text)
    _leave_objects(text, len(path))


def _go_to_key(text: _Text, wanted: str) -> bool:
    """Enter the current object and go to the value of a key; return False if it has no such key."""
    text.index += 1
    while (character := text.next_character()) not in ("}", ""):
        if character == ",":
            text.index += 1
            continue
        key = text.element()
        if text.next_character() != ":":
            raise text.error("is not valid JSON: a colon is missing; write it again with a JSON library")
        text.index += 1
        text.next_character()
        if key == wanted:
            return True
        text.element()
    return False


def _leave_objects(text: _Text, depth: int) -> None:
    """Read to the end of the objects around a list, to detect a file that is cut off."""
    while depth and (character := text.next_character()):
        if character in "}":
            depth -= 1
        if character in "},:":
            text.index += 1
        else:
            text.element()
    if depth:
        raise text.error("is cut off after the list; write it again")


def _iter_table(stream: BinaryIO, file: str, shape: Shape, limits: ReadLimits) -> Iterator[Row]:
    """Yield the rows of a table written by pandas, which can only be read as a whole."""
    try:
        whole = json.loads(read_whole(stream, limits, file))
        rows = list(_rows_of_table(whole, shape.kind))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        rows = None
    if rows is None:
        raise InputError(
            f"{file} looks like a {shape.shown} and is cut off, damaged or of another form; write it again, best as "
            "JSON lines. No article is sent until then"
        )
    yield from enumerate(rows, start=1)


def _rows_of_table(whole: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    if kind == "mapping":
        for key, row in whole.items():
            yield row if "id" in row or key.isdecimal() else {"id": key, **row}
    elif kind == "split":
        for values in whole["data"]:
            yield dict(zip(whole["columns"], values, strict=True))
    else:
        keys = list(next(iter(whole.values())))
        if any(list(column) != keys for column in whole.values()):
            raise ValueError("the columns are of different rows")
        for key in keys:
            yield {name: column[key] for name, column in whole.items()}


class _Text:
    """A window on the file's text that moves forward in blocks."""

    def __init__(self, stream: BinaryIO, file: str, limits: ReadLimits) -> None:
        self.stream, self.file, self._longest = stream, file, limits.max_row_bytes
        self.window, self.index, self.elements = "", 0, 0
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._ended = False
        self._bytes = 0

    def next_character(self) -> str:
        """Go to the next character that is not white space and return it; empty at the end."""
        while True:
            self.index = _skip_space(self.window, self.index).end()  # type: ignore[union-attr]
            if self.index < len(self.window):
                return self.window[self.index]
            if not self._read_on():
                return ""

    def element(self) -> Any:
        """Return the value at the current position; read more until it is complete."""
        size = _BLOCK
        while True:
            problem = ""
            try:
                value, end = self._scan(self.window, self.index)
                # A number may continue beyond the window: -1.5 may have been read as -1.
                margin = _LONGEST_TOKEN if type(value) in _NUMBERS else 0
                if end < len(self.window) - margin or self._ended:
                    self.index = end
                    return value
            except json.JSONDecodeError as error:
                problem = self._problem(error.msg, error.pos)
            except (ValueError, RecursionError):
                problem = "has a number or a nesting that is too long; fix that element"
            if not problem and len(self.window) - self.index > self._longest:
                problem = f"has an element longer than {self._longest:,} characters; raise max_row_bytes if it is right"
            if not problem and not self._read_on(size):
                problem = "is cut off; write it again"
            if problem:
                raise self.error(problem)
            size *= 2

    def error(self, problem: str) -> InputError:
        """Return the error that names the position where reading stopped, without quoting the file."""
        return InputError(
            f"{self.file}: element {max(self.elements, 1)}, before byte {self._bytes:,}: the file {problem}. "
            "No article of it is sent until then"
        )

    def _problem(self, message: str, position: int) -> str:
        """Return what is wrong; empty if the value may continue beyond the window."""
        end = len(self.window.rstrip()) if self._ended else len(self.window) - _LONGEST_TOKEN
        if message.startswith("Invalid \\") and position >= len(self.window) - _LONGEST_TOKEN:
            return ""  # the window ends inside an escape
        if message.startswith("Unterminated string") or position >= end:
            return ""
        return "is not valid JSON; write it again with a JSON library"

    def _read_on(self, size: int = _BLOCK) -> bool:
        """Add a block to the window; return False at the end of the file."""
        if self._ended:
            return False
        block = self.stream.read(size)
        try:
            more = self._decode(block, not block)
        except UnicodeDecodeError:
            more = None
        if more is None:
            raise self.error("is not UTF-8; save it as UTF-8")
        self._bytes += len(block)
        self._ended = not block
        self.window, self.index = self.window[self.index :] + more, 0
        return True
