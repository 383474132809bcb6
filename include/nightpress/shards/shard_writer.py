"""Fill shards with requests, and write each as soon as it is full.

Memory is bounded by one shard, not by the input. The bytes of the file are exactly the bytes that are POSTed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

import msgspec
import pyarrow as pa

from nightpress.costs.text_sizes import RequestSizes, measure_requests
from nightpress.parquet_files import write_parquet
from nightpress.settings import ShardLimits
from nightpress.shards.column_names import MetadataColumnNames
from nightpress.shards.metadata_columns import metadata_column
from nightpress.shards.request_keys import custom_id_prefix, request_key, shard_key
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.storage import StoragePath, atomic_writer

_HEAD, _TAIL = b'{"requests":[', b"]}"
_ENTRY_OVERHEAD = len('{"custom_id":"0123456789abcdef-","params":},')
_CELL_BYTES = 8
_PIECE_REQUESTS, _PIECE_BYTES = 256, 1024 * 1024
"""What is looked up at once, so that calls do not count."""


class StagedRequest(msgspec.Struct, frozen=True, gc=False):
    """A request ready to be put into a shard.

    :param params: its canonical params.
    :param row: the article's columns, without its text.
    """

    params: bytes
    row: dict[str, object]


class Answered(Protocol):
    """Knows which requests were answered before, and takes their articles."""

    def take(self, keys: Sequence[bytes], rows: Sequence[dict[str, object]], first: int) -> Sequence[bool]:
        """Take the articles whose requests were answered before; return for each whether it was taken.

        :param first: position of the first of them among all articles of the run.
        """

    def flush(self) -> None:
        """Store the articles that were taken."""


class ShardWriter:
    """Fills shards and writes each when it is full."""

    def __init__(
        self,
        folder: StoragePath,
        limits: ShardLimits,
        *,
        prefix: str = "",
        salt: str = "",
        answered: Answered | None = None,
        write: bool = True,
        betas: tuple[str, ...] = (),
    ) -> None:
        self.betas = betas
        self.folder, self.limits, self.prefix, self.salt = folder, limits, prefix, salt
        self.answered, self.write = answered, write
        self.shards: list[Shard] = []
        self.sizes: list[RequestSizes] = []
        self.reused = 0
        self._ordinal = 0
        self._twins: Counter[str] = Counter()
        self.names = MetadataColumnNames()
        # A request, its key, the bytes of its row, and those of a row with each column known then: a value that
        # a row lacks takes space as well.
        self._waiting: list[tuple[StagedRequest, bytes, int, int]] = []
        self._waiting_bytes = 0
        self._max_params = limits.max_bytes - len(_HEAD) - len(_TAIL) - _ENTRY_OVERHEAD - 1
        self._begin()

    def _begin(self) -> None:
        self._size = len(_HEAD) + len(_TAIL)
        self._requests: list[StagedRequest] = []
        self._keys: list[bytes] = []
        self._staged_bytes = 0

    def add(self, request: StagedRequest) -> bool:
        """Put a request in line for the shard being filled; return False when no shard can hold it."""
        size = len(request.params)
        if size > self._max_params:
            return False
        staged = sum([len(text) if type(text) is str else _CELL_BYTES for text in request.row.values()])
        key = request_key(request.params, self.betas)
        self._waiting.append((request, key, staged, _CELL_BYTES * self.names.count))
        self._waiting_bytes += size + staged
        if self._waiting_bytes > _PIECE_BYTES or len(self._waiting) == _PIECE_REQUESTS:
            self._place()
        return True

    def close_shard(self) -> None:
        """Write the shard being filled, if there is anything in it."""
        self._place()
        self._write_shard()

    def _place(self) -> None:
        """Put the waiting requests that were not answered before into shards."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if self.answered is not None:
            keys, rows = [key for _, key, _, _ in waiting], [request.row for request, _, _, _ in waiting]
            taken = self.answered.take(keys, rows, self._ordinal)
            self.reused += sum(taken)
            waiting = [each for each, answered in zip(waiting, taken, strict=True) if not answered]
            self._ordinal += len(taken)
        limits = self.limits
        for request, key, staged, row_bytes in waiting:
            count = len(self._requests)
            entry = _ENTRY_OVERHEAD + len(str(count)) + len(request.params)
            if count and (
                count == limits.max_requests
                or self._staged_bytes + staged + row_bytes * count > limits.max_staged_bytes
                or self._size + entry > limits.max_bytes
            ):
                self._write_shard()
            self._size += entry
            self._staged_bytes += staged
            self._requests.append(request)
            self._keys.append(key)

    def _write_shard(self) -> None:
        if not self._requests:
            return
        # Different articles with the same texts need their own shard, or they would share one batch and its bill.
        key = shard_key(self._keys, self.salt)
        twins, self._twins[key] = self._twins[key], self._twins[key] + 1
        if twins:
            key = shard_key(self._keys, f"{self.salt}#{twins}")
        files = ShardFiles(self.folder, f"{self.prefix}{len(self.shards):05d}")
        size = self._size - 1
        if self.write:
            size = self._write_requests(files.requests, key)
            self._write_articles(files.articles, key)
        self.shards.append(Shard(str(files.requests), len(self._requests), size, key, self.betas))
        self.sizes.append(measure_requests(request.params for request in self._requests))
        self._begin()

    def _write_requests(self, path: StoragePath, key: str) -> int:
        with atomic_writer(path) as stream:
            begin = b'{"custom_id":"%b' % custom_id_prefix(key).encode()
            separator = _HEAD
            for ordinal, request in enumerate(self._requests):
                stream.write(b'%b%b%d","params":%b}' % (separator, begin, ordinal, request.params))
                separator = b","
            stream.write(_TAIL)
            return stream.tell()

    def _write_articles(self, path: StoragePath, key: str) -> None:
        rows = [request.row for request in self._requests]
        names = dict.fromkeys(chain.from_iterable(rows))
        columns = {name: metadata_column([row.get(name) for row in rows]) for name in names}
        columns["request_key"] = pa.array([digest.hex() for digest in self._keys], pa.string())
        table = pa.table(columns).replace_schema_metadata({"shard_key": key})
        write_parquet(table, path)


def fit_limits(limits: ShardLimits, size_bytes: int) -> ShardLimits:
    """Return limits that a request with params of this size fits; a batch may hold more than our limits allow."""
    needed = size_bytes + len(_HEAD) + len(_TAIL) + _ENTRY_OVERHEAD + 10
    return limits if needed <= limits.max_bytes else replace(limits, max_bytes=needed)
