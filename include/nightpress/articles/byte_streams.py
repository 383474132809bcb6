"""Adapters between what file systems give and what the standard library's readers want."""

from __future__ import annotations

import io
from typing import BinaryIO


class RawStream(io.RawIOBase):
    """Any object with ``read`` as a raw stream, for :class:`io.BufferedReader`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the start."""
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class CountedReader(io.BufferedReader):
    """A buffered reader that knows how many bytes it gave to :class:`io.TextIOWrapper`."""

    def __init__(self, stream: BinaryIO, block_size: int) -> None:
        super().__init__(RawStream(stream), block_size)
        self.given_bytes = 0

    def read1(self, size: int = -1, /) -> bytes:
        """Return some bytes, none at the end."""
        data = super().read1(size)
        self.given_bytes += len(data)
        return data
