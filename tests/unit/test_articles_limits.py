"""What hostile or careless input may take of memory and time, and which sources a form may name."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.articles.article import Article, ReadStats
from nightpress.articles.reader import find_files, iter_articles
from nightpress.articles.reading_options import ReadLimits, ReadOptions
from nightpress.errors import ConfigurationError, InputError
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.writer import ReadReport, write_shards

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{title}|{brand}|{content}", 10))


def write(articles: list[Article], folder: Path, **limits: int) -> ReadReport:
    return write_shards(articles, UPath(folder), TEMPLATE, limits=ShardLimits(**limits))


def article(number: int, **metadata: object) -> Article:
    return Article(str(number), "t", f"text {number}", {"brand": "b", **metadata}, "in.jsonl", number + 1)


def test_every_field_is_cut_and_the_report_says_so(tmp_path: Path) -> None:
    long = Article("1", "T" * 3_000_000, "C" * 50, {"brand": "B" * 500}, "f", 1)
    report = write([long, article(2)], tmp_path)
    body = json.loads(UPath(report.shards[0].uri).read_bytes())
    assert body["requests"][0]["params"]["messages"][0]["content"] == f"{'T' * 10}|{'B' * 10}|{'C' * 10}"
    assert report.cut == {"title": 1, "brand": 1, "content": 1}
    assert report.cut_characters == 3_000_000 - 10 + 40 + 490
    assert "content of 1" in report.notes(TEMPLATE)[0]
    assert "2 articles" in report.notes(TEMPLATE)[0]


def test_metadata_closes_a_shard_too(tmp_path: Path) -> None:
    report = write([article(n, page="x" * 10_000) for n in range(50)], tmp_path, max_staged_bytes=100_000)
    assert len(report.shards) >= 5
    assert report.articles == 50


def test_rows_with_fields_of_their_own_are_refused_before_they_add_up(tmp_path: Path) -> None:
    rows = [article(n, **{f"field-{n}-{k}": k for k in range(30)}) for n in range(10_000)]
    started = time.process_time()
    with pytest.raises(InputError, match=r"in\.jsonl: row 67: .*2,000 different fields.*metadata="):
        write(rows, tmp_path)
    assert time.process_time() - started < 2


def test_sparse_fields_are_written_in_linear_time_and_right(tmp_path: Path) -> None:
    rows = [article(n, **{f"field-{n % 40}": n}) for n in range(200)]
    (shard,) = write(rows, tmp_path).shards
    table = pq.read_table(shard.uri.replace("requests-", "articles-").replace(".json", ".parquet"))
    assert table["field-39"].to_pylist() == [n if n % 40 == 39 else None for n in range(200)]


def test_a_line_of_commas_is_refused_before_it_is_a_million_values(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"id,content\n1," + b"," * 50_000_000))
    started = time.process_time()
    with pytest.raises(InputError, match="max_columns"):
        list(iter_articles(UPath(path)))
    assert time.process_time() - started < 3


def test_a_long_value_in_quotes_is_no_line_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    text = "words, and commas, " * 200_000
    path.write_text(f'id,content\n1,"{text}"\n')
    (row,) = iter_articles(UPath(path))
    assert isinstance(row, Article)
    assert row.content == text


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": 1, "content": "x"}' + b" " * 100_000_000))
    long = 200 * 1024 * 1024
    with pytest.raises(InputError, match="max_ratio"):
        list(iter_articles(UPath(path), options=ReadOptions(limits=ReadLimits(max_row_bytes=long))))
    small = ReadLimits(max_decompressed_bytes=70_000_000, max_ratio=5_000, max_row_bytes=long)
    with pytest.raises(InputError, match="max_decompressed_bytes"):
        list(iter_articles(UPath(path), options=ReadOptions(limits=small)))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_row_that_never_ends_is_refused(name: str, tmp_path: Path) -> None:
    heads = {
        "a.jsonl": '{"id": 1, "content": "',
        "a.json": '[{"id": 1, "content": "',
        "a.csv": 'id,content\n1,"',
    }
    (tmp_path / name).write_text(heads[name] + "x" * 3_000_000)
    with pytest.raises(InputError, match="max_row_bytes"):
        list(iter_articles(UPath(tmp_path), options=ReadOptions(limits=ReadLimits(max_row_bytes=1_000_000))))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", ",".join(f"c{n}" for n in range(3_000)) + "\n"),
        (
            "a.csv",
            ",".join(["id", "content", *(f"c{n}" for n in range(3_000))]) + "\n" + "1," * 3_001 + "1\n",
        ),
        ("a.jsonl", json.dumps({"id": 1, "content": "x", **{f"c{n}": n for n in range(3_000)}}) + "\n"),
    ],
)
def test_too_many_columns_are_refused(name: str, data: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(data)
    with pytest.raises(InputError):
        list(iter_articles(UPath(tmp_path)))
    if "content" in data:
        kept = ReadOptions(metadata=("c1",))
        (row,) = iter_articles(UPath(tmp_path), options=kept)
        assert isinstance(row, Article)
        assert list(row.metadata) == ["c1"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="not a regular file"):
        list(iter_articles(UPath(tmp_path / "a.jsonl")))
    (tmp_path / "b.jsonl").write_text('{"id": 1, "content": "x"}\n')
    stats = ReadStats()
    assert len(list(iter_articles(UPath(tmp_path), stats=stats))) == 1
    assert list(stats.source.skipped) == [str(tmp_path / "a.jsonl")]


def test_a_store_whose_package_is_missing_is_named_at_once() -> None:
    for url, words in (
        ("gs://bucket/a.csv", r"nightpress\[gcs\]"),
        ("abfs://c@a/a.csv", r"nightpress\[azure\]"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            find_files(UPath(url))
