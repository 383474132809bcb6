"""Hostile files: each ends in rows or in an error of ours, soon and in little memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from upath import UPath

from nightpress.articles.arrow_rows import ArrowTable, iter_batches
from nightpress.articles.article import Article
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import ReadOptions
from nightpress.errors import InputError
from tests.fuzz.runner import forget_peak, give_up_after, peak_bytes
from tests.support.hostile_sources import HOSTILE

_CPU_SECONDS = 5.0
"""Ten times what the slowest needs; what is quadratic or worse needs minutes."""


def read(path: Path, **options: str) -> tuple[list[Article], str]:
    """Return the articles that come out, and why no more do."""
    found: list[Article] = []
    try:
        for row in iter_articles(UPath(path), options=ReadOptions.of(options)):
            if isinstance(row, Article):
                found.append(row)
    except InputError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_takes_neither_time_nor_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name.replace(" ", "-")
    path.write_text(HOSTILE[name])
    assert path.stat().st_size < 2_000_000
    before, started = forget_peak(), time.process_time()
    with give_up_after(2 * _CPU_SECONDS):
        _, problem = read(path)
    assert time.process_time() - started < _CPU_SECONDS
    assert "Traceback" not in problem
    assert peak_bytes() - before < 300 * 1024 * 1024


def test_front_matter_that_unfolds_is_refused_and_names_the_file(tmp_path: Path) -> None:
    for name in ("aliases.md", "an alias of itself.md"):
        path = tmp_path / "a.md"
        path.write_text(HOSTILE[name])
        articles, problem = read(path)
        assert articles == []
        assert "a.md: its front matter has more than" in problem


def test_a_long_number_is_an_id_to_the_digit(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": ' + "9" * 60 + ', "content": "x"}\n{"id": 1e400, "content": "y"}\n')
    (article,), problem = read(path)
    assert article.article_id == "9" * 60
    assert problem == ""


def test_a_feed_whose_encoding_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"<?xml version='1.0' encoding='\xff\xfe'?><rss><channel><item/></channel></rss>")
    with pytest.raises(InputError, match=r"a\.xml"):
        list(iter_articles(UPath(path), encoding="latin-1"))


def test_a_damaged_length_that_asks_for_too_much_memory_is_damage() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([{"id": 1}])
        raise MemoryError

    rows = iter_batches(ArrowTable(pa.schema([("id", pa.int64())]), batches()), "a.arrow")
    assert next(rows) == (1, {"id": 1})
    with pytest.raises(InputError, match="after row 1: it is damaged"):
        next(rows)
