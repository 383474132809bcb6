"""``rejected.parquet``: the rows of a source that were not sent, each with its position and reason."""

from __future__ import annotations

from contextlib import ExitStack

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.articles.article import Rejected
from nightpress.storage import StoragePath, atomic_writer

_REJECTED_GROUP = 10_000
REJECTED_SCHEMA = pa.schema(
    [
        pa.field("article_id", pa.string(), metadata={"about": "null when the row has none"}),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), metadata={"about": "row, line or element, counted from 1"}),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("record", pa.int64(), metadata={"about": "null when the position is the number of the row"}),
    ]
)


class RejectedFile:
    """``rejected.parquet``, written in groups; the file exists even when nothing was rejected."""

    def __init__(self, path: StoragePath) -> None:
        self.path = path
        self.rows: list[Rejected] = []

    def __enter__(self) -> RejectedFile:
        with ExitStack() as stack:
            stream = stack.enter_context(atomic_writer(self.path))
            self.writer = stack.enter_context(pq.ParquetWriter(stream, REJECTED_SCHEMA, compression="zstd"))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
        self.stack.__exit__(*error)  # type: ignore[arg-type]

    def add(self, row: Rejected) -> None:
        """Add a row."""
        self.rows.append(row)
        if len(self.rows) == _REJECTED_GROUP:
            self._flush()

    def _flush(self) -> None:
        rows = [msgspec.structs.asdict(row) | {"record": row.record or None} for row in self.rows]
        self.writer.write_table(pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA))
        self.rows.clear()
