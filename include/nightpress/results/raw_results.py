"""Keep the result stream as it came: paid for once, it can be read again without the API."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import pyarrow as pa

from nightpress.batches.batch import Batch
from nightpress.batches.batch_api import BatchApi
from nightpress.errors import ResultsError
from nightpress.parquet_files import as_arrow_file
from nightpress.results.decode import BLOCK_BYTES, StreamReport
from nightpress.second_thread import SecondThread
from nightpress.storage import StoragePath, atomic_writer

log = logging.getLogger(__name__)

DOWNLOADS = 10
"""How often a result stream is read before what it says is believed or refused."""

_WAITING_BLOCKS = 2

_CODEC = "zstd"


def keep_raw(
    batch: Batch,
    path: StoragePath,
    api: BatchApi,
    requests: int,
    *,
    read: Callable[[Iterator[bytes]], StreamReport],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Store the results of ``batch`` under ``path``, zstd-compressed, and return the number of lines.

    They are decoded as they come, so nothing has to be read back. A stream can be cut without an error, also
    between two lines, so its lines are counted. One that is short is read again; one that is short in the same way
    every time is what the API has, and is kept: its articles become ``missing``. One that has a line for each
    request is whole, however it ended.

    :param requests: of the batch; each has one line.
    :param read: decodes a stream that comes in blocks; what it found counts when this function has returned, and
        replaces what an earlier reading found.
    :param sleep: takes the seconds to wait before the next reading.
    :raises ResultsError: cut differently each time, or not readable; nothing is kept.
    """
    found: tuple[int, int, bytes] | None = None
    lines, agreed = 0, True
    for download in range(1, DOWNLOADS + 1):
        with suppress(_ShortError), atomic_writer(path) as target, SecondThread(_WAITING_BLOCKS) as beside:
            stream = _Kept(api.stream_results(batch), target, beside)
            report = read(stream.iter_blocks())
            previous, found = found, (report.lines, stream.size, report.answered)
            lines = report.lines
            if lines < requests:
                # What is missing is sent, and paid, again; so it is believed as late as possible.
                agreed = agreed and report.ended and not stream.broken and previous in (None, found)
                if not agreed or download < DOWNLOADS:
                    raise _ShortError
        if lines >= requests or (agreed and download == DOWNLOADS):
            return lines
        log.warning(
            "the results of batch %s ended after %d of %d lines (reading %d of %d)",
            batch.id,
            lines,
            requests,
            download,
            DOWNLOADS,
        )
        if download < DOWNLOADS:
            sleep(min(2.0**download, 10.0))
    raise ResultsError(
        f"the results of batch {batch.id} were cut {DOWNLOADS} times, the last time after "
        f"{lines:,} of {requests:,} lines. They are paid for and kept by the API for "
        "29 days; reading them again pays nothing.",
        code="results_cut",
    )


class _ShortError(Exception):
    """Leave the writer, so that nothing is kept."""


class _Kept:
    """A result stream that is compressed into a file, beside the reader, while it is read.

    :ivar size: bytes so far.
    :ivar broken: it ended with an error.
    """

    def __init__(self, chunks: Iterator[bytes], target: BinaryIO, beside: SecondThread) -> None:
        self._chunks, self._target, self._beside = chunks, target, beside
        self._codec = pa.Codec(_CODEC)
        self.size = 0
        self.broken = False

    def iter_blocks(self) -> Iterator[bytes]:
        """Yield the stream in blocks; each is a zstd frame of its own in the file."""
        waiting: list[bytes] = []
        size = 0
        for chunk in self._iter_chunks():
            waiting.append(chunk)
            size += len(chunk)
            if size >= BLOCK_BYTES:
                yield self._keep(b"".join(waiting))
                waiting, size = [], 0
        # One frame at least: an empty file is none.
        if size or not self.size:
            yield self._keep(b"".join(waiting))

    def _keep(self, block: bytes) -> bytes:
        self.size += len(block)
        self._beside.run(self._write, block)
        return block

    def _write(self, block: bytes) -> None:
        self._target.write(self._codec.compress(block))

    def _iter_chunks(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception as error:
            if not _is_cut(error):
                raise
            log.warning("the result stream broke off (%s)", type(error).__name__)
            self.broken = True


def _is_cut(error: Exception) -> bool:
    import httpx2

    return isinstance(error, (httpx2.TransportError, httpx2.DecodingError))


@contextmanager
def open_raw(path: StoragePath) -> Iterator[BinaryIO]:
    """Open a kept result stream for reading, decompressed.

    :raises ResultsError: it is not there.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise ResultsError(
            f"the kept results {path} are gone; they can be had from the API for 29 days"
        ) from None
    with stream, pa.CompressedInputStream(as_arrow_file(stream), _CODEC) as decompressed:
        yield decompressed
