"""Lists of articles inside JSON, fields inside lists, and many elements at once: what is read is all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from nightpress.articles.article import Article, ReadStats
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import FieldMap, ReadOptions
from nightpress.errors import InputError

ROWS: list[dict[str, Any]] = [
    {"id": f"a{n}", "title": f"Title {n}", "content": f"Text {n}."} for n in range(4)
]


def read(folder: Path, text: str, content: str | None = None, **options: Any) -> tuple[list[Any], ReadStats]:
    path, stats = folder / "in.json", ReadStats()
    path.write_text(text)
    found = iter_articles(
        UPath(path), fields=FieldMap(content=content), options=ReadOptions(**options), stats=stats
    )
    return list(found), stats


def texts(rows: list[Any]) -> list[str]:
    assert all(isinstance(row, Article) for row in rows), rows
    return [row.content for row in rows]


@pytest.mark.parametrize("lines", [True, False])
def test_a_record_path_reads_every_value_of_the_file(lines: bool, tmp_path: Path) -> None:
    """A path once read the first value of several, and nothing of the others."""
    pages = [{"items": ROWS[:2]}, {"items": []}, {"items": None}, {"items": ROWS[2:]}]
    text = "\n".join(map(json.dumps, pages)) if lines else json.dumps(pages)
    rows, _ = read(tmp_path, text, record_path="items")
    assert texts(rows) == [row["content"] for row in ROWS]


def test_what_has_no_list_at_the_path_is_said(tmp_path: Path) -> None:
    pages = [{"items": ROWS}, {"error": "Not now."}, "text"]
    rows, stats = read(tmp_path, json.dumps(pages), record_path="items")
    assert len(rows) == len(ROWS)
    assert any("2 objects have no 'items'" in warning for warning in stats.source.warnings)
    with pytest.raises(InputError, match=r"has no 'data\.items'"):
        read(tmp_path, json.dumps(pages), record_path="data.items")


PRIVATE = "Anna Müller called, +49 170 1"


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param({PRIVATE: ROWS}, id="list"),
        pytest.param({"data": {PRIVATE: ROWS}}, id="deeper list"),
        pytest.param({PRIVATE: ROWS, "other": [{"id": "1", "text": "x y"}]}, id="two lists"),
        pytest.param({PRIVATE: {f"k{n}": row for n, row in enumerate(ROWS)}}, id="articles by key"),
        pytest.param([{"id": 1, PRIVATE: {"text": "One text."}, "x": 2}], id="object"),
        pytest.param([{"id": 1, PRIVATE: {"more": {"abstract": "One text."}}, "x": 2}], id="doubtful object"),
        pytest.param([{"id": 1, PRIVATE: {"body": {"en": "One.", "de": "Eins."}}}], id="languages"),
        pytest.param([{"id": 1, PRIVATE: [{"said": "One text."}]}], id="no usual name"),
        pytest.param({PRIVATE: [{"said": "One text."}]}, id="list without a usual name"),
    ],
)
def test_keys_that_are_data_are_never_shown(whole: Any, tmp_path: Path) -> None:
    """The plan's notes are in Airflow's database, and a person's name can be a key."""
    stats, problem = ReadStats(), ""
    path = tmp_path / "in.json"
    path.write_text(json.dumps(whole, ensure_ascii=False))
    try:
        list(iter_articles(UPath(path), stats=stats))
    except InputError as error:
        problem = str(error)
    told = f"{stats.source!r} {problem}"
    assert "in.json" in told
    assert "Anna" not in told


@pytest.mark.parametrize("cut", [10, 30, 60, 90])
def test_a_nested_list_that_is_cut_off_is_refused(cut: int, tmp_path: Path) -> None:
    text = json.dumps({"a": [{"skipped": {"x": [1, [2], {"y": "]"}]}, "items": ROWS}], "z": {"end": [True]}})
    rows, _ = read(tmp_path, text, record_path="a.items")
    assert len(rows) == len(ROWS)
    with pytest.raises(InputError, match=r"cut off|not valid JSON"):
        read(tmp_path, text[:-cut], record_path="a.items")


def test_lists_beside_the_articles_are_said(tmp_path: Path) -> None:
    rows, stats = read(tmp_path, json.dumps({"posts": ROWS, "tags": [{"id": 1, "description": "x"}]}))
    assert texts(rows) == [row["content"] for row in ROWS]
    assert "record_path='tags'" in " ".join(stats.source.warnings)


def test_an_article_with_comments_is_one_article(tmp_path: Path) -> None:
    article = {**ROWS[0], "comments": [{"id": 1, "body": "First!"}, {"id": 2, "body": "No."}]}
    rows, stats = read(tmp_path, json.dumps(article))
    assert texts(rows) == [ROWS[0]["content"]]
    assert "record_path='comments'" in " ".join(stats.source.warnings)
    rows, _ = read(tmp_path, "\n".join(json.dumps({**article, "id": n}) for n in range(3)))
    assert len(texts(rows)) == 3


def test_a_long_file_whose_articles_begin_late_is_read(tmp_path: Path) -> None:
    """The first quarter of a megabyte has only lists without texts."""
    rights = [{"id": n, "name": "Browse everything", "kind": "role"} for n in range(9_000)]
    rows, _ = read(tmp_path, json.dumps({"db": [{"data": {"permissions": rights, "posts": ROWS}}]}))
    assert texts(rows) == [row["content"] for row in ROWS]


def test_a_refusal_names_the_setting_that_reads_the_file(tmp_path: Path) -> None:
    rows = [{"nr": n, "parts": [{"said": f"Words {n}."}, {"said": "More."}]} for n in range(3)]
    with pytest.raises(InputError, match=r"fields=\{'content': 'parts.said'\}"):
        read(tmp_path, json.dumps(rows))
    assert texts(read(tmp_path, json.dumps(rows), "parts.said")[0])[0] == "Words 0.\n\nMore."


def test_a_content_that_is_no_text_names_the_text_in_it(tmp_path: Path) -> None:
    rows, _ = read(
        tmp_path, json.dumps([{"id": 1, "paragraphs": [{"context": "Words of it.", "qas": [{"id": 2}]}]}])
    )
    assert "fields={'content': 'paragraphs.context'}" in rows[0].detail


def test_fields_beside_a_nested_content_stay(tmp_path: Path) -> None:
    row = {"id": 1, "a": {"b": {"text": "Words.", "kept": 2}, "also": 3}}
    rows, _ = read(tmp_path, json.dumps([row]), "a.b.text")
    assert rows[0].metadata == {"b": '{"kept":2}', "also": 3}


def test_another_language_beside_the_content_is_said(tmp_path: Path) -> None:
    rows, stats = read(tmp_path, json.dumps([{"id": 1, "body": {"en": "Rain.", "de": "Regen."}}]))
    assert texts(rows) == ["Rain."]
    assert "body.en" in " ".join(stats.source.warnings)


def test_an_article_whose_author_has_a_description_is_the_article(tmp_path: Path) -> None:
    """A post of the WordPress REST API, embedded author included."""
    author = {"id": 29, "name": "Ann", "description": "Writes.", "link": "https://example.org/ann"}
    post = {"id": 7, "title": {"rendered": "Rain"}, "content": {"rendered": "It rained."}}
    rows, _ = read(tmp_path, json.dumps({**post, "_embedded": {"author": [author]}}))
    assert [(row.article_id, row.title, row.content) for row in rows] == [("7", "Rain", "It rained.")]


def test_the_parts_of_a_body_are_one_article(tmp_path: Path) -> None:
    parts = [{"__typename": "Text", "contents": {"html": "One."}}, {"__typename": "Picture"}]
    parts.append({"__typename": "Text", "contents": {"html": "Two."}})
    page = {"title": "Rain", "dek": {"html": "A subtitle."}, "body": {"components": parts}}
    assert texts(read(tmp_path, json.dumps(page))[0]) == ["One.\n\nTwo."]


VALUE = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(['},{"id":', "}", "\\", '"']),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(
    values=st.lists(
        st.dictionaries(st.sampled_from(["id", "a", "b"]), VALUE, max_size=3) | VALUE, max_size=12
    ),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", " : ")]),
    indent=st.sampled_from([None, 1]),
)
def test_elements_are_the_same_many_at_once_or_one_by_one(
    values: list[Any], separators: tuple[str, str], indent: int | None
) -> None:
    import io

    from nightpress.articles.json_rows import iter_json
    from nightpress.articles.json_shape import Shape
    from nightpress.articles.reading_options import ReadLimits

    data = json.dumps(values, separators=separators, indent=indent).encode()
    rows = list(iter_json(io.BytesIO(data), "x", Shape("array", "array"), ReadLimits(), print))
    assert [position for position, _ in rows] == list(range(1, len(values) + 1))
    wanted = json.loads(data)
    if all(isinstance(value, str) for value in wanted[:2]):  # a list of texts
        wanted = [{"text": value} if isinstance(value, str) else value for value in wanted]
    assert repr([row for _, row in rows]) == repr(wanted)


def test_lists_nested_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="inside each other"):
        read(tmp_path, "[" * 5_000 + "]" * 5_000, record_path="items")
