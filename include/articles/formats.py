"""Read rows out of each format, in bounded memory, with their position in the file.

What a parser says of a bad file may quote it, so its words are never passed on: errors name the file,
the position and the kind of trouble.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeAlias

import ijson
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.articles.files import format_of, open_file
from include.articles.model import FieldMap
from include.errors import InputError
from include.storage import StoragePath

Row: TypeAlias = tuple[int, Any]
"""Position, counted from 1, and what stands there."""

_BLOCK = 1024 * 1024
_PARQUET_ROWS = 512
_MAX_CSV_FIELD = 256 * 1024 * 1024


def iter_rows(path: StoragePath, fields: FieldMap, encoding: str) -> Iterator[Row]:
    """Yield the rows of a file.

    :raises InputError: it cannot be parsed; names the file and the position.
    """
    kind = format_of(path)
    with open_file(path) as stream:
        if kind == "parquet":
            yield from _iter_parquet(stream, path, fields)
            return
        try:
            yield from _TEXT_FORMATS[kind or ""](stream, path, fields, encoding)
        except (pa.ArrowException, EOFError) as error:
            raise InputError(_broken_compression(path, error)) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise InputError(_broken_compression(path, error)) from None


def _broken_compression(path: StoragePath, error: Exception) -> str:
    cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
    return f"{path} is compressed and {'cut off' if cut else 'damaged'}; copy it again from where it came"


def _iter_json(stream: BinaryIO, path: StoragePath, _fields: FieldMap, _encoding: str) -> Iterator[Row]:
    reader = _Peek(stream)
    first = reader.first()
    if not first:
        return
    if first == b"{":
        raise InputError(
            f"{path} holds a JSON object where an array of articles should be; write [{{…}}, {{…}}], or name it "
            ".jsonl if each line is an object"
        )
    if first != b"[":
        raise InputError(f"{path} is not JSON: an array of articles, [{{…}}, {{…}}], is expected")
    position = 0
    try:
        for position, row in enumerate(ijson.items(reader, "item", use_float=True), start=1):
            yield position, row
    except (ijson.JSONError, UnicodeDecodeError) as error:
        cut = isinstance(error, ijson.IncompleteJSONError) and "premature" in str(error).lower()
        what = "is cut off" if cut else "is not valid JSON"
        raise InputError(
            f"{path} {what} after element {position}; write the file again, nothing of it is sent"
        ) from None


class _Peek:
    """A stream whose first character that is no white space can be looked at."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.head = b""

    def first(self) -> bytes:
        """Return the first character that matters, or nothing at the end."""
        while not self.head.strip():
            block = self.stream.read(65536)
            if not block:
                return b""
            self.head = (self.head + block).removeprefix(codecs.BOM_UTF8).lstrip()
        return self.head[:1]

    def read(self, size: int = -1) -> bytes:
        if self.head:
            taken, self.head = (self.head, b"") if size < 0 else (self.head[:size], self.head[size:])
            return taken
        return self.stream.read(size)


def _iter_jsonl(stream: BinaryIO, path: StoragePath, _fields: FieldMap, _encoding: str) -> Iterator[Row]:
    decode = msgspec.json.Decoder().decode
    for number, line in enumerate(_iter_lines(stream), start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not text.strip():
            continue
        try:
            row = decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            row = _decode_leniently(text, path, number)
        yield number, row


def _decode_leniently(text: bytes, path: StoragePath, number: int) -> Any:
    """Read a line that the strict decoder refuses; lone surrogates are legal JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    raise InputError(
        f"{path}, line {number} is not valid JSON (or not UTF-8); mend or remove the line, nothing is sent until then"
    )


def _iter_lines(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(_BLOCK):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest


def _iter_csv(
    stream: BinaryIO, path: StoragePath, fields: FieldMap, encoding: str, delimiter: str = ","
) -> Iterator[Row]:
    csv.field_size_limit(_MAX_CSV_FIELD)
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding
    text = io.TextIOWrapper(io.BufferedReader(_Raw(stream), _BLOCK), encoding=encoding, newline="")
    reader = csv.reader(text, delimiter=delimiter)
    try:
        header = next(reader, None)
        if header is None:
            return
        _check_columns(path, header, fields)
        start = reader.line_num + 1
        for values in reader:
            if values:
                yield start, _csv_row(header, values)
            start = reader.line_num + 1
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is not {encoding} (near line {reader.line_num + 1}); save it as UTF-8, or say which it is with "
            "encoding="
        ) from None
    except csv.Error:
        raise InputError(
            f"{path}, line {reader.line_num + 1} cannot be read as CSV; check its quotes"
        ) from None


def _csv_row(header: list[str], values: list[str]) -> Any:
    if len(values) != len(header):
        return RaggedRow(len(values), len(header))
    return {name: value if value else None for name, value in zip(header, values, strict=True)}


class RaggedRow(msgspec.Struct, frozen=True):
    """A CSV row with another number of values than the header."""

    values: int
    columns: int


class _Raw(io.RawIOBase):
    """What TextIOWrapper needs of a stream that only knows ``read``."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _check_columns(path: StoragePath, columns: list[str], fields: FieldMap) -> None:
    missing = [name for name in (fields.id, fields.content) if name not in columns]
    if missing:
        raise InputError(
            f"{path} has no column {' and no column '.join(map(repr, missing))}; it has {', '.join(columns)}. "
            "Map the names with fields={'id': …, 'content': …}"
        )
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise InputError(f"{path} has the column {repeated[0]!r} more than once; give each its own name")


def _iter_parquet(stream: BinaryIO, path: StoragePath, fields: FieldMap) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(pa.PythonFile(stream, mode="r"), pre_buffer=False)
    except (pa.ArrowException, OSError):
        raise InputError(f"{path} is not a Parquet file, or is cut off; write it again") from None
    _check_columns(path, file.schema_arrow.names, fields)
    kind = file.schema_arrow.field(fields.content).type
    if not _is_text(kind):
        raise InputError(
            f"{path}: the column {fields.content!r} is {kind}, text is needed; cast it to string"
        )
    position = 0
    try:
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS, use_threads=False):
            for row in batch.to_pylist():
                position += 1
                yield position, row
    except (pa.ArrowException, OSError):
        raise InputError(f"{path} is damaged after row {position}; write it again") from None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def _iter_tsv(stream: BinaryIO, path: StoragePath, fields: FieldMap, encoding: str) -> Iterator[Row]:
    return _iter_csv(stream, path, fields, encoding, delimiter="\t")


_TEXT_FORMATS: dict[str, Callable[[BinaryIO, StoragePath, FieldMap, str], Iterator[Row]]] = {
    "json": _iter_json,
    "jsonl": _iter_jsonl,
    "csv": _iter_csv,
    "tsv": _iter_tsv,
}
