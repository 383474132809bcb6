"""The reader of articles as it was before it detected formats, frozen: what today's reader is compared with.

This is the work that the reader did on 23 November 2026 (commit 536140f is the last one with it) for each row of a good
file: JSON lines, a JSON array, CSV and Parquet, with the checks of id, content and duplicates, and with the other
fields cleaned. Its loops are copied, not improved; messages about bad files are left out. Do not change it: a
measurement would lose its meaning.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

_BLOCK, _CSV_BLOCK, _READ_BUFFER = 256 * 1024, 1024 * 1024, 64 * 1024
_MAX_ROW_CHARS = 256 * 1024 * 1024
_LONGEST_TOKEN = 16
_NUMBERS = (int, float)
_MAX_ID_CHARS = 1_000
_BATCH_BYTES, _MAX_BATCH_ROWS = 1024 * 1024, 1_024
_ENTRY = 16
_skip_space = re.compile(r"[ \t\r\n]*").match
_no_text = re.compile("[\x00\ud800-\udfff]")


class FrozenArticle(msgspec.Struct, frozen=True, gc=False):
    """An article as it was then."""

    article_id: str
    title: str
    content: str
    metadata: dict[str, object]
    file: str
    position: int


@dataclass(slots=True)
class _FrozenStats:
    rows: int = 0
    replaced_characters: int = 0


def iter_frozen_articles(path: Path) -> Iterator[FrozenArticle]:
    """Yield the articles of a good .jsonl, .json, .csv or .parquet file with the fields id, title, content."""
    stats = _FrozenStats()
    left = math.inf
    check = _FrozenChecker(str(path), _FrozenSeenIds(), stats)
    for position, row in _iter_frozen_rows(path):
        stats.rows += 1
        checked = check(row, position)
        yield checked
        if isinstance(checked, FrozenArticle):
            left -= 1
            if left <= 0:
                return


def _iter_frozen_rows(path: Path) -> Iterator[tuple[int, Any]]:
    rows = {".jsonl": _iter_lines, ".json": _iter_array, ".csv": _iter_csv, ".parquet": _iter_parquet}
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        empty = not head
        for row in rows[path.suffix](stream):
            empty = False
            yield row
        assert not empty


class _RawStream(io.RawIOBase):
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _CountedReader(io.BufferedReader):
    def __init__(self, stream: BinaryIO, block_size: int) -> None:
        super().__init__(_RawStream(stream), block_size)
        self.given_bytes = 0

    def read1(self, size: int = -1, /) -> bytes:
        data = super().read1(size)
        self.given_bytes += len(data)
        return data


def _iter_lines(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    decode = msgspec.json.Decoder().decode
    lines = io.BufferedReader(_RawStream(stream), _BLOCK)
    for number, line in enumerate(iter(partial(lines.readline, _MAX_ROW_CHARS), b""), start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        try:
            yield number, decode(text)
            continue
        except (ValueError, RecursionError):
            raise


def _iter_array(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    text = _FrozenText(stream)
    assert text.next_character() == "["
    text.index += 1
    yield from _iter_elements(text)


def _iter_elements(text: _FrozenText) -> Iterator[tuple[int, Any]]:
    separator = ","
    while separator == ",":
        assert text.next_character()
        text.elements += 1
        yield text.elements, text.element()
        separator = text.next_character()
        text.index += 1


def _iter_csv(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(_MAX_ROW_CHARS)
    counted = _CountedReader(stream, _CSV_BLOCK)
    reader = csv.reader(io.TextIOWrapper(counted, encoding="utf-8-sig", newline=""), strict=True)
    header = next(reader)
    width = len(header)
    line = reader.line_num + 1
    for values in reader:
        if len(values) == width:
            yield line, {name: value or None for name, value in zip(header, values, strict=True)}
        line = reader.line_num + 1


def _iter_parquet(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    file = pq.ParquetFile(pa.PythonFile(stream, mode="r"), pre_buffer=False, buffer_size=_READ_BUFFER)
    names, position = file.schema_arrow.names, 0
    for batch in file.iter_batches(batch_size=_batch_rows(file.metadata), use_threads=False):
        columns = [_values(column) for column in batch.columns]
        for values in zip(*columns, strict=True):
            position += 1
            yield position, dict(zip(names, values, strict=True))


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Return how many rows to hold at once, so that big articles do not add up."""
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=1)
    return max(1, min(_MAX_BATCH_ROWS, int(_BATCH_BYTES / max(widest, 1))))


def _values(column: pa.Array) -> list[Any]:
    assert getattr(column.type, "unit", "") != "ns"
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        raise


class _FrozenText:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.window, self.index, self.elements = "", 0, 0
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._ended = False
        self._bytes = 0

    def next_character(self) -> str:
        while True:
            self.index = _skip_space(self.window, self.index).end()  # type: ignore[union-attr]
            if self.index < len(self.window):
                return self.window[self.index]
            if not self._read_on():
                return ""

    def element(self) -> Any:
        size = _BLOCK
        while True:
            try:
                value, end = self._scan(self.window, self.index)
                margin = _LONGEST_TOKEN if type(value) in _NUMBERS else 0
                if end < len(self.window) - margin or self._ended:
                    self.index = end
                    return value
            except json.JSONDecodeError:
                assert not self._ended
            self._read_on(size)
            size *= 2

    def _read_on(self, size: int = _BLOCK) -> bool:
        if self._ended:
            return False
        block = self.stream.read(size)
        more = self._decode(block, not block)
        self._bytes += len(block)
        self._ended = not block
        self.window, self.index = self.window[self.index :] + more, 0
        return True


class _FrozenSeenIds:
    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}

    def add(self, article_id: str, content: str) -> str | None:
        """Remember an article; return why it cannot be sent: ``repeated_id`` or ``duplicate``."""
        digest = blake2b(article_id.encode(), digest_size=10).digest()
        number = (digest[0] << 6) | (digest[1] >> 2)
        fingerprint = digest[2:]
        # Python's own hash of a text is 64 bits, keyed by the process, and five times as fast as a digest.
        entry = fingerprint + hash(content).to_bytes(8, "little", signed=True)
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = bytearray(entry)
            return None
        found = bucket.find(fingerprint)
        while found % _ENTRY > 0 and found >= 0:
            found = bucket.find(fingerprint, found + 1)
        if found < 0:
            bucket += entry
            return None
        return "duplicate" if bucket[found : found + _ENTRY] == entry else "repeated_id"


class _FrozenChecker:
    def __init__(self, file: str, seen: _FrozenSeenIds, stats: _FrozenStats) -> None:
        self._file, self._seen, self._stats = file, seen, stats
        self._ours = frozenset(("id", "content", "title"))

    def __call__(self, row: Any, position: int) -> FrozenArticle:
        try:
            return self._article(row, position)
        except AssertionError:
            raise

    def _article(self, row: Any, position: int) -> FrozenArticle:
        assert type(row) is dict
        article_id = _read_id(row.get("id"))
        content = row.get("content")
        assert type(content) is str and content and not content.isspace()
        content = self._clean(content)
        title = row.get("title")
        assert self._seen.add(article_id, content) is None
        ours = self._ours
        metadata = {
            self._clean(name): self._clean(value) if type(value) is str else self._plain(value)
            for name, value in row.items()
            if name not in ours
        }
        return FrozenArticle(article_id, self._title(title), content, metadata, self._file, position)

    def _title(self, value: object) -> str:
        if type(value) is str:
            return self._clean(value)
        plain = self._plain(value)
        return "" if plain is None else str(plain)

    def _clean(self, text: str) -> str:
        """Replace what cannot be sent; checking is nearly free, replacing is rare."""
        if "\x00" not in text:
            if text.isascii():
                return text
            try:
                text.encode()
            except UnicodeEncodeError:
                pass
            else:
                return text
        cleaned, replaced = _no_text.subn("\ufffd", text)
        self._stats.replaced_characters += replaced
        return cleaned

    def _plain(self, value: object) -> object:
        """Return a value that a column can hold."""
        if value is None or isinstance(value, (int, date, Decimal)):
            return value
        if isinstance(value, float):
            return None if math.isnan(value) else value
        if isinstance(value, (time, timedelta)):
            return str(value)
        if isinstance(value, bytes):
            return self._clean(value.decode("utf-8", "replace"))
        try:
            return msgspec.json.encode(value, enc_hook=str).decode()
        except (UnicodeEncodeError, TypeError, OverflowError):
            return self._clean(json.dumps(value, ensure_ascii=False, default=str))


def _read_id(value: object) -> str:
    if type(value) is str:
        article_id = value.strip()
    else:
        assert isinstance(value, int)
        article_id = str(value)
    assert article_id and len(article_id) <= _MAX_ID_CHARS
    assert article_id.isprintable() or not _no_text.search(article_id)
    return article_id
