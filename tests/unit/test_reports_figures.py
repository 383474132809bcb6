"""Figures against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from upath import UPath

from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.reports.day.categories import MOST_VALUES, find_categories, tabulate
from nightpress.reports.day.day_report import histogram
from nightpress.reports.day.figures import DayFigures, compute, read_frame, read_history
from nightpress.reports.stored_days import read_receipt
from tests.support.published_days import DAY, PIPELINE, answer, publish, write_receipt


@pytest.fixture
def root(tmp_path: Path) -> UPath:
    return UPath(tmp_path)


def figures(root: UPath, day: str = DAY) -> DayFigures:
    path = DataRoot(root).answers(PIPELINE, day)
    return compute(read_frame(path), day, read_receipt(root, PIPELINE, day), None)


def test_a_day_added_up_by_hand(root: UPath) -> None:
    publish(
        root,
        [
            answer(0, cache_read_input_tokens=7, cache_creation_input_tokens=3),
            answer(1, stop_reason="max_tokens"),
            answer(2, stop_reason="refusal", batch_id="msgbatch_02"),
            answer(3, reused=True, cost_usd=0.0, list_cost_usd=0.0),
            answer(4, status="errored", error_type="invalid_request_error"),
            answer(5, status="errored", error_type="invalid_request_error"),
            answer(6, status="expired"),
        ],
    )
    found = figures(root)
    assert (found.articles, found.succeeded, found.failures, found.reused) == (7, 4, 3, 1)
    assert found.failed == {"invalid_request_error": 2, "expired": 1}
    assert (found.input_tokens, found.output_tokens) == (310, 60)  # without the reused answer
    assert found.paid_usd == pytest.approx(0.03)
    assert found.list_usd == pytest.approx(0.06)
    assert found.saved_usd == pytest.approx(0.03)
    assert (found.cut, found.refused, found.batches) == (1, 1, 2)
    assert found.models == ["claude-haiku-4-5"]
    assert found.offline is False
    assert (found.rejected, found.seconds, found.wasted_usd, found.latencies) == (None, None, None, [])


def test_the_receipt_is_what_was_paid_and_how_long_it_took(root: UPath) -> None:
    batches = [
        {"batch_id": "b1", "submitted_at": "2026-11-23T00:05:00Z", "ended_at": "2026-11-23T00:45:00Z"},
        {
            "batch_id": "b2",
            "submitted_at": "2026-11-23T00:10:00+00:00",
            "ended_at": "2026-11-23T01:10:00+00:00",
        },
        {"batch_id": "b3", "submitted_at": "2026-11-23T00:10:00Z", "ended_at": None},
        {"batch_id": "b4", "submitted_at": "soon", "ended_at": 7},
        {"batch_id": "b5", "reused": True, "submitted_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-02T00:00:00Z"},
        "not a batch",
    ]  # fmt: skip
    receipt = {
        "paid_usd": 1.5,
        "list_usd": 3.0,
        "wasted_usd": 0.25,
        "numbers": {"rejected": 4},
        "batches": batches,
    }
    publish(root, [answer(0)], receipt=receipt)
    found = figures(root)
    assert (found.paid_usd, found.list_usd, found.saved_usd, found.wasted_usd) == (1.5, 3.0, 1.5, 0.25)
    assert found.latencies == [40 * 60, 60 * 60]
    assert found.seconds == 65 * 60
    assert found.rejected == 4


def test_an_unknown_price_is_unknown_not_nothing(root: UPath) -> None:
    publish(root, [answer(0), answer(1, cost_usd=None, list_cost_usd=None)])
    assert (figures(root).paid_usd, figures(root).saved_usd) == (None, None)
    write_receipt(root, {"paid_usd": None, "list_usd": None})
    assert figures(root).paid_usd is None


@pytest.mark.parametrize(
    "receipt", ["", "{", "[]", "null", '{"numbers": 3, "batches": null, "paid_usd": "x"}']
)
def test_a_broken_receipt_does_not_spoil_the_figures(root: UPath, receipt: str) -> None:
    publish(root, [answer(0)])
    write_receipt(root, receipt)
    assert figures(root).articles == 1


def test_a_day_without_articles(root: UPath) -> None:
    publish(root, [])
    found = figures(root)
    assert (found.articles, found.succeeded, found.failed, found.paid_usd) == (0, 0, {}, 0)


def test_the_offline_api_is_known_by_its_batches(root: UPath) -> None:
    publish(root, [answer(0, batch_id="msgbatch_local_1")])
    assert figures(root).offline


def test_damaged_answers_are_named_with_a_remedy(root: UPath) -> None:
    path = publish(root, [answer(0)])
    path.write_bytes(b"PAR1 no")
    with pytest.raises(ResultsError, match=r"answers\.parquet cannot be read .*make replay"):
        figures(root)


def test_history_has_the_days_before_and_leaves_out_what_cannot_be_read(root: UPath) -> None:
    for day, count in (("2026-11-19", 1), ("2026-11-20", 2), ("2026-11-21", 3), (DAY, 4), ("2026-11-23", 5)):
        publish(root, [answer(n) for n in range(count)], day=day)
    publish(root, [answer(0)], day="2026-01-01")
    DataRoot(root).answers(PIPELINE, "2026-11-20").write_bytes(b"damaged")
    (root / PIPELINE / "day=2026-11-18").mkdir()
    history = read_history(root, PIPELINE, DAY)
    assert [(day.day, day.articles) for day in history] == [("2026-11-19", 1), ("2026-11-21", 3)]


def test_categories_are_the_columns_with_few_short_values(root: UPath) -> None:
    rows = [
        answer(
            n,
            desk=["news", "sport", None][n % 3],
            language=["en", "zh"][n % 2],
            urgent=n % 2 == 0,
            edition=n % 4,
            url=f"https://example.org/{n}",
            score=n / 7,
            constant="same",
            long=["x" * 100, "y" * 100][n % 2],
        )
        for n in range(120)
    ]
    path = publish(root, rows, group=50)
    found = find_categories(path)
    assert found == ["desk", "language", "urgent", "edition"]
    table = tabulate(read_frame(path, found), "desk")
    assert [(row.value, row.articles) for row in table.rows] == [("(none)", 40), ("news", 40), ("sport", 40)]
    assert {row.value for row in tabulate(read_frame(path, found), "edition").rows} == {"0", "1", "2", "3"}


def test_a_category_is_added_up_by_hand(root: UPath) -> None:
    rows = [answer(n, category="b") for n in range(6)] + [
        answer(6, category="a", reused=True, cost_usd=0.0),
        answer(7, category="a", status="expired"),
        answer(8, category="a"),
        answer(9, category="c", cost_usd=None),
        *(answer(n, category="c") for n in range(10, 14)),
    ]
    (b, c, a) = tabulate(read_frame(publish(root, rows), ["category"]), "category").rows
    assert (b.value, b.articles, b.succeeded, b.failed, b.output_tokens) == ("b", 6, 6, 0, 120)
    assert b.paid_usd == pytest.approx(0.06)
    assert (c.value, c.articles, c.paid_usd) == ("c", 5, None)
    assert (a.value, a.articles, a.succeeded, a.failed, a.reused, a.output_tokens) == ("a", 3, 2, 1, 1, 20)
    assert a.paid_usd == pytest.approx(0.01)


def test_a_column_with_many_values_is_no_category(root: UPath) -> None:
    path = publish(root, [answer(n, tag=f"t{n % (MOST_VALUES + 1)}") for n in range(300)])
    assert find_categories(path) == []


def test_histograms_hold_every_value_once() -> None:
    assert histogram([]) == []
    (only,) = histogram([5.0, 5.0])
    assert only.low <= 5 < only.high
    assert only.count == 2
    bins = histogram([float(n) for n in range(1000)])
    assert sum(one.count for one in bins) == 1000
    assert {one.high - one.low for one in bins} == {50.0}
    assert sum(one.count for one in histogram([0.0, 1e-9, 3.25, 86_400.0])) == 4
