"""Fill shards with requests, and write each as soon as it is full.

Memory is bounded by one shard, not by the input. The bytes of the file are exactly the bytes that are POSTed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Protocol

import msgspec
import pyarrow as pa

from nightpress.costs.text_sizes import RequestSizes, measure_requests
from nightpress.parquet_files import write_parquet
from nightpress.settings import ShardLimits
from nightpress.shards.column_names import MetadataColumnNames
from nightpress.shards.metadata_columns import metadata_column
from nightpress.shards.request_keys import custom_id, request_key, shard_key
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.storage import StoragePath, atomic_writer

_HEAD, _TAIL = b'{"requests":[', b"]}"
_ENTRY_OVERHEAD = len('{"custom_id":"0123456789abcdef-","params":},')
_CELL_BYTES = 8


class StagedRequest(msgspec.Struct, frozen=True, gc=False):
    """A request ready to be put into a shard.

    :param params: its canonical params.
    :param row: the article's columns, without its text.
    """

    params: bytes
    row: dict[str, object]


class Answered(Protocol):
    """Knows which requests were answered before, and takes their articles."""

    def take(self, key: bytes, row: dict[str, object], ordinal: int) -> bool:
        """Take the article if its request was answered before; return False when it has to be sent."""

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
        self._begin()

    def _begin(self) -> None:
        self._size = len(_HEAD) + len(_TAIL)
        self._requests: list[StagedRequest] = []
        self._keys: list[bytes] = []
        self._staged_bytes = 0

    def add(self, request: StagedRequest) -> bool:
        """Put a request into the shard being filled; return False when no shard can hold it."""
        entry = _ENTRY_OVERHEAD + len(str(len(self._requests))) + len(request.params)
        if entry + len(_HEAD) + len(_TAIL) > self.limits.max_bytes:
            return False
        key = request_key(request.params, self.betas)
        self._ordinal += 1
        if self.answered is not None and self.answered.take(key, request.row, self._ordinal - 1):
            self.reused += 1
            return True
        staged = _staged_bytes(request.row)
        full = len(self._requests) == self.limits.max_requests
        # A value that a row lacks still takes space in the column.
        cells = _CELL_BYTES * len(self.names) * len(self._requests)
        over = self._requests and self._staged_bytes + staged + cells > self.limits.max_staged_bytes
        if full or over or self._size + entry > self.limits.max_bytes:
            self.close_shard()
        self._size += entry
        self._staged_bytes += staged
        self._requests.append(request)
        self._keys.append(key)
        return True

    def close_shard(self) -> None:
        """Write the shard being filled, if there is anything in it."""
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
            separator = _HEAD
            for ordinal, request in enumerate(self._requests):
                name = custom_id(key, ordinal).encode()
                stream.write(b'%b{"custom_id":"%b","params":%b}' % (separator, name, request.params))
                separator = b","
            stream.write(_TAIL)
            return stream.tell()

    def _write_articles(self, path: StoragePath, key: str) -> None:
        values: dict[str, list[object]] = {}
        for number, request in enumerate(self._requests):
            for name, value in request.row.items():
                column = values.setdefault(name, [])
                if len(column) < number:
                    column += [None] * (number - len(column))
                column.append(value)
        rows = len(self._requests)
        columns = {
            name: metadata_column(column + [None] * (rows - len(column))) for name, column in values.items()
        }
        columns["request_key"] = pa.array([digest.hex() for digest in self._keys], pa.string())
        table = pa.table(columns).replace_schema_metadata({"shard_key": key})
        write_parquet(table, path)


def fit_limits(limits: ShardLimits, size_bytes: int) -> ShardLimits:
    """Return limits that a request with params of this size fits; a batch may hold more than our limits allow."""
    needed = size_bytes + len(_HEAD) + len(_TAIL) + _ENTRY_OVERHEAD + 10
    return limits if needed <= limits.max_bytes else replace(limits, max_bytes=needed)


def _staged_bytes(row: dict[str, object]) -> int:
    return sum([len(value) if type(value) is str else _CELL_BYTES for value in row.values()])
