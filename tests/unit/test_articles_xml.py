"""XML as people have it: which tag is an article, what its text is, and that nothing of a text is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from nightpress.articles import xml_rows
from nightpress.articles.article import Article, ReadStats
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import FieldMap, ReadOptions
from nightpress.errors import InputError


def read(folder: Path, text: str, content: str | None = None, **options: Any) -> tuple[list[Any], ReadStats]:
    path, stats = folder / "in.xml", ReadStats()
    path.write_text(text)
    found = iter_articles(
        UPath(path), fields=FieldMap(content=content), options=ReadOptions(**options), stats=stats
    )
    return list(found), stats


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Plain  text,\nas it is.", "Plain  text,\nas it is."),
        ("<i>First</i> word and <b>more</b> of it.", "First word and more of it."),
        ("<i>All</i> <b>marked</b>", "All marked"),
        ("Before <PERSON>Ann</PERSON> after.", "Before Ann after."),
        ("<p>One <i>two</i>\n  three.</p><p>Four.</p>", "One two three.\n\nFour."),
        ("Lead. <p>One.</p> Tail.", "Lead.\n\nOne.\n\nTail."),
        ("<sec><title>A</title><p>1</p><list><p>2</p></list><p>3</p></sec>", "A\n\n1\n\n2\n\n3"),
        ("<![CDATA[<p>kept & as it is</p>]]>", "<p>kept & as it is</p>"),
    ],
)
def test_a_text_is_read_whole_and_in_its_order(body: str, text: str, tmp_path: Path) -> None:
    item = f"<article><id>{{}}</id><title>T</title><body>{body}</body></article>"
    rows, _ = read(tmp_path, f"<list>{item.format(1)}{item.format(2)}</list>")
    assert [row.content for row in rows] == [text, text]


def test_attributes_without_a_text_are_fields(tmp_path: Path) -> None:
    rows, _ = read(
        tmp_path, "<a><item n='7' xml:id='x'><body>Words.</body><link href='http://a'/></item><item/></a>"
    )
    assert (rows[0].article_id, rows[0].content) == ("x", "Words.")
    assert rows[0].metadata == {"n": "7", "link": '{"href":"http://a"}'}


def test_a_dotted_field_finds_its_record(tmp_path: Path) -> None:
    item = "<entry><nr>{}</nr><y><z>Words {}.</z></y></entry>"
    text = f"<x><head><date>1</date></head>{item.format(1, 1)}{item.format(2, 2)}</x>"
    rows, _ = read(tmp_path, text, "y.z")
    assert [row.content for row in rows] == ["Words 1.", "Words 2."]
    with pytest.raises(InputError, match=r"record_path='entry'"):
        read(tmp_path, text)
    with pytest.raises(InputError, match=r"fields=\{'content': 'y.z'\}"):
        read(tmp_path, text, record_path="entry")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>", "a server's error"),
        ("<a><article><id>1</id><body>x&nbsp;y</body></article></a>", "line 1: a name such as &nbsp;"),
        ("<a><article><id>1</id><body>x & y</body></article></a>", "an & that is not written as &amp;"),
        ("<a><dc:title>x</dc:title></a>", "a prefix of a tag that is not declared"),
        ("<a><article><id>1</id><body>x</body></article>", "cut off"),
        (
            "<r><article><body><p>a</p>" + "<p>" * 5_000 + "t" + "</p>" * 5_000 + "</body></article></r>",
            "levels",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_remedy(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read(tmp_path, text)


def test_a_record_that_is_the_whole_file_is_refused_before_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xml_rows, "_MAX_PARTS", 20)
    text = "<x><all>" + "<item><body>Words.</body></item>" * 30 + "</all></x>"
    with pytest.raises(InputError, match="record_path="):
        read(tmp_path, text, record_path="all")
    assert len(read(tmp_path, text, record_path="item")[0]) == 30


def test_elements_that_were_read_are_forgotten(tmp_path: Path) -> None:
    """The root once kept an empty element for each record."""
    import io

    seen = []
    original = xml_rows._elements

    def watched(*arguments: Any) -> Any:
        for event, element in original(*arguments):
            seen.append(element) if event == "start" and element.tag == "list" else None
            yield event, element

    xml_rows._elements = watched
    try:
        data = b"<list>" + b"<item><body>Words.</body></item>" * 20_000 + b"</list>"
        longest = 0
        for _ in xml_rows._iter_records(io.BytesIO(data), "item", "in.xml"):
            longest = max(longest, len(seen[0]))
    finally:
        xml_rows._elements = original
    assert longest < 2_000  # the parser is ahead by a block


def test_the_title_of_an_article_is_not_that_of_its_references(tmp_path: Path) -> None:
    front = "<front><meta><group><article-title>Rain</article-title></group></meta></front>"
    back = "<back><ack><title>Thanks</title></ack><ref-list><title>References</title></ref-list></back>"
    rows, _ = read(tmp_path, f"<article>{front}<body><p>Words.</p></body>{back}</article>")
    assert (rows[0].title, rows[0].content) == ("Rain", "Words.")


def test_entries_of_a_blogger_export_that_are_left_out_are_counted(tmp_path: Path) -> None:
    kind = (
        "<category scheme='http://schemas.google.com/g/2005#kind' "
        "term='http://schemas.google.com/blogger/2008/kind#{}'/>"
    )
    entries = "".join(
        f"<entry><id>{name}</id>{kind.format(name)}<title>T</title><content>Words.</content></entry>"
        for name in ("template", "post", "comment")
    )
    rows, stats = read(
        tmp_path, f"<feed xmlns='http://www.w3.org/2005/Atom'><title>B</title>{entries}</feed>"
    )
    assert [row.article_id for row in rows if isinstance(row, Article)] == ["post"]
    assert "2 entries of a Blogger export" in " ".join(stats.source.warnings)


def test_a_movable_type_export_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("TITLE: Rain\nSTATUS: Publish\n-----\nBODY:\nIt rai")
    with pytest.raises(InputError, match="cut off"):
        list(iter_articles(UPath(path)))
