"""Files that were once read wrong, or only in part, without a word."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import deltalake
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.articles.article import Article, ReadStats
from nightpress.articles.csv_rows import TableText
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import FieldMap, Reading, ReadOptions
from nightpress.articles.source_report import SourceReport
from nightpress.articles.table_dialect import Dialect
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
        "ANNA:\tGood morning.\nBEN:\tGood morning.\nANNA:\tHow are you?\n",
        "1.\tOne thing.\n2.\tAnother.\n3.\tA third.\n",
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


def test_files_of_a_delta_table_are_never_read_one_by_one(tmp_path: Path) -> None:
    table = tmp_path / "tables" / "news"
    rows = [{"id": str(n), "content": text, "Lang": "en"} for n, text in enumerate(["deleted", "One."])]
    for row, mode in zip(rows, ("error", "overwrite"), strict=True):
        deltalake.write_deltalake(str(table), pa.Table.from_pylist([row]), mode=mode, partition_by=["Lang"])
    for whole in (table, tmp_path / "tables", tmp_path, tmp_path / "tables" / "*"):
        assert [row.content for row in read(whole)[0]] == ["One."]
    for pattern in ("tables/**/*.parquet", "tables/news/*/*.parquet", "tables/news/*", "tables/news/Lang=en"):
        with pytest.raises(InputError, match=r"Delta table .*/news"):
            read(tmp_path / pattern)


def test_data_under_a_tools_name_is_reported_and_can_be_named(tmp_path: Path) -> None:
    for number, name in enumerate(
        ["_a.jsonl", "b.jsonl", "README_c.csv", "_old/d.jsonl", "_SUCCESS", "README.md"]
    ):
        write(tmp_path / name, lines({"id": number, "content": f"Number {number}."}))
    rows, stats = read(tmp_path)
    assert [row.article_id for row in rows] == ["1"]
    assert {Path(path).name for path in stats.source.skipped} == {"_a.jsonl", "README_c.csv", "d.jsonl"}
    assert [row.article_id for row in read(tmp_path / "_*.jsonl")[0]] == ["0"]
    assert [row.article_id for row in read(tmp_path / "_old")[0]] == ["3"]


def test_a_folder_of_documents_is_not_reduced_to_the_data_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "package.json", json.dumps({"name": "blog", "description": MARKER}))
    for number in range(5):
        write(tmp_path / f"{number}.md", "A post.")
    with pytest.raises(InputError, match=r"5 documents.*1 file.*glob") as caught:
        read(tmp_path)
    assert MARKER not in str(caught.value)
    assert len(read(tmp_path / "*.md")[0]) == 5
    (tmp_path / "4.md").unlink()
    assert len(read(tmp_path)[1].source.skipped) == 4


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "koi8-r"])
@pytest.mark.parametrize(
    "shape",
    [
        "<a><item><title>T</title><body>{}</body></item></a>",
        "<rss version='2.0'><channel><item><guid>1</guid><description>{}</description></item></channel></rss>",
    ],
)
def test_the_encoding_that_an_xml_file_declares_is_used(shape: str, encoding: str, tmp_path: Path) -> None:
    word = "\u0434\u0430" if encoding == "koi8-r" else "\xe9t\xe9"
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + shape.format(word)
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    rows, stats = read(tmp_path / "a.xml")
    assert [row.content for row in rows] == [word]
    assert not any("guess" in warning for warning in stats.source.warnings)


def test_a_break_in_xml_separates_words(tmp_path: Path) -> None:
    text = "<a><item><title>T</title><body>One<br/>two<b> three</b></body></item></a>"
    assert [row.content for row in read(write(tmp_path / "a.xml", text))[0]] == ["One\ntwo three"]


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ('id, content\n1, "One, ""two"""\n2, "Three\nfour"\n', ['One, "two"', "Three\nfour"]),
        ('"id", "content"\n1, plain\n2, "a, b"\n', ["plain", "a, b"]),
        ('id,content\n1," ""Said"", she"\n2, bare\n', [' "Said", she', "bare"]),
        ('id,content\n1,He said "no"\n2,x\n', ['He said "no"', "x"]),
    ],
)
def test_spaces_before_quotes_do_not_make_quotes_text(text: str, contents: list[str], tmp_path: Path) -> None:
    assert [row.content for row in read(write(tmp_path / "a.csv", text))[0]] == contents


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"'id','content'\n'1','{MARKER}'\n", "single quotes"),
        (f'id,content\n1,"a ""{MARKER}"" c"\n2,"x\\"y"\n', "line 2"),
        (f'id,content\n1,"x\\"y"\n2,"a\n""{MARKER}"" c"\n', "line 4"),
    ],
)
def test_quotes_that_would_become_text_are_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path / "a.csv", text))
    assert words in str(caught.value)
    assert MARKER not in str(caught.value)


@settings(max_examples=50)
@given(st.lists(st.lists(st.text('a"\\,\n ', max_size=6), min_size=2, max_size=2), min_size=1, max_size=5))
def test_escaped_quotes_come_out_as_they_went_in(rows: list[list[str]]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    data = "id,content\n" + "".join(",".join(map(quoted, row)) + "\n" for row in rows)
    dialect = Dialect(",", quoting="backslash")
    reading = Reading(FieldMap(), ReadOptions(quoting="backslash"), SourceReport())
    table = TableText(io.BytesIO(data.encode()), "a.csv", dialect, reading)
    found = [(row["id"] or "", row["content"] or "") for _, row in table.iter_rows()]
    assert found == [tuple(row) for row in rows]


@pytest.mark.parametrize("word", ["NULL", "nan", "<NA>", "#N/A", "(null)"])
def test_a_word_for_no_value_is_not_paid_for(word: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"id,content\n1,{word}\n2,{word} and more\n")
    first, second = read(path)[0]
    assert (first.reason, word in first.detail) == ("missing_content", True)
    assert second.content == f"{word} and more"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_backslashes_that_escape_nothing_are_not_dropped(name: str, tmp_path: Path) -> None:
    mark = "," if name == "a.csv" else "\t"
    text = f"id{mark}content\n1{mark}\\N\n2{mark}C:\\Windows\\new\n"
    with pytest.raises(InputError, match="none of their escapes") as caught:
        read(write(tmp_path / name, text))
    assert "Windows" not in str(caught.value)
    first, second = read(tmp_path / name, quoting="none")[0]
    assert (first.reason, second.content) == ("missing_content", "C:\\Windows\\new")
    rows, stats = read(write(tmp_path / name, text.replace("C:\\Windows\\new", "one\\ntwo")))
    assert rows[1].content == "one\ntwo"
    assert any("escapes" in warning for warning in stats.source.warnings)


def zipped(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_files_of_an_archive_are_read_under_any_path(tmp_path: Path) -> None:
    names = ["./a.jsonl", "../b.jsonl", "x/./c.jsonl", ".hidden/d.jsonl", "__MACOSX/._a.jsonl"]
    members = {name: lines({"id": name, "content": "Words."}) for name in names}
    rows, _ = read(zipped(tmp_path / "a.zip", members))
    assert {row.article_id for row in rows} == set(names[:3])


def test_an_archive_of_documents_or_of_a_table_is_not_reduced(tmp_path: Path) -> None:
    posts = {f"{number}.md": "A post." for number in range(5)}
    with pytest.raises(InputError, match="5 documents"):
        read(zipped(tmp_path / "a.zip", {"package.json": json.dumps({"description": MARKER}), **posts}))
    with pytest.raises(InputError, match="Delta table"):
        read(zipped(tmp_path / "b.zip", {"t/_delta_log/0.json": "{}", "t/a.jsonl": lines({"content": "x"})}))


@pytest.mark.parametrize(
    "text",
    [
        "<articles><article id='1'><title>T</title><p>One.</p></article>"
        "<article id='2'><title>U</title><p>Two.</p></article></articles>",
        "<articles><article id='1'>One.</article><article id='2'>Two.</article></articles>",
        "<reviews><review>One.</review><review>Two.</review></reviews>",
        "<a><b><document><id>1</id><p>One.</p></document><document><id>2</id><p>Two.</p></document></b></a>",
        "<all><text id='1'>One.</text><text id='2'>Two.</text></all>",
    ],
)
def test_articles_side_by_side_in_xml_do_not_become_one(text: str, tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path / "a.xml", text))
    assert [row.content for row in rows] == ["One.", "Two."]


def test_paragraphs_of_an_article_in_xml_stay_together(tmp_path: Path) -> None:
    text = "<a><item><title>T</title><text>One.</text><text>Two.</text></item></a>"
    assert [row.content for row in read(write(tmp_path / "a.xml", text))[0]] == ["One.\n\nTwo."]


def test_no_key_of_a_signed_address_is_in_a_report() -> None:
    report, address = SourceReport(), "https://example.org/a.csv?sig=s3cret&x=1"
    report.warn("it is not UTF-8", address)
    report.skip(address, "its name says nothing")
    assert "s3cret" not in " ".join(report.notes())
    assert all("https://example.org/a.csv?…" in note for note in report.notes())


@pytest.mark.parametrize("line", ["ID,Title,CONTENT", "--,-----,-------", "--  ,----- ,-------"])
def test_a_header_in_other_capitals_and_a_line_under_it_are_no_articles(line: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"id,title,content\n{line}\n1,T,One.\n2,-,-\n")
    rows, _ = read(path)
    assert [getattr(row, "reason", "") or row.content for row in rows] == ["repeated_header", "One.", "-"]


def test_a_content_in_front_matter_is_not_lost(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path / "a.md", "---\ntitle: T\ncontent: Said before.\n---\nBody.\n"))
    assert [(row.content, row.metadata) for row in rows] == [("Body.", {"source_content": "Said before."})]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<html><table><tr><td>id</td></tr></table></html>", "is HTML or XML, not a spreadsheet"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "is HTML or XML, not a spreadsheet"),
        (b"id\tcontent\n1\tA text.\n", "is text, not a spreadsheet"),
        (b"\xd0\xcf\x11\xe0\x00\x00", "is damaged"),
    ],
)
def test_what_a_file_is_that_is_no_spreadsheet_is_told(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.xls").write_bytes(data)
    with pytest.raises(InputError, match=said):
        list(iter_articles(UPath(tmp_path / "a.xls")))
