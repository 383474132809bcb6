"""Read rows of JSON in all its layouts, in bounded memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, BinaryIO

import msgspec

from nightpress.articles.byte_streams import RawStream, read_whole
from nightpress.articles.json_shape import Shape
from nightpress.articles.json_window import JsonWindow
from nightpress.articles.raw_row import Row
from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import InputError

_BLOCK = 256 * 1024
_MAX_DEPTH = 30

Warn = Callable[[str], None]


def iter_json(stream: BinaryIO, file: str, shape: Shape, limits: ReadLimits, warn: Warn) -> Iterator[Row]:
    """Yield the rows of a JSON file of a known shape, in UTF-8 without a byte order mark.

    :param warn: is told what was left out.
    :raises InputError: a line or element cannot be parsed; the message names it.
    """
    rows = _iter_values(stream, file, shape, limits, warn)
    first = next(rows, None)
    if first is None:
        return rows
    rows = chain([first], rows)
    return _iter_texts(rows) if isinstance(first[1], str) else rows


def _iter_texts(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield plain texts as rows with the field ``text``, unless the second row is something else."""
    first = list(islice(rows, 2))
    texts = all(isinstance(row, str) for _, row in first)
    for position, row in chain(first, rows):
        yield position, {"text": row} if texts and isinstance(row, str) else row


def _iter_values(stream: BinaryIO, file: str, shape: Shape, limits: ReadLimits, warn: Warn) -> Iterator[Row]:
    match shape.kind:
        case "empty":
            return iter(())
        case "lines":
            return _iter_lines(stream, file, limits)
        case "array":
            return _iter_arrays(JsonWindow(stream, file, limits))
        case "objects":
            return _iter_objects(JsonWindow(stream, file, limits))
        case "list":
            return _Lists(JsonWindow(stream, file, limits), shape, warn).iter_rows()
    return _iter_table(stream, file, shape, limits)


def _iter_lines(stream: BinaryIO, file: str, limits: ReadLimits) -> Iterator[Row]:
    """Yield the value of each line that is not blank."""
    decode = msgspec.json.Decoder().decode
    longest = limits.max_row_bytes
    lines = io.BufferedReader(RawStream(stream), _BLOCK)
    for number, line in enumerate(iter(partial(lines.readline, longest), b""), start=1):
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
        if line.lstrip().startswith(b"{'"):
            problem = "has single quotes, as Python prints a dict; write it with json.dumps"
    if not line.endswith(b"\n"):
        problem = f"{problem} (it is the last one, without a line break: is the file cut off?)"
    if len(line) >= longest:
        problem = f"is longer than {longest:,} bytes; is each article on a line of its own? If so, raise max_row_bytes"
    raise InputError(f"{file}: line {number:,} {problem}. No article is sent until then")


def _iter_arrays(text: JsonWindow) -> Iterator[Row]:
    """Yield the elements of an array, or of several consecutive arrays."""
    if text.next_character() != "[":
        raise text.error("is not JSON: it should begin with [ or {")
    while text.next_character() == "[":
        yield from _iter_array(text)
    if text.next_character():
        raise text.error("continues after the array's end; write one array, or one object a line")


def _iter_array(text: JsonWindow) -> Iterator[Row]:
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
        for element in text.elements_ahead():
            text.elements += 1
            yield text.elements, element
        separator = text.next_character()
        text.index += 1
    if not separator:
        raise text.error("is cut off; write it again")
    if separator != "]":
        raise text.error("is not valid JSON: a comma or ] is missing; write it again with a JSON library")


def _iter_objects(text: JsonWindow) -> Iterator[Row]:
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


class _Lists:
    """The lists of articles at a path of keys; lists on the way to them are gone through.

    Everything beside the path is parsed and dropped, a value at a time.
    """

    def __init__(self, text: JsonWindow, shape: Shape, warn: Warn) -> None:
        self._text, self._path, self._name, self._warn = text, shape.path, shape.name, warn
        self._found, self._without = 0, 0

    def iter_rows(self) -> Iterator[Row]:
        """Yield the elements of each list."""
        text = self._text
        while character := text.next_character():
            if character == ",":
                text.index += 1
            else:
                yield from self._iter_at(self._path)
        if not self._found:
            raise text.error(f"has no {self._name!r}; say where the articles are with record_path=")
        if self._without:
            self._warn(f"{self._without:,} objects have no {self._name!r}; nothing of them was read")

    def _iter_at(self, path: tuple[str, ...], depth: int = 0) -> Iterator[Row]:
        """Yield the articles in the current value, which the window leaves behind."""
        text, character = self._text, self._text.next_character()
        if depth > _MAX_DEPTH:
            raise text.error("has more lists inside each other than any list of articles; say record_path=")
        if character == "[" and path:
            for _ in _iter_places(text, "]"):
                yield from self._iter_at(path, depth + 1)
        elif character == "{" and path:
            found = False
            for key in _iter_keys(text):
                if key == path[0] and not found:
                    found = True
                    yield from self._iter_at(path[1:], depth + 1)
                else:
                    _skip(text)
            self._without += not found
        elif path:
            self._without += 1
            _skip(text)
        elif character == "[":
            self._found += 1
            yield from _iter_array(text)
        else:
            yield from self._one_value()

    def _one_value(self) -> Iterator[Row]:
        """Yield an object where a list should be: an article, or articles by key; null is an empty list."""
        value = self._text.element()
        self._found += 1
        if value is None:
            return
        if not isinstance(value, dict):
            raise self._text.error(
                f"has no list at {self._name!r} but something else; say where they are with record_path="
            )
        by_key = len(value) > 1 and all(isinstance(part, dict) for part in value.values())
        for row in _rows_of_table(value, "mapping") if by_key else (value,):
            self._text.elements += 1
            yield self._text.elements, row


def _iter_places(text: JsonWindow, end: str) -> Iterator[str]:
    """Go to each value of the current list or object, and yield its first character; the caller reads it."""
    text.index += 1
    while (character := text.next_character()) != end:
        if not character:
            raise text.error("is cut off; write it again")
        if character == ",":
            text.index += 1
        else:
            yield character
    text.index += 1


def _iter_keys(text: JsonWindow) -> Iterator[str]:
    """Go to each value of the current object, and yield its key; the caller reads the value."""
    for _ in _iter_places(text, "}"):
        key = text.element()
        if text.next_character() != ":":
            raise text.error("is not valid JSON: a colon is missing; write it again with a JSON library")
        text.index += 1
        text.next_character()
        yield key


def _skip(text: JsonWindow, depth: int = 0) -> None:
    """Read the current value and drop it, part by part, as it may be larger than memory."""
    character, elements = text.next_character(), text.elements
    if character == "[" and depth < _MAX_DEPTH:
        for _ in _iter_places(text, "]"):
            _skip(text, depth + 1)
    elif character == "{" and depth < _MAX_DEPTH:
        for _ in _iter_keys(text):
            _skip(text, depth + 1)
    else:
        text.element()
    text.elements = elements


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
