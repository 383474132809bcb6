"""Values of front matter stay as they are written: YAML 1.1 reads some ids and titles as other values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from upath import UPath

from nightpress.articles.article import Article
from nightpress.articles.reader import iter_articles


def read(path: Path, front: str) -> Article:
    path.write_text(f"---\n{front}\n---\nThe text.\n")
    (article,) = iter_articles(UPath(path))
    assert isinstance(article, Article)
    return article


@pytest.mark.parametrize(
    "written",
    ["0123", "12:30", "1.10", "1_000", "0x1F", "0b11", "1e3", "on", "No", "2026", "1.5", ".5", "+7"],
)
def test_ids_and_titles_stay_as_written(tmp_path: Path, written: str) -> None:
    article = read(tmp_path / "a.md", f"id: {written}\ntitle: {written}")
    assert (article.article_id, article.title) == (written, written)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3),
        ("-4", -4),
        ("0", 0),
        ("2.5", 2.5),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("007", "007"),
    ],
)
def test_other_values_are_numbers_where_they_read_the_same(
    tmp_path: Path, written: str, value: object
) -> None:
    found = read(tmp_path / "a.md", f"rank: {written}\nparts: [{written}]").metadata
    assert (found["rank"], type(found["rank"])) == (value, type(value))
    assert json.loads(str(found["parts"])) == [value]
