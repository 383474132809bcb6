"""A table's rows end as its header does; another line break is text, or refused, or said."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pandas as pd
import pytest
from upath import UPath

from nightpress.articles.article import Article, Rejected
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import ReadLimits, ReadOptions
from nightpress.articles.table_dialect import Dialect
from nightpress.articles.table_lines import GuardedReader, TableLines
from nightpress.articles.table_values import TableValues
from nightpress.errors import InputError


def _read(tmp_path: Path, data: str, **options: str) -> list[tuple[str, str]]:
    path = tmp_path / "a.csv"
    path.write_bytes(data.encode())
    rows = iter_articles(UPath(path), options=ReadOptions(**options))  # type: ignore[arg-type]
    return [(row.article_id, row.content) for row in rows if isinstance(row, Article)]


def test_a_carriage_return_that_pandas_leaves_unquoted_is_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "content": ["0\r0", "one"], "note": ["x\ry", "z"]})
    frame.to_csv(tmp_path / "a.csv", index=False, lineterminator="\n")
    assert b'"' not in (tmp_path / "a.csv").read_bytes()
    found = [row for row in iter_articles(UPath(tmp_path / "a.csv")) if isinstance(row, Article)]
    assert [(row.content, row.metadata["note"]) for row in found] == [("0\r0", "x\ry"), ("one", "z")]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("id,content\na,one\r\nb,two\n", 2),
        ("id,content\na,one\nb,two\r\n", 3),
        ('id,content\na,"one"\r\nb,two\n', 2),
        ("id,content\r\na,one\r\nb,two\nc,three\r\n", 3),
        ('id,content\r\na,"one\nline"\nb,two\r\n', 3),
    ],
)
def test_a_row_that_ends_otherwise_than_the_header_is_refused_with_its_line(
    tmp_path: Path, data: str, line: int
) -> None:
    with pytest.raises(
        InputError, match=rf"ends on line {line} ends with (CR)?LF.*line_break='any'.*line_break='"
    ):
        _read(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "said", "expected"),
    [
        ("id,content\na,one\r\nb,two\n", "any", [("a", "one"), ("b", "two")]),
        ("id,content\na,one\r\nb,two\n", "lf", [("a", "one\r"), ("b", "two")]),
        ("id,content\r\na,one\nmore\r\nb,two\r\n", "crlf", [("a", "one\nmore"), ("b", "two")]),
        ("id,content\r\na,one\r\nb,two\nc,three\r\n", "any", [("a", "one"), ("b", "two"), ("c", "three")]),
    ],
)
def test_what_a_person_says_about_line_breaks_wins(
    tmp_path: Path, data: str, said: str, expected: list[tuple[str, str]]
) -> None:
    assert _read(tmp_path, data, line_break=said) == expected


@pytest.mark.parametrize(
    "data",
    [
        'id,content\r\na,"one\ntwo\r\nthree\rfour"\r\n',
        'id,content\na,"one\ntwo\r\nthree\rfour"\n',
        'id,content\ra,"one\ntwo\r\nthree\rfour"\r',
    ],
)
def test_line_breaks_inside_quotes_are_text_in_every_table(tmp_path: Path, data: str) -> None:
    assert _read(tmp_path, data) == [("a", "one\ntwo\r\nthree\rfour")]


@pytest.mark.parametrize(
    "data", ["id,content\r\na,one\r\n\n", "id,content\na,one\n\r\n", "\nid,content\r\na,one\r\n"]
)
def test_blank_lines_of_the_other_kind_are_no_rows(tmp_path: Path, data: str) -> None:
    assert _read(tmp_path, data) == [("a", "one")]


def test_a_line_without_an_end_is_refused_before_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,content\na," + "x" * 3_000_000)
    options = ReadOptions(limits=ReadLimits(max_row_bytes=1_000_000))
    with pytest.raises(InputError, match=r"a line longer than 1,000,000 bytes.*max_row_bytes"):
        list(iter_articles(UPath(path), options=options))


def test_rows_that_are_split_are_those_of_the_parser() -> None:
    draw = random.Random(7)
    for _ in range(3_000):
        end = draw.choice(["\n", "\r\n"])
        pieces = ["a", "b", ",", '"', '""', '","', '"a"', ',"', '",', "é", end]
        text = "".join(draw.choices(pieces, k=draw.randint(1, 14)))
        try:
            expected = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error:
            expected = None
        source = GuardedReader(io.BytesIO(text.encode()), ",", end, ReadLimits(), "a.csv")  # type: ignore[arg-type]
        lines = TableLines(source, end, strict=False)  # type: ignore[arg-type]
        try:
            found = list(TableValues(lines, Dialect(",", line_break=end), "a.csv"))  # type: ignore[arg-type]
        except csv.Error:
            found = None
        assert found == expected, text


def test_the_header_of_a_file_that_was_joined_is_no_article(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,content\n1,one\n\ufeffid,content\n2,two\nid,content\n3,three\n")
    rows = list(iter_articles(UPath(path)))
    assert [row.article_id for row in rows if isinstance(row, Article)] == ["1", "2", "3"]
    assert [row.reason for row in rows if isinstance(row, Rejected)] == ["repeated_header"] * 2
    assert rows[-1].position == 6
