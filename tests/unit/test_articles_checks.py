from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.articles.article import REASONS, Article, Rejected
from nightpress.articles.reader import find_files, iter_articles
from nightpress.articles.reading_options import FieldMap
from nightpress.articles.seen_ids import SeenIds
from nightpress.errors import ConfigurationError


def read_lines(folder: Path, *lines: str) -> list[Article | Rejected]:
    path = folder / "in.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return list(iter_articles(UPath(path)))


@pytest.mark.parametrize(
    ("line", "reason", "article_id", "detail"),
    [
        ('["id"]', "not_an_object", None, "list"),
        ('"text"', "not_an_object", None, "str"),
        ("null", "not_an_object", None, "NoneType"),
        ('{"content": "x"}', "missing_id", None, "'id'"),
        ('{"id": null, "content": "x"}', "missing_id", None, "'id'"),
        ('{"id": NaN, "content": "x"}', "missing_id", None, "'id'"),
        ('{"id": " \\t", "content": "x"}', "missing_id", None, "'id'"),
        ('{"id": true, "content": "x"}', "bad_id", None, "bool"),
        ('{"id": [1], "content": "x"}', "bad_id", None, "list"),
        ('{"id": {"a": 1}, "content": "x"}', "bad_id", None, "dict"),
        ('{"id": Infinity, "content": "x"}', "bad_id", None, "finite"),
        ('{"id": "a\\ud800", "content": "x"}', "bad_id", "a\ufffd", "surrogate"),
        ('{"id": "a\\u0000", "content": "x"}', "bad_id", "a\ufffd", "NUL"),
        (f'{{"id": "{"i" * 1001}", "content": "x"}}', "bad_id", "i" * 200, "1,001"),
        ('{"id": "a"}', "missing_content", "a", "'content'"),
        ('{"id": "a", "content": null}', "missing_content", "a", "'content'"),
        ('{"id": "a", "content": ""}', "missing_content", "a", "empty"),
        ('{"id": "a", "content": " \\u3000\\n"}', "missing_content", "a", "white space"),
        ('{"id": "a", "content": 5}', "bad_content", "a", "int"),
        ('{"id": "a", "content": [1, "x"]}', "bad_content", "a", "list"),
    ],
)
def test_a_row_that_cannot_be_sent_is_rejected(
    line: str, reason: str, article_id: str | None, detail: str, tmp_path: Path
) -> None:
    first, good = read_lines(tmp_path, line, '{"id": "good", "content": "x"}')
    assert isinstance(first, Rejected)
    assert (first.reason, first.article_id, first.position) == (reason, article_id, 1)
    assert first.reason in REASONS
    assert detail in first.detail
    assert isinstance(good, Article)


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("-7", "-7"),
        ("1.5", "1.5"),
        ("1e3", "1000"),
        ("12345678901234567890123", "12345678901234567890123"),
        ('" a b "', "a b"),
        ('"文章😀"', "文章😀"),
        (f'"{"é" * 1000}"', "é" * 1000),
        ('"1.0"', "1.0"),
    ],
)
def test_ids_as_text(given_id: str, expected: str, tmp_path: Path) -> None:
    (article,) = read_lines(tmp_path, f'{{"id": {given_id}, "content": "x"}}')
    assert article.article_id == expected


def test_repeated_ids(tmp_path: Path) -> None:
    rows = [("a", "one"), ("b", "one"), ("a", "one"), ("a", "two"), (" a ", "one"), ("c", "")]
    read = read_lines(tmp_path, *(json.dumps({"id": i, "content": c}) for i, c in rows))
    assert [getattr(row, "reason", "sent") for row in read] == [
        "sent",
        "sent",
        "duplicate",
        "repeated_id",
        "duplicate",
        "missing_content",
    ]
    assert read[3] == Rejected(
        "a", str(tmp_path / "in.jsonl"), 4, "repeated_id", "an earlier row has this id", 4
    )


def test_a_rejected_row_does_not_take_its_id(tmp_path: Path) -> None:
    first, second = read_lines(tmp_path, '{"id": 1, "content": ""}', '{"id": 1, "content": "x"}')
    assert (type(first), type(second)) == (Rejected, Article)


def test_ids_are_known_across_files(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("id,content\n1,x\n2,y\n")
    (tmp_path / "a.json").write_text('[{"id": 1, "content": "x"}]')
    rows = list(iter_articles(UPath(tmp_path)))
    assert [getattr(row, "reason", row.article_id) for row in rows] == ["1", "duplicate", "2"]


def test_ragged_rows_of_csv_are_rejected_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,content,x\n1,"a\nb",c\n2,short\n\n3,d,e,f\n4,g,h\n')
    rows = list(iter_articles(UPath(path)))
    assert [(row.position, getattr(row, "reason", "sent")) for row in rows] == [
        (2, "sent"),
        (4, "bad_row"),
        (6, "bad_row"),
        (7, "sent"),
    ]
    assert rows[1].detail == "2 values where the header has 3 columns"  # type: ignore[union-attr]


def test_empty_values_of_csv_are_none(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,content,title,x\n1,a,,\n,a,b,c\n2,,b,c\n")
    first, second, third = iter_articles(UPath(path))
    assert isinstance(first, Article)
    assert (first.title, first.metadata) == ("", {"x": None})
    assert [getattr(row, "reason", "") for row in (second, third)] == ["missing_id", "missing_content"]


def test_rejected_rows_and_logs_never_hold_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    marker = "XYZZY-MARKER"
    rows: list[Any] = [
        [marker],
        marker,
        {"id": {marker: 1}, "content": marker},
        {"content": marker, "title": marker},
        {"id": "a", "content": [marker, 1]},
        {"id": "b", "content": marker},
        {"id": "b", "content": marker * 2},
        {"id": "c\x00", "content": marker},
    ]
    with caplog.at_level(logging.DEBUG):
        read = read_lines(tmp_path, *map(json.dumps, rows))
    rejected = [row for row in read if isinstance(row, Rejected)]
    assert len(rejected) == 7
    assert marker not in repr(rejected)
    assert marker not in caplog.text


@pytest.mark.parametrize("names", [("a", "a", "t"), ("", "c", "t"), ("id", "content", "id")])
def test_fields_must_be_three(names: tuple[str, str, str]) -> None:
    with pytest.raises(ConfigurationError, match="different"):
        FieldMap(*names)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=2), st.sampled_from("xyz"))))
def test_seen_ids_agree_with_a_dictionary(pairs: list[tuple[str, str]]) -> None:
    seen, model = SeenIds(), dict[str, str]()
    for article_id, content in pairs:
        expected = (
            None
            if article_id not in model
            else "duplicate"
            if model[article_id] == content
            else "repeated_id"
        )
        assert seen.add(article_id, content) == expected
        model.setdefault(article_id, content)


def test_many_ids() -> None:
    seen = SeenIds()
    ids = [f"id-{n}" for n in range(200_000)]
    assert all(seen.add(article_id, article_id) is None for article_id in ids)
    assert all(seen.add(article_id, article_id) == "duplicate" for article_id in ids[::100])
    assert all(seen.add(article_id, "other") == "repeated_id" for article_id in ids[::100])


def test_a_folder_means_its_own_files_and_a_glob_may_go_deeper(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json.gz", "A.CSV", "sub/c.ndjson", "sub/.d.json", "x[1].json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")

    def names(pattern: str) -> list[str]:
        return [
            str(path).removeprefix(f"{tmp_path}/") for path in find_files(UPath(tmp_path / pattern)).paths
        ]

    assert names("") == ["A.CSV", "a.json.gz", "b.jsonl", "sub/c.ndjson", "x[1].json"]
    assert names("**/*json*") == ["a.json.gz", "b.jsonl", "sub/c.ndjson", "x[1].json"]
    assert names("*.json*") == ["a.json.gz", "b.jsonl", "x[1].json"]
    assert names("s?b/*") == ["sub/c.ndjson"]
    assert names("x[1].json") == ["x[1].json"]
    both = [UPath(tmp_path / "b.jsonl"), UPath(tmp_path / "a.json.gz")]
    assert [file.path for file in find_files(both)] == both


def test_stores_of_fsspec_and_airflow(tmp_path: Path) -> None:
    from airflow.sdk import ObjectStoragePath

    line = '{"id": 1, "content": "x"}\n'
    memory = UPath("memory://stores/day=2026-11-22")
    (memory / "a.jsonl").write_text(line)
    (memory / "deep" / "b.jsonl").write_text(line.replace("1", "2"))
    (tmp_path / "a.jsonl").write_text(line)
    airflow = ObjectStoragePath(f"file://{tmp_path}")
    for source, file, count in (
        (memory, "memory://stores/day=2026-11-22/a.jsonl", 2),
        (memory / "*.jsonl", "memory://stores/day=2026-11-22/a.jsonl", 1),
        (memory / "**" / "*.jsonl", "memory://stores/day=2026-11-22/a.jsonl", 2),
        (airflow, f"file://{tmp_path}/a.jsonl", 1),
        (airflow / "*.jsonl", f"file://{tmp_path}/a.jsonl", 1),
        (airflow / "a.jsonl", f"file://{tmp_path}/a.jsonl", 1),
    ):
        articles = list(iter_articles(source))
        assert (articles[0].file, len(articles)) == (file, count)
    assert find_files(airflow / "day=2026-11-23", missing_ok=True).paths == []
