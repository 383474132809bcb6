from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightpress.articles.article import Article
from nightpress.errors import ConfigurationError
from nightpress.shards.prompts import PromptTemplate


def article(content: str, title: str = "", article_id: str = "1") -> Article:
    return Article(article_id, title, content, {}, "memory", 1)


TRICKY = [
    "{content}",
    "{{ ds }}",
    "{title}{id}",
    "<script>alert(1)</script>",
    "{",
    "}}",
    "%s",
    "{0}",
    "\x00 {x!r:>{y}}",
]


@pytest.mark.parametrize("text", TRICKY)
def test_what_an_article_says_is_never_filled_in_again(text: str) -> None:
    filled = PromptTemplate("T={title} C={content} {{literal}}").fill(article(text, title=text))
    assert filled == f"T={text} C={text} {{literal}}"


@given(st.text(), st.text())
def test_any_text_arrives_unchanged(content: str, title: str) -> None:
    assert PromptTemplate("a{title}b{content}c").fill(article(content, title)) == f"a{title}b{content}c"


def test_content_is_cut_by_characters() -> None:
    assert PromptTemplate("{content}", max_content_chars=3).fill(article("😀éa中")) == "😀éa"


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("Summarize this", "{content}"),
        ("{content} {author.name}", "{author.name}"),
        ('{content} {"a": 1}', '{"a"'),
        ("{content} {", "braces"),
        ("{content:>10}", "{content:>10}"),
        ("{content!r}", "{content!r}"),
        ("{} {content}", "{}"),
        ("{content.__class__}", "{content.__class__}"),
    ],
)
def test_a_prompt_that_cannot_work_is_refused_by_name(template: str, names: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PromptTemplate(template)
    assert names in str(caught.value)


def test_fields_of_the_source_are_filled_in_once() -> None:
    prompt = PromptTemplate("{brand} {price} {content} {sold out}")
    assert prompt.extra_fields == ("brand", "price", "sold out")
    product = Article("1", "", "{brand}", {"brand": "{content}", "price": 2.5, "sold out": None}, "memory", 1)
    assert prompt.missing_field(product) is None
    assert prompt.fill(product) == "{content} 2.5 {brand} "
    assert prompt.missing_field(article("x")) == "brand"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_cut_that_sends_nothing_is_refused(limit: int) -> None:
    with pytest.raises(ConfigurationError, match=str(limit)):
        PromptTemplate("{content}", max_content_chars=limit)


def test_a_forgotten_brace_does_not_put_the_prompt_into_the_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        PromptTemplate("{content} {" + "secret instructions, and more of them: " * 50 + "}")
    assert "secret instructions" in str(caught.value)
    assert len(str(caught.value)) < 250
