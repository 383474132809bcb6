"""A shard's answers put in article order without holding the shard: results come in any order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa


class Buckets:
    """Rows in the order they arrive, put aside on the local disk by ranges of their ordinals.

    :param schema: of the rows.
    :param articles: ordinals are 0 to ``articles - 1``, each at most once.
    :param rows: that are put in order, and held in memory, at once.
    """

    def __init__(self, schema: pa.Schema, articles: int, rows: int) -> None:
        self._articles = articles
        self._rows = rows
        self._count = max(-(-articles // rows), 1)
        self._open = ExitStack()
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="nightpress-rows-")))
        with_ordinals = schema.append(pa.field("ordinal", pa.int64()))
        self._writers = [
            self._open.enter_context(pa.ipc.new_stream(self._path(number), with_ordinals))
            for number in range(self._count)
        ]

    def close(self) -> None:
        """Remove what was put aside."""
        self._open.close()

    def add(self, rows: pa.RecordBatch, ordinals: np.ndarray) -> None:
        """Put rows aside."""
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
        """Yield all rows in the order of their ordinals, a bucket at a time; rows that never came are null."""
        for number in range(self._count):
            yield self._in_order(number)

    def _in_order(self, number: int) -> pa.Table:
        self._writers[number].close()
        with pa.OSFile(self._path(number)) as file, pa.ipc.open_stream(file) as reader:
            arrived = reader.read_all().combine_chunks()
        first = number * self._rows
        positions = np.full(min(self._rows, self._articles - first), -1, dtype=np.int64)
        positions[arrived["ordinal"].to_numpy() - first] = np.arange(arrived.num_rows)
        return arrived.drop_columns(["ordinal"]).take(pa.array(positions, mask=positions < 0))

    def _path(self, number: int) -> str:
        return str(self._folder / f"{number}.arrows")
