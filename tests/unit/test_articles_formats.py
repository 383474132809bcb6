from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.articles.article import Article, ReadStats
from nightpress.articles.json_rows import iter_json
from nightpress.articles.json_shape import Shape
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import FieldMap, ReadLimits

ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "title": "One",
        "content": 'Braces {content}, {{ ds }}, "quotes", and\nlines',
        "section": "x",
    },
    {"id": "文-2", "title": "二", "content": "正文,\r\n第二行 😀\u2028 \u0085", "section": "科学"},
    {"id": "i" * 300, "title": "", "content": "x" * 600_000, "section": None},
    {"id": "4", "title": None, "content": "<script>alert(1)</script>", "section": "y"},
]


def as_json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "\r\n\n".join(json.dumps(row, ensure_ascii=len(row) % 2 == 0) for row in rows).encode()


def as_table(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "json": as_json,
    "jsonl": as_jsonl,
    "ndjson": as_jsonl,
    "csv": as_table,
    "tsv": lambda rows: as_table(rows, "\t"),
    "parquet": as_parquet,
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def read(path: Path, **options: Any) -> list[Any]:
    return list(iter_articles(UPath(path), **options))


# Parquet is compressed inside.
@pytest.mark.parametrize(
    ("kind", "compression"),
    [
        (kind, compression)
        for kind in FORMATS
        for compression in COMPRESSIONS
        if kind != "parquet" or not compression
    ],
)
def test_every_format_gives_the_same_articles(kind: str, compression: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{kind}{compression}"
    path.write_bytes(COMPRESSIONS[compression](FORMATS[kind](ROWS)))
    articles = read(path)
    assert [(a.article_id, a.title, a.content, a.metadata) for a in articles] == [
        (row["id"], row["title"] or "", row["content"], {"section": row["section"]}) for row in ROWS
    ]
    assert {a.file for a in articles} == {str(path)}


@pytest.mark.parametrize(
    ("kind", "positions"),
    [("json", [1, 2, 3, 4]), ("parquet", [1, 2, 3, 4]), ("jsonl", [1, 3, 5, 7]), ("csv", [2, 4, 6, 7])],
)
def test_positions_lead_to_the_row(kind: str, positions: list[int], tmp_path: Path) -> None:
    path = tmp_path / f"in.{kind}"
    path.write_bytes(FORMATS[kind](ROWS))
    assert [article.position for article in read(path)] == positions


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.jsonl.zst", "in.json"])
def test_what_the_name_hides_the_first_bytes_tell(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    kind = name.split(".")[1]
    path.write_bytes(gzip.compress(FORMATS[kind](ROWS)))
    assert len(read(path)) == len(ROWS)
    path.write_bytes(as_parquet(ROWS))
    assert len(read(path)) == len(ROWS)
    if kind != "csv":
        path.write_bytes(b"\xef\xbb\xbf" + FORMATS[kind](ROWS))
        assert len(read(path)) == len(ROWS)


def test_a_plain_file_named_gz_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(as_jsonl(ROWS))
    assert len(read(path)) == len(ROWS)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8", "utf-8-sig", "latin-1"])
def test_csv_in_the_encoding_that_was_said(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("id,content\n1,café\n".encode(encoding))
    assert read(path, encoding=encoding)[0].content == "café"
    path.write_bytes("\ufeffid,content\n1,café\n".encode())
    assert read(path)[0].article_id == "1"


def test_fields_are_mapped_and_the_rest_is_metadata(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"key": 7, "body": "text", "headline": "T", "id": "other", "title": "sub"}')
    (article,) = read(path, fields=FieldMap("key", "body", "headline"))
    assert (article.article_id, article.title, article.content) == ("7", "T", "text")
    assert article.metadata == {"id": "other", "title": "sub"}


def test_the_limit_counts_articles_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "content": "a"}\n{"id": 3, "content": "b"}\nthis is not JSON')
    assert [type(row).__name__ for row in read(path, limit=2)] == ["Rejected", "Article", "Article"]
    assert read(path, limit=0) == []


def test_values_of_json_that_columns_cannot_hold_become_text(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    big = 2**70
    path.write_text(
        '[{"id": 1, "content": "x", "title": 5, "tags": ["a", "é"], "who": {"n": null, "s": "\\ud800"},'
        f' "nan": NaN, "big": {big}, "yes": true, "half": 0.5, "none": null}}]'
    )
    (article,) = read(path)
    assert article.title == "5"
    assert article.metadata == {
        "tags": '["a","é"]',
        "who": '{"n": null, "s": "\ufffd"}',
        "nan": None,
        "big": big,
        "yes": True,
        "half": 0.5,
        "none": None,
    }


@pytest.mark.parametrize("name", ["in.json", "in.jsonl"])
def test_what_is_no_text_is_replaced_and_counted(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    row = r'{"id": "1", "title": "\ud800", "content": "a\u0000b\udfffc\ud83d\ude00", "m\u0000": "\u0000"}'
    path.write_text(f"[{row}]" if name == "in.json" else row)
    stats = ReadStats()
    (article,) = read(path, stats=stats)
    assert (article.title, article.content) == ("\ufffd", "a\ufffdb\ufffdc😀")
    assert article.metadata == {"m\ufffd": "\ufffd"}
    assert stats == ReadStats(rows=1, replaced_characters=5)


def test_nul_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"id,content\n1,a\x00b\n")
    assert read(path)[0].content == "a\ufffdb"


def test_parquet_of_many_types(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    columns = {
        "id": pa.array([1.0, 2.0]),
        "content": pa.array(["x", "y"]).dictionary_encode(),
        "title": pa.array([None, "t"], pa.large_string()),
        "day": pa.array([date(2026, 11, 22), None]),
        "at": pa.array([noon, noon], pa.timestamp("ns", "UTC")),
        "far": pa.array([10**15, None], pa.timestamp("s")),
        "price": pa.array([Decimal("1.50"), None]),
        "took": pa.array([timedelta(seconds=1), None], pa.duration("ns")),
        "clock": pa.array([time(1, 2), None], pa.time64("ns")),
        "tags": pa.array([["a"], []]),
        "raw": pa.array([b"\xff", b"a"]),
        "nan": pa.array([float("nan"), 1.5]),
        "huge": pa.array([2**63, 1], pa.uint64()),
    }
    pq.write_table(pa.table(columns), path)
    first, second = read(path)
    assert (first.article_id, second.article_id, first.title, second.title) == ("1", "2", "", "t")
    assert first.metadata.pop("far").startswith("<value out of range")
    assert first.metadata == {
        "day": date(2026, 11, 22),
        "at": noon,
        "price": Decimal("1.50"),
        "clock": "01:02:00",
        "took": "0:00:01",
        "tags": '["a"]',
        "raw": "\ufffd",
        "nan": None,
        "huge": 2**63,
    }


# White space is a damaged Parquet file, or a column name of a CSV.
@pytest.mark.parametrize(
    ("name", "data"),
    [
        *((name, b"") for name in ("in.json", "in.jsonl", "in.csv", "in.parquet", "in.csv.gz")),
        *((name, b" \n\t\n") for name in ("in.json", "in.jsonl")),
    ],
)
def test_an_empty_file_has_no_articles_and_says_so(
    name: str, data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert read(path) == []
    assert str(path) in caplog.text
    assert "empty" in caplog.text


def test_no_rows_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(" [ ] ")
    (tmp_path / "b.csv").write_text("id,content\n")
    pq.write_table(pa.table({"id": pa.array([], "string"), "content": []}), tmp_path / "c.parquet")
    assert read(tmp_path) == []


ARRAY = Shape("array", "JSON array")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["id", "content", "title", "x"]), VALUES), max_size=8),
    block=st.integers(1, 40),
    ascii_only=st.booleans(),
)
def test_a_json_array_is_read_whole_wherever_blocks_end(
    rows: list[Any], block: int, ascii_only: bool
) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(block)

    data = json.dumps(rows, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    if not ascii_only and any(0xD800 <= ord(c) <= 0xDFFF for c in json.dumps(rows, ensure_ascii=False)):
        return
    assert [row for _, row in iter_json(Slow(data), "x.json", ARRAY, ReadLimits(), print)] == rows
    assert [n for n, _ in iter_json(Slow(data), "x.json", ARRAY, ReadLimits(), print)] == list(
        range(1, len(rows) + 1)
    )


def test_a_number_may_end_where_a_block_does() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(1)

    assert list(iter_json(Slow(b"[12345, -1.5e10, true]"), "x", ARRAY, ReadLimits(), print)) == [
        (1, 12345),
        (2, -1.5e10),
        (3, True),
    ]


def test_an_article_is_frozen() -> None:
    article = Article("1", "", "x", {}, "f", 1)
    with pytest.raises(AttributeError):
        article.title = "y"  # type: ignore[misc]
