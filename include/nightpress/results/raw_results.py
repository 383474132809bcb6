"""Keep the result stream as it came: paid for once, it can be read again without the API."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from nightpress.batches.batch import Batch
from nightpress.batches.batch_api import BatchApi
from nightpress.errors import ResultsError
from nightpress.results.decode import MAX_LINE_BYTES
from nightpress.results.result_lines import read_line
from nightpress.storage import StoragePath, as_arrow_file, atomic_writer, compressed_output

log = logging.getLogger(__name__)

DOWNLOADS = 10
"""How often a result stream is read before what it says is believed or refused."""

_BLANKS = (b"\n\n", b"\n\r", b"\n ", b"\n\t")


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a reading of a stream brought.

    :param lines: that are not blank, the last one also without a line feed if it is whole.
    :param ended: it ended by itself, behind a whole line.
    """

    lines: int
    size: int
    digest: int
    ended: bool


def keep_raw(
    batch: Batch,
    path: StoragePath,
    api: BatchApi,
    requests: int,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Store the results of ``batch`` under ``path``, zstd-compressed, and return the number of lines.

    A stream can be cut without an error, also between two lines, so its lines are counted. One that is short is
    read again; one that is short in the same way every time is what the API has, and is kept: its articles become
    ``missing``. One that has a line for each request is whole, however it ended.

    :param requests: of the batch; each has one line.
    :param sleep: takes the seconds to wait before the next reading.
    :raises ResultsError: cut differently each time, or not readable; nothing is kept.
    """
    previous: _Stream | None = None
    agreed = True
    for download in range(1, DOWNLOADS + 1):
        try:
            with atomic_writer(path) as target:
                stream = _copy(api.stream_results(batch), target)
                if stream.lines < requests:
                    # What is missing is sent, and paid, again; so it is believed as late as possible.
                    agreed = agreed and stream.ended and previous in (None, stream)
                    if not agreed or download < DOWNLOADS:
                        raise _ShortError
        except _ShortError:
            log.warning(
                "the results of batch %s ended after %d of %d lines (reading %d of %d)",
                *(batch.id, stream.lines, requests, download, DOWNLOADS),
            )
            previous = stream
            if download < DOWNLOADS:
                sleep(min(2.0**download, 10.0))
            continue
        return stream.lines
    raise ResultsError(
        f"the results of batch {batch.id} were cut {DOWNLOADS} times, the last time after "
        f"{previous.lines if previous else 0:,} of {requests:,} lines. They are paid for and kept by the API for "
        "29 days; reading them again pays nothing.",
        code="results_cut",
    )


class _ShortError(Exception):
    """Leave the writer, so that nothing is kept."""


class _LineCounter:
    """Counts the lines of a stream that comes in pieces, blank ones left out."""

    def __init__(self) -> None:
        self._ended = 0
        self._last: list[bytes] = []
        self._last_size = 0

    def add(self, chunk: bytes) -> None:
        end = chunk.rfind(b"\n") + 1
        if end:
            first = chunk.find(b"\n")
            self._ended += bool(b"".join((*self._last, chunk[:first])).strip())
            inside = chunk[first + 1 : end]
            if any(blank in chunk for blank in _BLANKS):
                self._ended += sum(1 for line in inside.split(b"\n") if line.strip())
            else:
                self._ended += inside.count(b"\n")
            self._last, self._last_size = [], 0
        self._last_size += len(chunk) - end
        # Of a line that is too long to be read, some bytes are enough to count it.
        if self._last_size <= MAX_LINE_BYTES:
            self._last.append(chunk[end:])

    @property
    def has_tail(self) -> bool:
        """True when there is something behind the last line feed."""
        return bool(b"".join(self._last).strip())

    @property
    def lines(self) -> int:
        return self._ended + (self.has_tail and self._tail_is_whole())

    @property
    def ended(self) -> bool:
        return not self.has_tail or self._tail_is_whole()

    def _tail_is_whole(self) -> bool:
        return self._last_size <= MAX_LINE_BYTES and bool(read_line(b"".join(self._last)))


def _copy(chunks: Iterator[bytes], target: BinaryIO) -> _Stream:
    counter, digest, size, broken = _LineCounter(), 0, 0, False
    try:
        with compressed_output(target) as compressed:
            for chunk in chunks:
                compressed.write(chunk)
                digest = zlib.crc32(chunk, digest)
                size += len(chunk)
                counter.add(chunk)
            compressed.flush()
    except OSError:
        raise
    except Exception as error:
        if not _is_cut(error):
            raise
        log.warning("the result stream broke off (%s)", type(error).__name__)
        broken = True
    return _Stream(counter.lines, size, digest, counter.ended and not broken)


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
    with stream, pa.CompressedInputStream(as_arrow_file(stream), "zstd") as decompressed:
        yield decompressed
