"""Stored files that are shown or downloaded unchanged: reports, comparisons, and a day's answers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import IO, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import HTTPException
from fastapi.responses import StreamingResponse

from message_batches.page.access import MayRead, check_dags
from message_batches.page.responses import DOCUMENT_POLICY
from message_batches.page.store_access import StoreAccess
from nightpress.parquet_files import as_arrow_file
from nightpress.plain_text import for_document
from nightpress.reports.html_document import HEAD_BYTES, read_dags
from nightpress.reports.stored_days import DAG_ID
from nightpress.storage import StoragePath, open_reader

T = TypeVar("T")

_PIECE_BYTES = 1_000_000
_ROWS = 2_000
_RUN_BY_SPREADSHEETS = re.compile(
    r"[\t\r\n]|[\s\x00-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*"
    "[=+@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}-]"
)
"""A formula, also behind blanks and signs that are not seen, which some of these programs leave out."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


def stream_document(
    store: StoreAccess, path: StoragePath, may_read: MayRead, missing: str
) -> StreamingResponse:
    """Show a report or a comparison to a user who may read all DAGs whose articles are in it.

    The file itself lists these DAGs, and it is opened once, so that the file that is checked is the one that is shown.
    It is sent in pieces, because a report may be large.

    :param missing: what is said when it is not there.
    :raises HTTPException: 403 or 404.
    """

    def open_file() -> tuple[IO[bytes], bytes]:
        stream = open_reader(path)
        return stream, stream.read(HEAD_BYTES)

    stream, head = _ask(store, open_file, missing)
    dags = read_dags(head)
    try:
        # A page that does not say whose it is, as of an earlier version, is for users who may read all DAGs.
        check_dags(may_read, dags.values() if dags else [""])
    except HTTPException:
        stream.close()
        raise
    return StreamingResponse(
        _iter_pieces(stream, head),
        media_type="text/html",
        headers={"Content-Security-Policy": DOCUMENT_POLICY},
    )


def stream_answers(
    store: StoreAccess, path: StoragePath, may_read: MayRead, *, form: str, name: str
) -> StreamingResponse:
    """Send a published day to a user who may read the DAG that published it.

    :param form: ``parquet``, as it is stored, or ``csv``, for spreadsheets.
    :param name: of the file, without its ending.
    :raises HTTPException: 403 or 404.
    """

    def open_file() -> tuple[IO[bytes], pq.FileMetaData]:
        stream = open_reader(path)
        return stream, pq.read_metadata(as_arrow_file(stream))

    try:
        stream, about = _ask(store, open_file, f"The day is not published: there is no {name}.")
    except pa.ArrowInvalid:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "The published file cannot be read.") from None
    try:
        check_dags(may_read, [(about.metadata or {}).get(DAG_ID.encode(), b"").decode("utf-8", "replace")])
    except HTTPException:
        stream.close()
        raise
    stream.seek(0)
    pieces = _iter_pieces(stream, b"") if form == "parquet" else _iter_csv(stream)
    return StreamingResponse(
        pieces,
        media_type="application/vnd.apache.parquet" if form == "parquet" else "text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.{form}"'},
    )


def _ask(store: StoreAccess, call: Callable[[], T], missing: str) -> T:
    try:
        return store.ask(call)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise HTTPException(HTTPStatus.NOT_FOUND, missing) from None


def _iter_pieces(stream: IO[bytes], first: bytes) -> Iterator[bytes]:
    with stream:
        piece = first or stream.read(_PIECE_BYTES)
        while piece:
            yield piece
            piece = stream.read(_PIECE_BYTES)


def _iter_csv(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the rows as CSV that spreadsheets open as UTF-8; lists and nested fields are JSON."""
    with ExitStack() as stack:
        stack.enter_context(stream)
        file = pq.ParquetFile(as_arrow_file(stream))
        buffer = io.StringIO()
        write = csv.writer(buffer).writerow
        buffer.write("\ufeff")
        write(map(to_cell, file.schema_arrow.names))
        for batch in file.iter_batches(_ROWS):
            for row in batch.to_pylist():
                write(map(to_cell, row.values()))
            yield buffer.getvalue().encode("utf-8", "replace")
            buffer.seek(0)
            buffer.truncate()
        yield buffer.getvalue().encode("utf-8", "replace")


def to_cell(value: object) -> object:
    """Return a value as a cell: text that a spreadsheet would run begins with an apostrophe.

    >>> to_cell("=1+1"), to_cell(-1)
    ("'=1+1", -1)
    """
    if isinstance(value, dict | list):
        value = _encode(value).decode()
    if not isinstance(value, str):
        return value
    text = for_document(value)
    return f"'{text}" if _RUN_BY_SPREADSHEETS.match(value) else text
