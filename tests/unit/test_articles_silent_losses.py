"""Files that were once read wrong, or only in part, without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.articles.article import Article, ReadStats
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import ReadOptions
from nightpress.errors import InputError

MARKER = "Anna wrote this letter"


def read(path: Path, **options: Any) -> tuple[list[Any], ReadStats]:
    stats = ReadStats()
    return list(iter_articles(UPath(path), options=ReadOptions.of(options), stats=stats)), stats


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_links_to_files_are_read_as_in_a_config_map_or_a_cache(tmp_path: Path) -> None:
    stored = write(tmp_path / "blobs" / "5f2a", lines({"id": 1, "content": "One."}))
    day = tmp_path / "day"
    day.mkdir()
    (day / "a.jsonl").symlink_to(stored)
    (day / "b.jsonl").symlink_to("../blobs/nothing")
    (day / "c.jsonl").symlink_to(stored.parent)
    for source in (day, day / "*.jsonl"):
        rows, stats = read(source)
        assert [row.content for row in rows] == ["One."]
        reasons = [stats.source.skipped[str(day / name)] for name in ("b.jsonl", "c.jsonl")]
        assert ["nothing" in reasons[0], "folder" in reasons[1]] == [True, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lines({"id": 1, "content": MARKER}, {"id": 2, "content": MARKER}), "format='json'"),
        (json.dumps([{"id": 1, "content": MARKER}], indent=1), "format='json'"),
        (f"<?xml version='1.0'?>\n<a><item><body>{MARKER}</body></item></a>", "format='xml'"),
        (f"ham\t{MARKER}\nspam\t{MARKER}\n\nham\t{MARKER}\n", "format='tsv' and columns="),
        (f"id\tcontent\n1\t{MARKER}\n", "format='csv'"),
    ],
)
def test_data_called_a_text_is_not_one_article(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", text)
    with pytest.raises(InputError) as caught:
        read(path)
    assert words in str(caught.value)
    assert MARKER not in str(caught.value)
    assert [row.content for row in read(path, format="text")[0]] == [text]


@pytest.mark.parametrize(
    "text",
    [
        "[1] A note.\n",
        "{braces} in prose\n",
        "\tindented\n\tlines\n\tof a poem\n",
        "a\tb\nno tab\na\tb\n",
        "a\tb\n",
    ],
)
def test_a_text_stays_a_text(text: str, tmp_path: Path) -> None:
    assert [row.content for row in read(write(tmp_path / "a.txt", text))[0]] == [text]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("---\nFirst paragraph.\n---\nSecond.\n", None),
        ("---\n- one\n- two\n---\nSecond.\n", None),
        ("---\n# Heading\n---\nSecond.\n", None),
        ("-----\nFirst.\n\n-----\n", None),
        ("---\n---\nOnly this.\n", "Only this."),
        ("---\n\n---\n\nOnly this.\n", "Only this."),
        ("+++\n+++\nOnly this.\n", "Only this."),
        ("---\ntitle: T\n---\nOnly this.\n", "Only this."),
        ("---\nOne rule only.\n", "---\nOne rule only."),
    ],
)
def test_what_stands_between_two_rules_of_markdown_is_not_lost(
    text: str, content: str | None, tmp_path: Path
) -> None:
    (row,) = read(write(tmp_path / "a.md", text))[0]
    assert row.content == (text if content is None else content)


def test_a_first_line_without_a_text_does_not_turn_comments_into_articles(tmp_path: Path) -> None:
    comments = [{"id": 7, "text": "A comment."}]
    rows = [{"id": 1, "comments": comments}, {"id": 2, "text": "One.", "comments": comments}]
    first, second = read(write(tmp_path / "a.jsonl", lines(*rows)))[0]
    assert first.reason == "missing_content"
    assert (second.article_id, second.content) == ("2", "One.")
    pages = [{"next": 2, "items": comments}, {"items": [{"id": 8, "text": "Another."}]}]
    assert [row.article_id for row in read(write(tmp_path / "b.jsonl", lines(*pages)))[0]] == ["7", "8"]


def test_cells_beyond_the_header_of_a_sheet_are_kept_or_rejected(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["id", "content"], [1, "One."], [2, "Two.", None, "beside"]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    first, second = read(tmp_path / "a.xlsx")[0]
    assert first.metadata == {"column_3": None, "column_4": None}
    assert second.metadata == {"column_3": None, "column_4": "beside"}
    rows, _ = read(tmp_path / "a.xlsx", columns=["id", "content"])
    assert [getattr(row, "reason", "") for row in rows] == ["", "", "bad_row"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_repeated_column_that_would_be_sent_is_refused_whatever_is_kept(name: str, tmp_path: Path) -> None:
    names = ["id", "content", "x", "content"]
    for repeated, refused in ((names, True), (["id", "content", "x", "x"], False)):
        if name == "a.csv":
            write(tmp_path / name, ",".join(repeated) + "\n1,One.,a,b\n")
        else:
            columns = [pa.array([value]) for value in ("1", "One.", "a", "b")]
            pq.write_table(pa.table(columns, names=repeated), tmp_path / name)
        if refused:
            with pytest.raises(InputError, match="content more than once"):
                read(tmp_path / name, metadata=["y"])
        else:
            assert [row.content for row in read(tmp_path / name, metadata=["y"])[0]] == ["One."]


def test_an_id_that_has_lost_its_last_digits_is_rejected(tmp_path: Path) -> None:
    ids = pa.array([float(1790000000000000123), float(2**53 - 1), None])
    pq.write_table(pa.table({"id": ids, "content": ["a", "b", "c"]}), tmp_path / "a.parquet")
    rows, _ = read(tmp_path / "a.parquet")
    assert [row.article_id if isinstance(row, Article) else row.reason for row in rows] == [
        "bad_id", "9007199254740991", "missing_id",
    ]  # fmt: skip
    exact = pa.array([1790000000000000123], pa.int64()).cast(pa.decimal128(21, 2))
    pq.write_table(pa.table({"id": exact, "content": ["a"]}), tmp_path / "b.parquet")
    assert [row.article_id for row in read(tmp_path / "b.parquet")[0]] == ["1790000000000000123"]
