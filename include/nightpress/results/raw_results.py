"""Keep the result stream as it came: paid for once, it can be read again without the API."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from nightpress.batches.batch import Batch
from nightpress.batches.client import BatchApi
from nightpress.errors import ResultsError
from nightpress.storage import StoragePath, atomic_writer

log = logging.getLogger(__name__)

DOWNLOADS = 10
"""How often a result stream is read before what it says is believed or refused."""


@dataclass(frozen=True, slots=True)
class _Stream:
    lines: int
    digest: str
    whole: bool


def keep_raw(
    batch: Batch, path: StoragePath, api: BatchApi, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Store the results of ``batch`` under ``path``, zstd-compressed, and return the number of lines.

    A stream can be cut without an error, so its lines are compared with the batch's counts. One that is
    short is read again; one that is short in the same way every time is what the API has, and is kept:
    its articles become ``missing``.

    :raises ResultsError: cut differently each time, or not readable; nothing is kept.
    """
    expected = batch.request_counts.total
    previous: _Stream | None = None
    agreed = True
    for download in range(1, DOWNLOADS + 1):
        try:
            with atomic_writer(path) as target:
                stream = _copy(api.stream_results(batch), target)
                if stream.lines < expected or not stream.whole:
                    # What is missing is sent, and paid, again; so it is believed as late as possible.
                    agreed = agreed and stream.whole and previous in (None, stream)
                    if not agreed or download < DOWNLOADS:
                        raise _ShortError
        except _ShortError:
            log.warning(
                "the results of batch %s ended after %d of %d lines (reading %d of %d)",
                *(batch.id, stream.lines, expected, download, DOWNLOADS),
            )
            previous = stream
            sleep(min(2.0**download, 10.0))
            continue
        return stream.lines
    raise ResultsError(
        f"the results of batch {batch.id} were cut {DOWNLOADS} times, the last time after "
        f"{previous.lines if previous else 0:,} of {expected:,} lines. They are paid for and kept by the API for "
        "29 days; a retry reads them again."
    )


class _ShortError(Exception):
    """Leave the writer, so that nothing is kept."""


def _copy(chunks: Iterator[bytes], target: BinaryIO) -> _Stream:
    digest = hashlib.sha256()
    lines, last = 0, b"\n"
    try:
        with pa.CompressedOutputStream(pa.PythonFile(target, mode="w"), "zstd") as compressed:
            for chunk in chunks:
                compressed.write(chunk)
                digest.update(chunk)
                lines += chunk.count(b"\n")
                last = chunk[-1:] or last
            compressed.flush()
    except OSError:
        raise
    except Exception as error:
        if not _is_cut(error):
            raise
        log.warning("the result stream broke off (%s)", type(error).__name__)
        return _Stream(lines, digest.hexdigest(), whole=False)
    return _Stream(lines, digest.hexdigest(), whole=last == b"\n")


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
    with stream, pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd") as decompressed:
        yield decompressed
