"""A window on a JSON text that moves forward in blocks: parses one value, or many at once.

The standard library's scanner splits a text into values, a quarter of a megabyte at a time. ijson is as fast, but
silently turns lone surrogates into ``?`` and refuses values that ``json.dump`` writes: NaN and integers beyond 64
bits. msgspec is twice as fast as the scanner, but needs to know where the text ends: see
:meth:`JsonWindow.elements_ahead`.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, BinaryIO

import msgspec

from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import InputError

_BLOCK = 256 * 1024
_LONGEST_TOKEN = 16  # characters of a cut number, literal or escape that the scanner reports as an error
_NUMBERS = (int, float)
_MAX_FAILURES = 3
_skip_space = re.compile(r"[ \t\r\n]*").match
_next_object = re.compile(r'\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*"(?:[^"\\]|\\.){1,200}"[ \t\r\n]*:').match


class JsonWindow:
    """A window on the file's text that moves forward in blocks.

    :param elements: values that were counted; errors name the last one.
    """

    def __init__(self, stream: BinaryIO, file: str, limits: ReadLimits) -> None:
        self.stream, self.file, self._longest = stream, file, limits.max_row_bytes
        self.window, self.index, self.elements = "", 0, 0
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._ended = False
        self._bytes = 0
        self._fast = msgspec.json.Decoder(list[Any]).decode
        self._joint, self._failures = "", 0

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

    def elements_ahead(self) -> list[Any]:
        """Return the elements of an array that follow the last one, as far as the window has them whole.

        Call it where an element has just ended. The text is cut where an element seems to end and the next one seems
        to begin: ``}``, a comma, ``{`` and the same first key as before. If this is inside a string or a nested
        list, then the string or the object around the list is open at the cut, and the text before it, put into
        brackets, is not valid JSON: nothing is returned. So whatever is returned are whole elements.
        """
        if self._failures >= _MAX_FAILURES:
            return []
        if not self._joint or not self.window.startswith(self._joint, self.index - 1):
            joint = _next_object(self.window, self.index - 1)
            self._joint = joint[0] if joint else ""
        cut = self.window.rfind(self._joint, self.index) + 1 if self._joint else 0
        if not cut:
            return []
        start = self.index + self._joint.index(",")
        try:
            elements = self._fast(f"[{self.window[start:cut]}]")
        except (
            ValueError,
            RecursionError,
        ):  # also for values that only the scanner reads: NaN, lone surrogates
            self._failures += 1
            return []
        self._failures, self.index = 0, cut
        return elements

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
