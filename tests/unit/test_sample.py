from __future__ import annotations

from collections import Counter
from pathlib import Path

from upath import UPath

from nightpress.articles.article import Article, Rejected
from nightpress.articles.reader import iter_articles
from nightpress.settings import DEFAULT_MAX_CONTENT_CHARS, DEFAULT_MAX_REJECTED_SHARE

SAMPLE = Path("include/sample")
ROWS = list(iter_articles([UPath(SAMPLE / "articles-en.json"), UPath(SAMPLE / "articles-zh.jsonl")]))
ARTICLES = {row.article_id: row for row in ROWS if isinstance(row, Article)}
REJECTED = [row for row in ROWS if isinstance(row, Rejected)]


def test_sixty_articles_in_two_languages() -> None:
    assert Counter(article.metadata["language"] for article in ARTICLES.values()) == {"en": 36, "zh": 24}
    assert len(ROWS) == 68
    assert len({article.content for article in ARTICLES.values()}) == 60
    assert {tuple(article.metadata) for article in ARTICLES.values()} == {
        ("category", "language", "author", "published")
    }


def test_the_bad_rows_are_those_of_the_readme() -> None:
    assert [(row.article_id, row.reason) for row in REJECTED] == [
        (None, "missing_id"),
        ("en-901", "missing_content"),
        ("en-902", "bad_content"),
        ("en-003", "repeated_id"),
        ("zh-901", "missing_content"),
        (None, "not_an_object"),
        ("zh-005", "duplicate"),
        ("zh-903", "missing_content"),
    ]
    assert [row.position for row in REJECTED if row.article_id is None] == [5, 10]
    assert len(REJECTED) / len(ROWS) < DEFAULT_MAX_REJECTED_SHARE


def test_the_special_rows() -> None:
    braces = ARTICLES["en-035"]
    assert "{{ ds }}" in braces.title
    for text in ("{{ ds }}", "{content}", "<script>alert(1)</script>", '"', "'", "😀", "\\", "{% if %}"):
        assert text in braces.content
    assert len(ARTICLES["en-036"].content) > DEFAULT_MAX_CONTENT_CHARS
    assert ARTICLES["1034"].metadata["language"] == "en"
    assert ARTICLES["zh-016"].metadata["author"] is None
    assert ARTICLES["zh-024"].title == ""


def test_the_folder_reads_as_a_source() -> None:
    assert list(iter_articles(UPath(SAMPLE))) == ROWS
