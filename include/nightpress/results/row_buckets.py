"""Sort a shard's answers, which come in any order, into article order without holding them all in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa


class Buckets:
    """Stores arriving rows on the local disk, in one bucket per range of ordinals.

    The files have no name, so nothing of the answers is left there if the process is killed.

    :param schema: schema of the rows.
    :param articles: ordinals are 0 to ``articles - 1``, each at most once.
    :param rows: number of rows that are sorted, and held in memory, at once.
    """

    def __init__(self, schema: pa.Schema, articles: int, rows: int) -> None:
        self._articles = articles
        self._rows = rows
        self._count = max(-(-articles // rows), 1)
        self._open = ExitStack()
        with_ordinals = schema.append(pa.field("ordinal", pa.int64()))
        self._writers: list[pa.RecordBatchStreamWriter] = []
        self._files: list[pa.NativeFile] = []
        with tempfile.TemporaryDirectory(prefix="nightpress-rows-") as folder:
            for number in range(self._count):
                path = str(Path(folder) / f"{number}.arrows")
                sink = self._open.enter_context(pa.OSFile(path, "wb"))
                self._files.append(self._open.enter_context(pa.OSFile(path)))
                self._writers.append(self._open.enter_context(pa.ipc.new_stream(sink, with_ordinals)))

    def close(self) -> None:
        """Remove the stored rows."""
        self._open.close()

    def add(self, rows: pa.RecordBatch, ordinals: np.ndarray) -> None:
        """Store rows."""
        rows = rows.append_column("ordinal", pa.array(ordinals))
        bucket = ordinals // self._rows
        if self._count > 1:
            order = np.argsort(bucket, kind="stable")
            rows, bucket = rows.take(pa.array(order)), bucket[order]
        ends = np.searchsorted(bucket, np.arange(self._count), side="right").tolist()
        for number, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if begin < end:
                self._writers[number].write_batch(rows.slice(begin, end - begin))

    def iter_tables(self) -> Iterator[pa.Table]:
        """Yield all rows in order of their ordinals, a bucket at a time; rows that never arrived are null."""
        for number in range(self._count):
            yield self._in_order(number)

    def _in_order(self, number: int) -> pa.Table:
        self._writers[number].close()
        with pa.ipc.open_stream(self._files[number]) as reader:
            arrived = reader.read_all().combine_chunks()
        first = number * self._rows
        positions = np.full(min(self._rows, self._articles - first), -1, dtype=np.int64)
        positions[arrived["ordinal"].to_numpy() - first] = np.arange(arrived.num_rows)
        return arrived.drop_columns(["ordinal"]).take(pa.array(positions, mask=positions < 0))
