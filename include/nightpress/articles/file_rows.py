"""Read rows of a file of any format, which is detected from its first bytes, otherwise from its name.

A parser's message about a bad file may quote the file, so it is never passed on or chained as a cause. Errors
name the file, the position, the kind of problem and the remedy; they are raised after the ``except`` block.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import BinaryIO, NamedTuple, TypeVar, cast

from nightpress.articles.arrow_rows import iter_batches, open_arrow
from nightpress.articles.byte_streams import (
    SampledStream,
    compression_of,
    open_bytes,
    seekable,
)
from nightpress.articles.csv_rows import TableText
from nightpress.articles.file_kinds import (
    DOCUMENTS,
    KNOWN_SUFFIXES,
    STRANGERS,
    data_in_text,
    format_of,
    other_kind,
)
from nightpress.articles.json_rows import iter_json
from nightpress.articles.json_shape import Shape, detect_shape
from nightpress.articles.movable_type import is_movable_type, iter_entries
from nightpress.articles.raw_row import FileRows, check_columns
from nightpress.articles.reading_options import Reading
from nightpress.articles.sheet_rows import open_sheet
from nightpress.articles.source_files import SourceFile
from nightpress.articles.table_dialect import detect_dialect
from nightpress.articles.text_encoding import Encoding, Utf8Stream, detect_encoding
from nightpress.articles.usable_files import check_members
from nightpress.articles.zip_archives import is_zip, open_archive, open_member
from nightpress.errors import InputError
from nightpress.plain_text import for_log

log = logging.getLogger(__name__)

T = TypeVar("T")

_ARROW_MAGIC = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
    (b"ORC", "orc"),
)
_TABLES = frozenset({"csv", "tsv", "psv"})
_LONG_SAMPLE_BYTES = 8 * 1024 * 1024


def iter_file(file: SourceFile, use: Callable[[FileRows], Iterator[T]], reading: Reading) -> Iterator[T]:
    """Yield the results of ``use`` for the rows of a file; for an archive, of each file in it.

    The rows are used while the file is open, so that all errors on the way are handled in one place.

    :raises InputError: the file cannot be opened or parsed.
    """
    shown = str(file.path)
    if file.format in ("delta", "iceberg"):
        from nightpress.articles.lake_tables import open_lake_table

        yield from use(open_lake_table(file, reading))
        return
    with open_bytes(file.path, reading.options.limits) as (stream, compression), ExitStack() as stack:
        if not compression:
            head = stream.read(4)
            stream.seek(0)
            if is_zip(head):
                yield from _iter_archive(stream, file, use, reading)
                return
        opener = _Opener(_Named(shown, file.name, file.format), compression, reading, stack)
        yield from use(opener.open(stream))


def _iter_archive(
    stream: BinaryIO, file: SourceFile, use: Callable[[FileRows], Iterator[T]], reading: Reading
) -> Iterator[T]:
    with open_archive(stream, file.path) as (archive, members):
        names = {member.filename for member in members}
        if names & {"xl/workbook.xml", "xl/workbook.bin", "content.xml"}:
            stream.seek(0)
            yield from use(open_sheet(stream, str(file.path), reading))
            return
        if "word/document.xml" in names:
            raise InputError(f"{file.path} is a Word document; save it as text or HTML")
        said = reading.options.format
        kinds = {member.filename: said or format_of(member.filename) for member in members}
        data = set(kinds.values()) - DOCUMENTS - {""}
        if not said:
            check_members(file.path, kinds)
        usable = [member for member in members if kinds[member.filename] in (data or DOCUMENTS)]
        for member in members:
            if member not in usable:
                beside = "it is a document beside data; unpack the archive and name it, to read it"
                why = beside if kinds[member.filename] else "its name says nothing about its format"
                reading.report.skip(f"{file.path}/{member.filename}", why)
        if not usable:
            raise InputError(
                f"{file.path} is an archive of {len(members):,} file(s), none of which can be read; known are "
                f"{KNOWN_SUFFIXES}"
            )
        for member in usable:
            shown = f"{file.path}/{member.filename}"
            kind = kinds[member.filename]
            with open_member(archive, member, reading.options.limits, shown) as plain, ExitStack() as stack:
                opener = _Opener(_Named(shown, member.filename, kind), "zip", reading, stack)
                yield from use(opener.open(plain))


class _Named(NamedTuple):
    """Names of a file, for messages and below its source, and the format that its name shows."""

    shown: str
    name: str
    format: str


class _Opener:
    """Detects the format of a file, and returns its rows."""

    def __init__(self, named: _Named, compression: str, reading: Reading, stack: ExitStack) -> None:
        self._shown, self._name, self._named = named.shown, named.name, named.format
        self._compression, self._reading, self._stack = compression, reading, stack
        self._options, self._report = reading.options, reading.report

    def open(self, stream: BinaryIO) -> FileRows:
        """Return the rows."""
        sampled = SampledStream(stream)
        if not sampled.sample:
            log.warning("%s is empty: there are no articles in it", for_log(self._shown))
            self._report.warn("the file is empty", self._shown)
            return FileRows(self._shown, iter(()))
        self._refuse_strangers(sampled.sample)
        binary = next((kind for magic, kind in _ARROW_MAGIC if sampled.sample.startswith(magic)), "")
        kind = self._options.format or binary or self._named
        if kind in ("parquet", "arrow", "orc"):
            return self._arrow(self._seekable(stream, sampled), kind, binary)
        if kind == "xlsx":
            whole = self._seekable(stream, sampled)
            return open_sheet(whole, self._shown, self._reading)
        return self._text(sampled, kind)

    def _seekable(self, stream: BinaryIO, sampled: SampledStream) -> BinaryIO:
        """Return a seekable stream; compressed data is copied to a temporary file first."""
        source = cast(BinaryIO, sampled) if self._compression else stream
        return self._stack.enter_context(seekable(source))

    def _refuse_strangers(self, sample: bytes) -> None:
        problem = next((words for magic, words in STRANGERS if sample.startswith(magic)), "")
        if not problem and (kind := compression_of(sample)):
            problem = f"is {kind}-compressed inside {self._compression}; unpack it once"
        if not problem and is_zip(sample) and self._named != "xlsx":
            problem = f"is a zip archive inside {self._compression}; unpack it once"
        if not problem and sample[257:262] == b"ustar":
            problem = "is a tar archive; unpack it first, and name the folder"
        if problem:
            raise InputError(f"{self._shown} {problem}. No article is sent until then")

    def _arrow(self, stream: BinaryIO, kind: str, magic: str) -> FileRows:
        if magic != kind:
            name = {"parquet": "a Parquet", "arrow": "an Arrow (Feather)", "orc": "an ORC"}[kind]
            raise InputError(
                f"{self._shown} is not {name} file, whatever its name says; write it again, or rename it"
            )
        self._tell({"parquet": "Parquet", "arrow": "Arrow", "orc": "ORC"}[kind])

        table = open_arrow(stream, self._shown, kind)
        check_columns(self._shown, table.schema.names, self._reading)
        return FileRows(
            self._shown, iter_batches(table, self._shown), table.schema.names, schema=table.schema
        )

    def _text(self, sampled: SampledStream, kind: str) -> FileRows:
        encoding = detect_encoding(sampled.sample, sampled.whole, self._shown, self._options.encoding)
        if encoding.doubt:
            self._report.warn(f"{encoding.doubt}; if that is wrong, say encoding=", self._shown)
        sample = _decode_sample(sampled.sample, encoding)
        start = sample.lstrip()[:2000]
        kind = self._text_format(start, kind)
        stream = cast(BinaryIO, Utf8Stream(sampled, encoding, self._shown))
        if kind in ("json", "jsonl"):
            shape = self._shape(sampled, sample, kind, encoding)
            return self._json(stream, shape, encoding)
        if kind in _TABLES:
            return self._table(stream, sample, sampled.whole, kind, encoding)
        if kind in ("xml", "feed"):
            from nightpress.articles.xml_rows import open_xml

            return open_xml(sampled, start, self._shown, self._reading)
        from nightpress.articles.document_rows import open_document

        if kind == "text" and self._options.format is None and is_movable_type(start):
            self._tell("Movable Type export", encoding)
            return FileRows(self._shown, iter_entries(stream, self._shown, self._reading))
        if kind == "text" and self._options.format is None and (other := data_in_text(start)):
            raise InputError(
                f"{self._shown} looks like {other}, or format='text' if the file is one article. No article is sent "
                "until then"
            )
        self._tell({"markdown": "Markdown", "text": "text", "html": "HTML"}[kind], encoding)
        return open_document(stream, kind, self._shown, self._name, self._options.limits)

    def _text_format(self, start: str, kind: str) -> str:
        """Return the format, from the beginning of the text if that is certain."""
        if self._options.format is not None:
            return kind
        kind = "" if kind == "zip" else kind  # the content does not begin like a zip archive
        page = re.match(r"<(?:!doctype\s+html|html)\b", _without_comments(start), re.IGNORECASE)
        if page and kind not in ("html", "text", "markdown", "xml"):
            raise InputError(
                f"{self._shown} is an HTML page, whatever its name says: the error page of a download? Get the file "
                "again, or say format='html' if the page itself is the article. No article is sent until then"
            )
        if kind in ("xml", "") and re.search(r"<(?:rss|feed|rdf:RDF)[\s>]", start):
            return "feed"
        if kind in ("csv", "tsv", "psv", "") and re.match(r'\[\s*[{\]]|\{\s*"', start):
            return "json"
        if kind in ("json", "jsonl", "csv", "") and start.startswith("<?xml"):
            return "feed" if re.search(r"<(?:rss|feed)[\s>]", start) else "xml"
        if not kind and self._named == "zip":
            raise InputError(
                f"{self._shown} is not a zip archive, whatever its name says; copy it again from where it came, "
                "or rename it"
            )
        if not kind and (other := other_kind(self._name)):
            raise InputError(f"{self._shown} cannot be read: {other}")
        if not kind:
            raise InputError(
                f"{self._shown} is of no known format, by its name and by its content; its name must end in "
                f"{KNOWN_SUFFIXES}, or say format="
            )
        return kind

    def _shape(self, sampled: SampledStream, sample: str, kind: str, encoding: Encoding) -> Shape:
        """Return the shape of a JSON file; a longer sample is taken if its beginning has no texts."""
        by_lines = kind == "jsonl"
        shape = detect_shape(sample, sampled.whole, by_lines, self._reading, self._shown)
        if shape.unsure:
            sampled.extend(_LONG_SAMPLE_BYTES)
            sample = _decode_sample(sampled.sample, encoding)
            shape = detect_shape(sample, sampled.whole, by_lines, self._reading, self._shown)
        if shape.unsure and shape.kind == "objects":
            raise InputError(
                f"{self._shown} is one JSON object, and its first {_LONG_SAMPLE_BYTES // 1024**2} MB have no list of "
                "articles; say where they are: record_path='…', the path of keys to the list. No article is sent "
                "until then"
            )
        return shape

    def _json(self, stream: BinaryIO, shape: Shape, encoding: Encoding) -> FileRows:
        if shape.kind == "empty":
            log.warning("%s is empty: there are no articles in it", for_log(self._shown))
            self._report.warn("the file is empty", self._shown)
        if shape.doubt:
            self._report.warn(shape.doubt, self._shown)
        self._tell(shape.shown, encoding)
        warn = partial(self._report.warn, file=self._shown)
        rows = iter_json(stream, self._shown, shape, self._options.limits, warn)
        return FileRows(self._shown, rows, by_lines=shape.kind == "lines")

    def _table(self, stream: BinaryIO, sample: str, whole: bool, kind: str, encoding: Encoding) -> FileRows:
        dialect = detect_dialect(sample, whole, kind, self._reading, self._shown)
        for doubt in dialect.doubts:
            self._report.warn(doubt, self._shown)
        table = TableText(stream, self._shown, dialect, self._reading)
        check_columns(self._shown, table.columns, self._reading)
        self._tell(f"{kind.upper()}, {dialect.shown}", encoding)
        return FileRows(self._shown, table.iter_rows(), table.columns, by_lines=True)

    def _tell(self, what: str, encoding: Encoding | None = None) -> None:
        """Add the detected format to the report."""
        if encoding is not None and (encoding.name != "utf-8" or encoding.doubt):
            what += f", {encoding.name}" + (" (guessed)" if encoding.doubt else "")
        if self._compression:
            what += f", {self._compression}"
        self._report.detected(self._shown, what)


def _without_comments(text: str) -> str:
    """Return the text without comments before its first tag."""
    while text.startswith("<!--"):
        text = text.partition("-->")[2].lstrip()
    return text


def _decode_sample(sample: bytes, encoding: Encoding) -> str:
    decoder = codecs.getincrementaldecoder(encoding.name)("replace")
    return decoder.decode(sample[encoding.bom_bytes :]).lstrip("\ufeff")
