from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from nightpress.articles.article import Article, ReadStats
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import FieldMap, ReadOptions
from nightpress.errors import InputError
from tests.support.source_kinds import READ, REFUSED, ROWS, WITH_SETTING, Kind

DOCS = Path(__file__).parents[2] / "docs" / "sources.md"


def read(kind: Kind, folder: Path, **options: Any) -> tuple[list[Any], ReadStats]:
    source, stats = kind.write(folder), ReadStats()
    given = ReadOptions.of({**kind.options, **options})
    rows = list(iter_articles(UPath(source), fields=FieldMap(**kind.fields), options=given, stats=stats))
    return rows, stats


@pytest.mark.parametrize("kind", [*READ, *WITH_SETTING], ids=lambda kind: kind.name)
def test_what_was_put_in_comes_out_letter_by_letter(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert kind.rows is not None
    with caplog.at_level(logging.INFO):
        rows, stats = read(kind, tmp_path)
    assert all(isinstance(row, Article) for row in rows), rows
    ids = [row.article_id if kind.own_ids else "" for row in rows]
    found = sorted((i, row.title, row.content) for i, row in zip(ids, rows, strict=True))
    wanted = sorted((row["id"] if kind.own_ids else "", row["title"], row["content"]) for row in kind.rows)
    assert found == wanted
    assert stats.source.kinds
    assert set(stats.source.fields) == {"id", "title", "content"}
    assert all(row["content"] not in " ".join(stats.source.notes()) + caplog.text for row in kind.rows)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_what_cannot_be_read_is_refused_with_what_to_do(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(kind, tmp_path)
    assert kind.words in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert all(row["content"][:20] not in str(caught.value) for row in ROWS)
    for secret in ("Anna", "Berlin", "letter"):
        assert secret not in str(caught.value)


def test_the_table_in_the_docs_has_every_kind() -> None:
    text = DOCS.read_text()
    for kind in READ:
        assert f"| {kind.name} | read as it is |" in text
    for kind in WITH_SETTING:
        setting = ", ".join(f"{name}={value!r}" for name, value in kind.options.items())
        setting = f"fields={dict(kind.fields)}" if kind.fields else setting
        assert f"| {kind.name} | read with `{setting}` |" in text
    for kind in REFUSED:
        assert f"| {kind.name} | refused: … {kind.words} … |" in text


@pytest.mark.parametrize("kind", [kind for kind in READ if not kind.own_ids], ids=lambda kind: kind.name)
def test_ids_that_are_made_stay_the_same(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, stats = read(kind, tmp_path / "a")
    second, _ = read(kind, tmp_path / "b")
    assert [row.article_id for row in first] == [row.article_id for row in second]
    assert len({row.article_id for row in first}) == len(first) == stats.source.derived_ids
