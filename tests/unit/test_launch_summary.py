from __future__ import annotations

import pytest

from launch.summary import render_summary, rows
from message_batches.command.console import local_path
from nightpress.costs.money import dollars

PUBLISHED = {
    "uri": "file:///srv/my data/article_summaries/day=2026-11-22/answers.parquet",
    "day": "2026-11-22",
    "articles": 60,
    "succeeded": 57,
    "failed": {"expired": 1, "errored": 2},
    "rejected": 5,
    "rejected_uri": "file:///srv/rejected.parquet",
    "reused": 0,
    "batches": 1,
    "input_tokens": 12_345,
    "output_tokens": 678,
    "cost_usd": 0.0123,
    "list_cost_usd": 0.0246,
    "saved_usd": 0.0123,
}


def test_table_counts_failures_by_kind() -> None:
    assert rows(PUBLISHED)[:5] == [
        ("articles", "60"),
        ("succeeded", "57"),
        ("failed", "3"),
        ("  errored", "2"),
        ("  expired", "1"),
    ]


def test_render_is_aligned_and_says_where_and_how() -> None:
    lines = render_summary(PUBLISHED, offline=True)
    assert lines[0] == "Published 2026-11-22: /srv/my data/article_summaries/day=2026-11-22/answers.parquet"
    table = [line for line in lines if line.startswith("  ") and "$" in line]
    assert table == ["  cost        $0.0123", "  list price  $0.0246", "  saved       $0.0123"]
    assert any("nothing was billed" in line for line in lines)
    assert "  rejected rows: /srv/rejected.parquet" in lines
    assert "pandas.read_parquet('/srv/my data/" in lines[-1]
    assert not any("nothing was billed" in line for line in render_summary(PUBLISHED, offline=False))


def test_an_unknown_amount_is_shown_as_unknown() -> None:
    unknown = PUBLISHED | {"cost_usd": None, "saved_usd": None}
    assert rows(unknown)[-3:] == [("cost", "unknown"), ("list price", "$0.0246"), ("saved", "unknown")]


def test_what_is_missing_is_left_out() -> None:
    assert rows({"articles": 0, "failed": {}}) == [("articles", "0"), ("failed", "0")]


@pytest.mark.parametrize(("amount", "text"), [(0, "$0.00"), (0.5, "$0.5000"), (1234.5, "$1,234.50")])
def test_dollars(amount: float, text: str) -> None:
    assert dollars(amount) == text


def test_urls_of_object_stores_stay() -> None:
    assert local_path("s3://bucket/day=1/answers.parquet") == "s3://bucket/day=1/answers.parquet"
