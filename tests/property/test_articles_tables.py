"""Any table written by pandas, polars or DuckDB comes back equal or is refused; never different."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.articles.article import Article
from nightpress.articles.reader import iter_articles
from nightpress.articles.reading_options import ReadOptions
from nightpress.errors import InputError

Write = Callable[[list[dict[str, Any]], Path], None]

# Characters that tables trip over are drawn often.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00") | st.sampled_from("\r\n\t\",;|\\'0 "),
    max_size=30,
)
AWKWARD = st.sampled_from(
    [
        'a "quoted" word',
        '"',
        '""',
        "a,b;c|d\te",
        "two\nlines",
        "two\r\nlines",
        "end\\",
        '\\"',
        "\\n",
        "it's",
        "{}",
        "[1]",
        "null",
        "NaN",
        "id",
        "content",
        "1.0",
        "=1+1",
        "\ufeff",
        " x ",
        "\u2028",
        "a\\,b",
        '",',
        "sep=;",
        "#",
        "'",
    ]
)
ROW = st.fixed_dictionaries(
    {
        "title": TEXT | AWKWARD,
        "content": TEXT | AWKWARD,
        "note": TEXT | AWKWARD,
        "amount": st.integers(-(2**53), 2**53),
    }
)


def _pandas(method: str, **options: Any) -> Write:
    return lambda rows, path: getattr(pd.DataFrame(rows), method)(path, **options)


def _polars(method: str, **options: Any) -> Write:
    return lambda rows, path: getattr(pl.DataFrame(rows), method)(path, **options)


def _duckdb(options: str) -> Write:
    def write(rows: list[dict[str, Any]], path: Path) -> None:
        with duckdb.connect() as connection:
            connection.register("frame", pd.DataFrame(rows))
            connection.execute(f"COPY (SELECT * FROM frame) TO '{path}' ({options})")

    return write


FORMATS: dict[str, tuple[str, Write]] = {
    "pandas CSV": ("a.csv", _pandas("to_csv", index=False)),
    "pandas CSV with index": ("a.csv", _pandas("to_csv")),
    "pandas CSV, semicolons": ("a.csv", _pandas("to_csv", index=False, sep=";")),
    "pandas CSV, all quoted": ("a.csv", _pandas("to_csv", index=False, quoting=1)),
    "pandas CSV, backslash": ("a.csv", _pandas("to_csv", index=False, escapechar="\\", doublequote=False)),
    "pandas CSV, UTF-16": ("a.csv", _pandas("to_csv", index=False, encoding="utf-16")),
    "pandas TSV": ("a.tsv", _pandas("to_csv", index=False, sep="\t")),
    "pandas PSV": ("a.psv", _pandas("to_csv", index=False, sep="|")),
    "pandas JSON": ("a.json", _pandas("to_json")),
    "pandas JSON records": ("a.json", _pandas("to_json", orient="records")),
    "pandas JSON lines": ("a.json", _pandas("to_json", orient="records", lines=True)),
    "pandas JSON split": ("a.json", _pandas("to_json", orient="split")),
    "pandas JSON index": ("a.json", _pandas("to_json", orient="index")),
    "pandas JSON table": ("a.json", _pandas("to_json", orient="table")),
    "pandas Parquet": ("a.parquet", _pandas("to_parquet")),
    "pandas Feather": ("a.feather", _pandas("to_feather")),
    "pandas ORC": ("a.orc", _pandas("to_orc")),
    "polars CSV": ("a.csv", _polars("write_csv")),
    "polars CSV, semicolons": ("a.csv", _polars("write_csv", separator=";")),
    "polars TSV": ("a.tsv", _polars("write_csv", separator="\t")),
    "polars JSON": ("a.json", _polars("write_json")),
    "polars JSON lines": ("a.jsonl", _polars("write_ndjson")),
    "polars Parquet": ("a.parquet", _polars("write_parquet")),
    "polars Arrow": ("a.arrow", _polars("write_ipc")),
    "polars Arrow stream": ("a.arrows", _polars("write_ipc_stream")),
    "DuckDB CSV": ("a.csv", _duckdb("FORMAT csv, HEADER")),
    "DuckDB TSV": ("a.tsv", _duckdb("FORMAT csv, HEADER, DELIMITER '\t'")),
    "DuckDB JSON": ("a.json", _duckdb("FORMAT json, ARRAY true")),
    "DuckDB JSON lines": ("a.json", _duckdb("FORMAT json")),
    "DuckDB Parquet": ("a.parquet", _duckdb("FORMAT parquet")),
}


# Nothing in such a file tells two backslashes that are text from one that is escaped, so a person has to.
SAID = {"pandas CSV, backslash": ReadOptions(quoting="backslash")}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=int(os.environ.get("NIGHTPRESS_EXAMPLES", "20")))
@given(rows=st.lists(ROW, min_size=1, max_size=6))
def test_a_table_comes_back_equal_or_is_refused(name: str, rows: list[dict[str, Any]]) -> None:
    numbered = [{"id": f"a{number}", **row} for number, row in enumerate(rows)]
    file_name, write = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        write(numbered, Path(folder) / file_name)
        try:
            options = SAID.get(name, ReadOptions())
            found = [row for row in iter_articles(UPath(folder), options=options) if isinstance(row, Article)]
        except InputError:
            return
    by_id = {row["id"]: row for row in numbered}
    for article in found:
        row = by_id[article.article_id]
        assert article.content == row["content"]
        assert article.title == row["title"]
        assert (article.metadata["note"] or "") == row["note"]
        assert int(str(article.metadata["amount"])) == row["amount"]
