"""Copy answers that were paid for before to the articles of today instead of sending these again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nightpress.days.answer_index import AnswerIndex, published_anew
from nightpress.folders import RunFolder
from nightpress.outputs.output_schema import OutputSchema
from nightpress.parquet_files import open_parquet, write_parquet
from nightpress.results.answers_schema import answers_schema
from nightpress.results.typed_answers import type_answers
from nightpress.shards.metadata_columns import metadata_column
from nightpress.storage import StoragePath

ORDINALS = b"ordinals"
"""Key of the schema metadata of ``reused-*.parquet``: see :func:`read_ordinals`."""

_ROWS_A_FILE = 20_000
_OF_OURS = {"article_id", "title", "source_file", "source_position"}


@dataclass(slots=True)
class _Waiting:
    """Articles whose answers will be copied."""

    ordinals: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    articles: list[dict[str, object]] = field(default_factory=list)


class ReusedRows:
    """Takes the articles that already have an answer, and writes them as ``reused-<n>.parquet``.

    The rows have the columns of a shard's results: the article's current id, title and metadata, the earlier
    answer, ``reused`` set and ``cost_usd`` 0.

    :param folder: folder of the run.
    :param day: partition key, YYYY-MM-DD.
    :param output: the schema of the run's answers, or None for plain text.
    """

    def __init__(
        self,
        index: AnswerIndex,
        folder: StoragePath,
        day: str,
        *,
        output: OutputSchema | None = None,
        write: bool = True,
    ) -> None:
        self.index, self.folder, self.day, self.write, self.output = index, folder, day, write, output
        self.files: list[StoragePath] = []
        self.count = 0
        self._waiting = _Waiting()

    def take(self, keys: Sequence[bytes], rows: Sequence[dict[str, object]], first: int) -> Sequence[bool]:
        """Take the articles whose requests were answered before; return for each whether it was taken.

        :param keys: the request keys, 32 bytes each.
        :param rows: the columns of each article, without its text.
        :param first: the position of the first among all articles of the run, from 0.
        """
        places = self.index.find(keys)
        for ordinal, (place, key, row) in enumerate(zip(places, keys, rows, strict=True), start=first):
            if place is None:
                continue
            self.count += 1
            if self.write:
                self._waiting.ordinals.append(ordinal)
                self._waiting.keys.append(key)
                self._waiting.places.append(place)
                self._waiting.articles.append(row)
                if len(self._waiting.ordinals) == _ROWS_A_FILE:
                    self.flush()
        return [place is not None for place in places]

    def flush(self) -> None:
        """Write the taken articles that are not written yet.

        :raises ResultsError: a published file was replaced since the lookup; a retry looks it up again.
        """
        waiting, self._waiting = self._waiting, _Waiting()
        if not waiting.ordinals:
            return
        # Read the columns from the text again: the answer is the same, but the schema may have changed.
        typed = type_answers(self._copy_answers(waiting), self.output)
        answers = typed.answers
        names = dict.fromkeys(name for row in waiting.articles for name in row)
        own = {name: metadata_column([row.get(name) for row in waiting.articles]) for name in names}
        columns = {name: answers[name] for name in answers.column_names} | own | dict(typed.columns)
        count = len(waiting.ordinals)
        columns["cost_usd"] = pa.array(np.zeros(count))
        columns["reused"] = pa.repeat(True, count)
        columns["day"] = pa.repeat(self.day, count)
        metadata = [pa.field(name, column.type) for name, column in own.items() if name not in _OF_OURS]
        schema = answers_schema(metadata, typed.fields)
        table = pa.table([columns[name] for name in schema.names], schema=schema)
        ordinals = np.asarray(waiting.ordinals, np.int64).tobytes()
        path = RunFolder(self.folder).reused(len(self.files))
        write_parquet(table.replace_schema_metadata({ORDINALS: ordinals.hex()}), path)
        self.files.append(path)

    def _copy_answers(self, waiting: _Waiting) -> pa.Table:
        """Return the requested answers in this order; each row group is read once."""
        found = np.asarray(waiting.places, np.int64)
        tables: list[pa.Table] = []
        positions = np.empty(len(found), np.int64)
        start = 0
        for number in np.unique(found[:, 0]):
            wanted = np.flatnonzero(found[:, 0] == number)
            rows, inverse = np.unique(found[wanted, 1], return_inverse=True)
            tables.append(self.index.copy_rows(int(number), rows))
            positions[wanted] = start + inverse
            start += len(rows)
        copied = pa.concat_tables(tables).take(pa.array(positions))
        if copied["request_key"].to_pylist() != [key.hex() for key in waiting.keys]:
            raise published_anew(self.index.files)
        return copied


def read_ordinals(path: StoragePath) -> np.ndarray:
    """Return the position of each row of a file of reused rows among all articles of the run, from 0."""
    with open_parquet(path) as file:
        metadata = file.schema_arrow.metadata or {}
    return np.frombuffer(bytes.fromhex(metadata[ORDINALS].decode()), np.int64)
