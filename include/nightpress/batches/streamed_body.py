"""A POST body that is streamed from a file and stops at a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from nightpress.batches.refusals import BodyNotSentError
from nightpress.storage import StoragePath, block_size

POST_SECONDS = 600.0
"""How long a body may take to be sent; the SDK's own default time-out is the same."""

_CHUNK = 256 * 1024


class StreamedBody:
    """A file as a request body that can be iterated again, and stops at a deadline.

    :param deadline: by ``now``, this machine's clock.
    :param elapsed: steady seconds; the body may take as many of them as were left at the start, so setting the
        clock back does not prolong the deadline.
    :raises BodyNotSentError: while iterating, after ``deadline`` or when the file cannot be read. The API never
        accepts an incomplete body, so the deadline limits how long to look for the batch of this POST.
    """

    def __init__(
        self, path: StoragePath, deadline: float, now: Callable[[], float], elapsed: Callable[[], float]
    ) -> None:
        self.path, self.deadline, self.now, self.elapsed = path, deadline, now, elapsed
        self.latest = elapsed() + min(deadline - now(), POST_SECONDS)

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._read()
        while True:
            try:
                chunk = next(chunks, None)
            except Exception as error:
                # An object store's driver raises its own errors, not only OSError.
                raise BodyNotSentError(
                    f"{self.path} cannot be read ({type(error).__name__}: {error})"
                ) from error
            if chunk is None:
                return
            if self.now() > self.deadline:
                raise BodyNotSentError("it took too long")
            if self.elapsed() > self.latest:
                raise BodyNotSentError("it took too long, while this machine's clock was set back")
            yield chunk

    def _read(self) -> Iterator[bytes]:
        with _open(self.path) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk


def read_beginning(path: StoragePath, size_bytes: int) -> bytes:
    """Return the first bytes of a body."""
    with _open(path, size_bytes) as stream:
        return bytes(stream.read(size_bytes))


def _open(path: StoragePath, *block_bytes: int) -> BinaryIO:
    # Not path.open: with a lineage plug-in Airflow would report this file, and load all providers for it.
    return cast("BinaryIO", path.fs.open(path.path, "rb", **block_size(path.fs, *block_bytes)))
