"""What spreadsheets, chats and editors leave in files: values that look like texts or ids, and are none."""

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
from nightpress.articles.file_kinds import why_unknown
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import FieldMap, ReadOptions
from nightpress.articles.source_preview import preview_source
from nightpress.errors import InputError


def read(
    path: Path, fields: FieldMap | None = None, **options: Any
) -> tuple[list[Any], list[str], list[str]]:
    """Return the rows, the reasons of those that are rejected, and the warnings; a preview finds the same."""
    stats = ReadStats()
    chosen, fields = ReadOptions.of(options), fields or FieldMap()
    rows = list(iter_articles(UPath(path), fields=fields, options=chosen, stats=stats))
    preview = preview_source(UPath(path), fields=fields, options=chosen)
    assert (preview.articles, preview.rows) == (
        sum(isinstance(row, Article) for row in rows),
        len(rows),
    )
    return rows, [getattr(row, "reason", "") for row in rows], stats.source.warnings


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def sheet(path: Path, *rows: list[Any], first: str = "A1") -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    start = book.active[first]
    for down, row in enumerate(rows):
        for right, value in enumerate(row):
            book.active.cell(start.row + down, start.column + right, value)
    book.save(path)
    return book


@pytest.mark.parametrize(
    "content",
    [
        "#NAME?",
        "#REF!",
        "#VALUE!",
        "#DIV/0!",
        "#WERT!",
        "#ÜBERLAUF!",
        "null",
        "\u200b",
        "\ufeff",
        " \u2060\u00a0",
    ],
)
def test_a_content_that_only_a_program_wrote_is_not_paid_for(content: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"id,content\n1,One.\n2,{content}\n")
    assert read(path)[1] == ["", "missing_content"]


@pytest.mark.parametrize("content", ["None", "#WOW!", "...", "\u200bOne", "👍", "N/A in May"])
def test_a_short_content_stays(content: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"id,content\n1,{content}\n")
    assert [row.content for row in read(path)[0]] == [content]


@pytest.mark.parametrize(
    ("article_id", "reason"),
    [
        ("1.23457E+12", "bad_id"),
        ('"1,23457E+12"', "bad_id"),
        ("2E+15", "bad_id"),
        ("#NAME?", "missing_id"),
        ("#N/A", "missing_id"),
        ("NULL", "missing_id"),
        ("1E+1234", ""),
        ("A1.2E+12", ""),
        ("12E12", ""),
        ("nan", ""),
        ("null", ""),
        ("#7", ""),
    ],
)
def test_an_id_that_a_spreadsheet_replaced_is_rejected(article_id: str, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"id,content\n{article_id},One.\n")
    rows, reasons, _ = read(path)
    assert reasons == [reason]
    if not reason:
        assert rows[0].article_id == article_id


def test_whole_numbers_of_a_sheet_are_whole_in_prompts_and_columns(tmp_path: Path) -> None:
    sheet(tmp_path / "a.xlsx", ["id", "content", "year", "price", "big"], [1, "One.", 2023, 1.5, 1e300])
    (row,) = read(tmp_path / "a.xlsx")[0]
    assert (row.article_id, repr(row.metadata)) == ("1", "{'year': 2023, 'price': 1.5, 'big': 1e+300}")


def test_a_row_of_a_sheet_is_named_by_its_number_there(tmp_path: Path) -> None:
    sheet(tmp_path / "a.xlsx", ["id", "content"], [1, "One."], [2, None], first="C4")
    assert [row.position for row in read(tmp_path / "a.xlsx")[0]] == [5, 6]


def test_merged_cells_that_leave_rows_without_a_value_are_told(tmp_path: Path) -> None:
    rows = (["id", "kind", "content"], [1, "Shoes", "One."], [2, None, "Two."], [3, "Hats", "Three."])
    for name, cells, told in (("a", "D5:D6", True), ("c", "C5:D5", False)):
        book = sheet(tmp_path / f"{name}.xlsx", *rows, first="C4")
        book.active.merge_cells(cells)
        book.save(tmp_path / f"{name}.xlsx")
        warnings = read(tmp_path / f"{name}.xlsx")[2]
        assert ["merged over several rows in kind" in warning for warning in warnings] == [True] * told


@pytest.mark.parametrize("options", [{}, {"record_path": "Sheet"}])
def test_a_title_above_the_names_of_a_sheet_is_named_with_its_remedy(
    options: dict[str, str], tmp_path: Path
) -> None:
    sheet(tmp_path / "a.xlsx", ["All tickets"], [], ["id", "content"], [1, "One."], first="B2")
    with pytest.raises(
        InputError, match="row 4 looks like the names of the columns; remove the rows above it"
    ):
        read(tmp_path / "a.xlsx", **options)


def test_links_within_a_message_do_not_break_its_lines(tmp_path: Path) -> None:
    parts = [
        "See ",
        {"type": "link", "text": "example.org"},
        ", it is ",
        {"type": "bold", "text": "good"},
        ".",
    ]
    blocks = ["One.", {"type": "paragraph", "text": "Two."}]
    messages = [{"id": number, "text": text} for number, text in enumerate((parts, blocks))]
    path = write(tmp_path / "result.json", json.dumps({"name": "Channel", "messages": messages}))
    assert [row.content for row in read(path)[0]] == ["See example.org, it is good.", "One.\n\nTwo."]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("---\ntitle: One: two\n---\nText.\n", 2),
        ("\n\n---\nid: 1\ntitle: One: two\n---\nText.\n", 5),
        ("---\r\nid: 1\r\n\tx: 2\r\n---\r\nText.\r\n", 3),
        ('+++\nid = "1"\ntitle = One\n+++\nText.\n', 3),
        ('{\n"id": 1,\n"title": One\n}\nText.\n', 3),
    ],
)
def test_a_mistake_in_front_matter_is_named_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(text.encode())
    with pytest.raises(InputError, match=f"front matter cannot be parsed; fix it at line {line} ") as error:
        list(iter_articles(UPath(path)))
    assert "One" not in str(error.value)


_FAR = 10 * 253_402_300_800_000_000
_US = pa.timestamp("us")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (_FAR, _US),
        ({"t": _FAR}, pa.struct([("t", _US)])),
        ([_FAR], pa.list_(_US)),
        ([_FAR], pa.large_list(_US)),
        ([_FAR], pa.list_(_US, 1)),
        ([("k", _FAR)], pa.map_(pa.string(), _US)),
        (
            {"a": [{"t": _FAR, "x": 1}]},
            pa.struct([("a", pa.list_(pa.struct([("t", _US), ("x", pa.int8())])))]),
        ),
    ],
)
def test_a_time_beyond_those_of_python_is_no_damage(value: object, kind: pa.DataType, tmp_path: Path) -> None:
    table = pa.table({"id": [1], "content": ["One."], "when": pa.array([value], kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = read(tmp_path / "a.parquet")[0]
    assert str(_FAR) in str(row.metadata["when"])


def test_a_title_that_no_row_has_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,subject,content\n1,One,Text.\n")
    (row,), _, warnings = read(path, FieldMap(title="subjct"))
    assert row.title == ""
    assert ["no field 'subjct'" in warning and "id, subject, content" in warning for warning in warnings] == [
        True
    ]
    assert read(path, FieldMap(title="subject"))[2] == []


def test_repeated_columns_that_are_not_read_do_not_stop_an_export(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "Key,Description,Comment,Comment,Label,Label\nA-1,Text.,a,b,c,d\n")
    with pytest.raises(InputError, match=r"Comment more than once; .* metadata= .* fields="):
        read(path)
    with pytest.raises(InputError, match="Comment more than once"):
        read(path, metadata=["Key"])  # it may be the content
    with pytest.raises(InputError, match="Comment more than once"):
        read(path, FieldMap("Key", "Description"), metadata=["Comment"])
    (row,) = read(path, FieldMap("Key", "Description"), metadata=["Label2"])[0]
    assert (row.article_id, row.content, row.metadata) == ("A-1", "Text.", {})


def test_a_page_of_an_api_without_results_says_how_it_is_read_as_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '{"hits": [], "page": 0}')
    with pytest.raises(InputError, match=r"list 'hits' is empty: .* say record_path='hits'"):
        read(path)
    assert read(path, record_path="hits")[0] == []
    write(path, '{"hits": [{"id": 1, "content": "One."}], "page": 0}')
    assert [row.content for row in read(path, record_path="hits")[0]] == ["One."]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.png", "picture"),
        ("a.mp3", "recording"),
        ("articles.csv.part", "still being written"),
        ("articles.jsonl.tmp", "still being written"),
        ("tweets.js", "save what begins at the first"),
        ("a.ipynb", "notebook"),
    ],
)
def test_why_a_file_beside_others_is_not_read(name: str, words: str) -> None:
    assert words in why_unknown(name)
