from __future__ import annotations

import random
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightpress.results.row_buckets import Buckets
from nightpress.results.shard_rows import iter_slices

pytestmark = pytest.mark.usefixtures("small_buckets")

SCHEMA = pa.schema([("text", pa.string())])


@given(
    articles=st.integers(1, 40), rows=st.integers(1, 45), a_block=st.integers(1, 9), seed=st.integers(0, 9)
)
def test_rows_come_back_in_the_order_of_their_ordinals(
    articles: int, rows: int, a_block: int, seed: int
) -> None:
    chance = random.Random(seed)
    arriving = chance.sample(range(articles), k=chance.randint(0, articles))
    with closing(Buckets(SCHEMA, articles, rows)) as buckets:
        for begin in range(0, len(arriving), a_block):
            block = arriving[begin : begin + a_block]
            texts = pa.record_batch([pa.array([f"text {n}" for n in block], pa.string())], schema=SCHEMA)
            buckets.add(texts, np.array(block, dtype=np.int64))
        tables = list(buckets.iter_tables())
    assert {table.num_rows for table in tables[:-1]} <= {rows}
    came = set(arriving)
    assert pa.concat_tables(tables)["text"].to_pylist() == [
        f"text {n}" if n in came else None for n in range(articles)
    ]


def test_a_killed_process_leaves_no_answers_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(Buckets(SCHEMA, 10, 3)) as buckets:
        texts = pa.record_batch([pa.array(["text"] * 10, pa.string())], schema=SCHEMA)
        buckets.add(texts, np.arange(10))
        assert list(tmp_path.iterdir()) == []
        assert sum(table.num_rows for table in buckets.iter_tables()) == 10


@pytest.mark.parametrize("group", [1, 3, 7, 100])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_slices_are_whole_whatever_the_row_groups_are(
    tmp_path_factory: pytest.TempPathFactory, group: int, rows: int
) -> None:
    path = tmp_path_factory.mktemp("slices") / "a.parquet"
    pq.write_table(pa.table({"n": range(10)}), path, row_group_size=group)
    slices = list(iter_slices(pq.ParquetFile(path), rows))
    assert [part.num_rows for part in slices] == [rows] * (10 // rows) + ([10 % rows] if 10 % rows else [])
    assert pa.concat_tables(slices)["n"].to_pylist() == list(range(10))
