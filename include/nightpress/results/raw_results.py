"""Store the raw result stream, so that paid results can be read again without the API."""

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
from nightpress.storage import StoragePath, atomic_writer, open_reader

log = logging.getLogger(__name__)

DOWNLOADS = 10
"""How often a short result stream is read before it is accepted or refused."""

_WAITING_BLOCKS = 2

_CODEC = "zstd"


def keep_raw(
    batch: Batch,
    path: StoragePath,
    api: BatchApi,
    requests: int,
    *,
    read: Callable[[Iterator[bytes]], StreamReport],
    check_short: Callable[[StreamReport], None],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Store the results of ``batch`` under ``path``, zstd-compressed, and return the number of lines.

    They are decoded while they arrive, so nothing is read back. A stream can end early without an error, even
    between two lines, so its lines are counted. A short stream is read again. If it is short in the same way
    each time and ``check_short`` accepts it, it is stored, and the articles without a line become ``missing``. A
    stream with a line for each request is complete, however it ended.

    :param requests: number of requests in the batch; each has one line.
    :param read: decodes a stream that comes in blocks. Each call replaces the findings of the previous one;
        they are final when this function returns.
    :param check_short: raises an error if a stream that was equally short each time is not all there is.
    :param sleep: called with the seconds to wait before the next reading.
    :raises ResultsError: the stream was cut differently each time, or is not readable; nothing is stored.
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
                # Missing requests are sent and paid again, so a short stream is accepted as late as possible.
                agreed = agreed and report.ended and not stream.broken and previous in (None, found)
                if not agreed or download < DOWNLOADS:
                    raise _ShortError
                check_short(report)
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
    """Leaves the writer, so that nothing is stored."""


class _Kept:
    """A result stream that a second thread compresses into a file while it is read.

    :ivar size: bytes so far.
    :ivar broken: True if the stream ended with an error.
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
        # Write at least one frame: an empty file is not valid zstd.
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
    """Open a stored result stream for reading, decompressed.

    :raises ResultsError: the file does not exist.
    """
    try:
        stream = open_reader(path)
    except FileNotFoundError:
        raise ResultsError(
            f"the kept results {path} are gone; they can be had from the API for 29 days"
        ) from None
    with stream, pa.CompressedInputStream(as_arrow_file(stream), _CODEC) as decompressed:
        yield decompressed
