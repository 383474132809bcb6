"""Rows of a JSON array and of JSON lines, in bounded memory.

The array is cut into elements by the standard library's own scanner, a quarter of a megabyte at a time. ijson is as
fast, but turns lone surrogates into ``?`` without a word and refuses what ``json.dump`` writes: NaN and
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

from nightpress.articles.byte_streams import RawStream
from nightpress.articles.raw_row import MAX_ROW_CHARS, Row
from nightpress.errors import InputError
from nightpress.storage import StoragePath

_BLOCK = 256 * 1024
_LONGEST_TOKEN = 16  # characters of a cut number, literal or escape that the scanner reports as an error
_NUMBERS = (int, float)
_skip_space = re.compile(r"[ \t\r\n]*").match


def iter_jsonl(stream: BinaryIO, path: StoragePath) -> Iterator[Row]:
    """Yield the value of each line that is not blank.

    :raises InputError: naming the line that is not JSON.
    """
    decode = msgspec.json.Decoder().decode
    lines = io.BufferedReader(RawStream(stream), _BLOCK)
    for number, line in enumerate(iter(partial(lines.readline, MAX_ROW_CHARS), b""), start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        try:
            yield number, decode(text)
            continue
        except (ValueError, RecursionError):
            pass
        if not text.isspace() and text:
            yield number, _decode_leniently(text, path, number)


def _decode_leniently(line: bytes, path: StoragePath, number: int) -> Any:
    """Read what the strict decoder refuses and others write: lone surrogates, NaN, huge numbers."""
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError:
        problem = "is not UTF-8; save the file as UTF-8"
    except (ValueError, RecursionError):
        problem = "is not a JSON value; mend or remove that line"
    if number == 1 and line.strip() == b"[":
        problem = "begins a JSON array; name the file .json"
    elif not line.endswith(b"\n"):
        problem = f"{problem} (it is the last one, without a line break: is the file cut off?)"
    if len(line) >= MAX_ROW_CHARS:
        problem = f"is longer than {MAX_ROW_CHARS:,} bytes; is each article on a line of its own?"
    raise InputError(f"{path}: line {number} {problem}. No article is sent until then")


def iter_json(stream: BinaryIO, path: StoragePath) -> Iterator[Row]:
    """Yield the elements of a JSON array.

    :raises InputError: it is no array, or naming the element that cannot be parsed.
    """
    text = _Text(stream, path)
    first = text.next_character()
    if not first:
        return
    if first == "{":
        raise InputError(
            f"{path} holds a JSON object where an array of articles should be; write [{{…}}, {{…}}], or name the "
            "file .jsonl if each line is an object"
        )
    if first != "[":
        raise text.error("is not JSON: it should begin with [")
    text.index += 1
    if text.next_character() == "]":
        text.index += 1
    else:
        yield from _iter_elements(text)
    if text.next_character():
        raise text.error("goes on after the array's end; write one array, or one object a line in .jsonl")


def _iter_elements(text: _Text) -> Iterator[Row]:
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


class _Text:
    """A window on the file's text that moves on by blocks."""

    def __init__(self, stream: BinaryIO, path: StoragePath) -> None:
        self.stream, self.path = stream, path
        self.window, self.index, self.elements = "", 0, 0
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._ended = False
        self._bytes = 0

    def next_character(self) -> str:
        """Go to the next character that is no white space; an empty string at the end."""
        while True:
            self.index = _skip_space(self.window, self.index).end()  # type: ignore[union-attr]
            if self.index < len(self.window):
                return self.window[self.index]
            if not self._read_on():
                return ""

    def element(self) -> Any:
        """Return the value here, reading on until it is whole."""
        size = _BLOCK
        while True:
            problem = ""
            try:
                value, end = self._scan(self.window, self.index)
                # A number may go on behind the window: what was read of -1.5 may be -1.
                margin = _LONGEST_TOKEN if type(value) in _NUMBERS else 0
                if end < len(self.window) - margin or self._ended:
                    self.index = end
                    return value
            except json.JSONDecodeError as error:
                problem = self._problem(error.msg, error.pos)
            except (ValueError, RecursionError):
                problem = "has a number or a nesting that is too long; mend that element"
            if not problem and len(self.window) - self.index > MAX_ROW_CHARS:
                problem = f"has an element longer than {MAX_ROW_CHARS:,} characters"
            if not problem and not self._read_on(size):
                problem = "is cut off; write it again"
            if problem:
                raise self.error(problem)
            size *= 2

    def error(self, problem: str) -> InputError:
        """Return the error that says where reading stopped, and quotes nothing."""
        return InputError(
            f"{self.path}: element {max(self.elements, 1)}, before byte {self._bytes:,}: the file {problem}. "
            "No article of it is sent until then"
        )

    def _problem(self, message: str, position: int) -> str:
        """Return what is wrong, or nothing if the rest may follow."""
        end = len(self.window.rstrip()) if self._ended else len(self.window) - _LONGEST_TOKEN
        if message.startswith("Unterminated string") or position >= end:
            return ""
        return "is not valid JSON; write it again with a JSON library"

    def _read_on(self, size: int = _BLOCK) -> bool:
        """Add a block to the window; False at the end."""
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
