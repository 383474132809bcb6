from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from launch.cluster.servers import Servers
from launch.processes import Processes
from nightpress.articles.article import Article
from nightpress.articles.reader import iter_articles, iter_row_articles
from nightpress.articles.reading_options import ReadLimits, ReadOptions
from nightpress.articles.row_sources import FunctionSource, as_row_source, stage_rows
from nightpress.errors import ConfigurationError, InputError

DAY = "2026-11-22"
OPTIONS = ReadOptions(partition_columns=False)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server of its own, with an empty database; yields its address."""
    (folder / "logs").mkdir()
    processes = Processes(logs=folder / "logs", cwd=folder)
    servers = Servers(folder / "servers", processes)
    try:
        servers.start_postgres()
        yield servers.database_address
    finally:
        processes.stop()
        processes.close()
        servers.remove()


def rows_of_a_day(day: str) -> Iterator[dict[str, Any]]:
    for number in range(2_500):
        yield {
            "id": number,
            "body": f"Text {number} of {day}",
            "on": date(2026, 11, 22),
            "price": Decimal("1.50"),
            "tags": ["a", "b"],
            "about": {"n": number},
            "mixed": number if number % 2 else "x",
        }


def test_rows_of_a_function_are_stored_once_and_read_as_they_are(tmp_path: Path) -> None:
    calls = []

    def function(day: str) -> Iterator[dict[str, Any]]:
        calls.append(day)
        yield from rows_of_a_day(day)

    source = as_row_source(function)
    assert source is not None
    first = list(iter_articles(stage_rows(source, DAY, UPath(tmp_path)), options=OPTIONS))
    again = list(iter_articles(stage_rows(source, DAY, UPath(tmp_path)), options=OPTIONS))
    assert calls == [DAY]
    assert first == again
    assert all(isinstance(row, Article) for row in first)
    assert [row.article_id for row in first] == [str(number) for number in range(2_500)]
    article = first[0]
    assert isinstance(article, Article)
    assert article.content == f"Text 0 of {DAY}"
    assert article.metadata["on"] == date(2026, 11, 22)
    assert article.metadata["price"] == Decimal("1.50")
    assert article.metadata["about"] == '{"n":0}'
    assert [row.metadata["mixed"] for row in first[:2] if isinstance(row, Article)] == ["x", "1"]


def test_a_try_that_was_killed_half_way_starts_anew(tmp_path: Path) -> None:
    def broken(day: str) -> Iterator[dict[str, Any]]:
        yield from list(rows_of_a_day(day))[:1_200]
        raise ConnectionError("the database is gone")

    with pytest.raises(ConnectionError):
        stage_rows(FunctionSource(broken), DAY, UPath(tmp_path))
    files = stage_rows(FunctionSource(rows_of_a_day), DAY, UPath(tmp_path))
    assert len(list(iter_articles(files, options=OPTIONS))) == 2_500


def test_a_preview_stores_nothing_and_reads_the_same(tmp_path: Path) -> None:
    source = FunctionSource(rows_of_a_day)
    articles = list(iter_row_articles(source, DAY, limit=3))
    assert [row.article_id for row in articles] == ["0", "1", "2"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["text"], "is a str"),
        ("text", "returned a str"),
        ({"id": 1}, "returned a dict"),
        (None, "returned a NoneType"),
    ],
)
def test_what_is_no_row_is_named_without_its_text(given: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        stage_rows(FunctionSource(lambda _day: given), DAY, UPath(tmp_path))


def test_a_row_has_bounds(tmp_path: Path) -> None:
    wide = FunctionSource(lambda _day: [{f"c{n}": n for n in range(20)}])
    with pytest.raises(InputError, match="max_columns"):
        stage_rows(wide, DAY, UPath(tmp_path), ReadLimits(max_columns=10))
    long = FunctionSource(lambda _day: [{"id": 1, "content": "x" * 2_000}])
    with pytest.raises(InputError, match="max_row_bytes"):
        stage_rows(long, DAY, UPath(tmp_path), ReadLimits(max_row_bytes=1_000))


def test_stored_rows_are_read_as_the_preview_reads_them(tmp_path: Path) -> None:
    zoned = datetime(2026, 11, 22, 5, 6, tzinfo=UTC)
    rows: list[dict[str, Any]] = [
        {"id": 1, "content": ["One.", "Two."], "tags": ["a"], "seen": date(2026, 11, 22), "at": zoned},
        {
            "id": 2,
            "content": "Three.",
            "tags": "b",
            "seen": datetime(2026, 11, 22, 5, 6),
            "at": datetime(2026, 1, 1),
        },
        {"id": 3, "content": {"rendered": "Four."}, "about": {"n": [1, None]}},
        {"id": 4, "content": [{"type": "paragraph", "children": [{"text": "Fi"}, {"text": "ve."}]}]},
    ]
    wrapped = [{"_id": str(row["id"]), "_source": row} for row in rows[:2]]
    for number, given in enumerate((rows[:2], rows[2:3], rows[3:], wrapped)):
        source = FunctionSource(lambda _day, given=given: given)
        seen = list(iter_row_articles(source, DAY))
        stored = list(iter_articles(stage_rows(source, DAY, UPath(tmp_path / str(number))), options=OPTIONS))
        assert [row.content for row in stored] == [row.content for row in seen]
        assert all("rendered" not in row.content and "[" not in row.content for row in stored)
    first, second = iter_articles(stage_rows(source, DAY, UPath(tmp_path / "0")), options=OPTIONS)
    assert (first.content, second.content) == ("One.\n\nTwo.", "Three.")
    assert (first.metadata["tags"], second.metadata["tags"]) == ('["a"]', "b")
    assert "05:06" in str(second.metadata["seen"])
    assert [first.metadata["at"], second.metadata["at"]] == [
        "2026-11-22 05:06:00+00:00",
        "2026-01-01 00:00:00",
    ]


@pytest.mark.parametrize("value", ["Anna \ud800", ["Anna \ud800"], {"Anna": "\ud800"}])
def test_half_a_character_is_named_without_its_text(value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lone surrogate") as caught:
        stage_rows(FunctionSource(lambda _day: [{"id": 1, "x": value}]), DAY, UPath(tmp_path))
    assert "Anna" not in str(caught.value)


def test_a_path_is_no_row_source() -> None:
    assert [as_row_source(source) for source in ("a.csv", None, ["a", "b"], dict)] == [None] * 4


def test_sql_through_an_airflow_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from message_batches.sql_source import sql

    database = tmp_path / "mails.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mails (id INTEGER, body TEXT, day TEXT, country TEXT)")
        mails = [(n, f"Mail {n}; it's a text", DAY if n % 2 else "2026-11-21", "fr") for n in range(5_000)]
        connection.executemany("INSERT INTO mails VALUES (?, ?, ?, ?)", mails)
    connection.close()
    monkeypatch.setenv("AIRFLOW_CONN_MAILS", f"sqlite:///{database}")
    query = "SELECT id, body, country FROM mails WHERE day = :day AND country = :country"
    source = as_row_source(sql(query, conn_id="MAILS", parameters={"country": "fr"}))
    assert source is not None
    articles = list(iter_articles(stage_rows(source, DAY, UPath(tmp_path / "run")), options=OPTIONS))
    assert len(articles) == 2_500
    assert isinstance(articles[0], Article)
    assert (articles[0].content, articles[0].metadata) == ("Mail 1; it's a text", {"country": "fr"})
    assert "fr" not in repr(source)
    twice = sql("SELECT id, body, day AS body FROM mails", conn_id="MAILS")
    with pytest.raises(InputError, match="'body' more than once"):
        next(twice.iter_rows(DAY))
    failing = sql("SELECT body FROM letters WHERE key = :key", conn_id="MAILS", parameters={"key": "s3cret"})
    with pytest.raises(Exception, match="no such table") as caught:
        next(failing.iter_rows(DAY))
    assert "s3cret" not in str(caught.value)
    hostile = as_row_source(sql(query, conn_id="MAILS", parameters={"country": "x' OR '1'='1"}))
    assert hostile is not None
    assert list(hostile.iter_rows(DAY)) == []


def test_sql_from_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    from message_batches.sql_source import sql

    with postgres(tmp_path) as address:
        url = f"postgresql+psycopg2://{address}"
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text(
                    "CREATE TABLE mails AS SELECT n AS id, 'Mail ' || n || '; it''s a text' AS body, "
                    "DATE '2026-11-22' AS day, 1.50::numeric AS price, now() AS seen, ARRAY['a', 'b'] AS tags, "
                    "'{\"n\": 1}'::jsonb AS about, gen_random_uuid() AS key, NULL::text AS none "
                    "FROM generate_series(1, 2500) AS n"
                )
            )
        engine.dispose()
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"postgresql://{address}")
        source = as_row_source(sql("SELECT * FROM mails WHERE day = :day ORDER BY id", conn_id="WAREHOUSE"))
        assert source is not None
        files = stage_rows(source, DAY, UPath(tmp_path / "run"))
        with pytest.raises(InputError, match="does not fit its type") as caught:
            next(sql("SELECT body::int FROM mails", conn_id="WAREHOUSE").iter_rows(DAY))
        assert "Mail" not in "".join(traceback.format_exception(caught.value))
    # The rows are in the run's folder by now, whatever becomes of the database.
    articles = [row for row in iter_articles(files, options=OPTIONS) if isinstance(row, Article)]
    assert [row.article_id for row in articles] == [str(n) for n in range(1, 2_501)]
    assert articles[6].content == "Mail 7; it's a text"
    fields = articles[6].metadata
    assert (fields["price"], fields["tags"], fields["about"]) == (Decimal("1.50"), '["a","b"]', '{"n":1}')
    assert fields["none"] is None


def test_sql_says_what_is_wrong_with_it() -> None:
    from message_batches.sql_source import sql

    with pytest.raises(ConfigurationError, match="needs a query"):
        sql(" ", conn_id="x")
    with pytest.raises(ConfigurationError, match="reserved for the run's day"):
        sql("SELECT 1", conn_id="x", parameters={"day": "x"})
