"""A shard's answers put in article order without holding more than a share of a large shard in memory.

Results come in any order. Each row goes into the bucket of its range of ordinals; a bucket is put in order when it
is read. Buckets are held in memory, and what they hold goes to the local disk whenever it is more than
:data:`MEMORY_BYTES`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

MEMORY_BYTES = 64 * 1024 * 1024
"""Rows that are held in memory: some 100,000 answers of 500 characters."""


class Buckets:
    """Rows in the order they arrive, put aside by ranges of their ordinals.

    :param schema: of the rows.
    :param articles: ordinals are 0 to ``articles - 1``, each at most once.
    :param rows: that are put in order at once.
    """

    def __init__(self, schema: pa.Schema, articles: int, rows: int) -> None:
        self._schema = schema.append(pa.field("ordinal", pa.int64()))
        self._articles = articles
        self._rows = rows
        self._held: list[list[pa.RecordBatch]] = [[] for _ in range(max(-(-articles // rows), 1))]
        self._held_bytes = 0
        self._open = ExitStack()
        self._writers: list[pa.ipc.RecordBatchStreamWriter] = []

    def close(self) -> None:
        """Remove what is on the disk."""
        self._open.close()

    def add(self, rows: pa.RecordBatch, ordinals: np.ndarray) -> None:
        """Put rows aside."""
        rows = rows.append_column("ordinal", pa.array(ordinals))
        bucket = ordinals // self._rows
        if len(self._held) > 1:
            order = np.argsort(bucket, kind="stable")
            rows, bucket = rows.take(pa.array(order)), bucket[order]
        ends = np.searchsorted(bucket, np.arange(len(self._held)), side="right").tolist()
        for held, begin, end in zip(self._held, [0, *ends], ends, strict=False):
            if begin < end:
                held.append(rows.slice(begin, end - begin))
        self._held_bytes += rows.nbytes
        if self._held_bytes > MEMORY_BYTES:
            self._to_disk()

    def iter_tables(self) -> Iterator[pa.Table]:
        """Yield all rows in the order of their ordinals, a bucket at a time; rows that never came are null."""
        for number, held in enumerate(self._held):
            arrived = [*self._from_disk(number), *held]
            held.clear()
            yield self._in_order(pa.Table.from_batches(arrived, self._schema), number * self._rows)

    def _to_disk(self) -> None:
        if not self._writers:
            folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="nightpress-rows-"))
            self._folder = Path(folder)
            self._writers = [
                self._open.enter_context(pa.ipc.new_stream(self._path(number), self._schema))
                for number in range(len(self._held))
            ]
        for writer, held in zip(self._writers, self._held, strict=True):
            for rows in held:
                writer.write_batch(rows)
            held.clear()
        self._held_bytes = 0

    def _from_disk(self, number: int) -> list[pa.RecordBatch]:
        if not self._writers:
            return []
        self._writers[number].close()
        with pa.OSFile(self._path(number)) as file, pa.ipc.open_stream(file) as reader:
            return list(reader)

    def _in_order(self, arrived: pa.Table, first: int) -> pa.Table:
        arrived = arrived.combine_chunks()
        positions = np.full(min(self._rows, self._articles - first), -1, dtype=np.int64)
        positions[arrived["ordinal"].to_numpy() - first] = np.arange(arrived.num_rows)
        return arrived.drop_columns(["ordinal"]).take(pa.array(positions, mask=positions < 0))

    def _path(self, number: int) -> str:
        return str(self._folder / f"{number}.arrows")
