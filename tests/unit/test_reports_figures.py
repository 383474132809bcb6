"""Figures against numbers worked out by hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.reports.day.categories import MAX_VALUES, find_categories, tabulate
from nightpress.reports.day.day_plots import draw_plots
from nightpress.reports.day.day_report import gather
from nightpress.reports.day.day_wording import numbers_table
from nightpress.reports.day.figures import DayFigures, compute, read_earlier_figures, read_frame
from nightpress.reports.plots import histogram
from nightpress.reports.stored_days import find_receipt
from nightpress.statuses import STATUSES
from tests.support.published_days import DAY, PIPELINE, answer, publish, write_receipt


@pytest.fixture
def root(tmp_path: Path) -> UPath:
    return UPath(tmp_path)


def figures(root: UPath, day: str = DAY) -> DayFigures:
    path = DataRoot(root).answers(PIPELINE, day)
    return compute(read_frame(path), day, find_receipt(DataRoot(root), PIPELINE, day), None)


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
    assert (found.rejected, found.seconds, found.unused_usd, found.latencies) == (None, None, None, [])


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(st.lists(st.tuples(st.sampled_from(list(STATUSES)), st.booleans()), min_size=1, max_size=12))
def test_parts_add_up_to_the_whole_however_rows_ended(root: UPath, rows: list[tuple[str, bool]]) -> None:
    """Of a day that is run again, refused and truncated articles are reused too."""
    publish(root, [answer(n, status=status, reused=reused) for n, (status, reused) in enumerate(rows)])
    (day,) = gather(DataRoot(root), DAY, None, datetime(2026, 11, 23, tzinfo=UTC)).pipelines
    shown = [(name, int(cell)) for name, cell, *_ in numbers_table(day).rows[:6] if cell.isdigit()]
    whole = dict(shown)
    assert whole["Articles"] == whole["answered"] + whole["failed"] == len(rows)
    for (above, number), (name, part) in pairwise(shown):
        if name == "of them reused":
            assert part == sum(
                reused and (status == "succeeded") == (above == "answered") for status, reused in rows
            )
            assert part <= number
    (outcomes,) = [plot for plot in draw_plots(day) if plot.title == "How the articles ended"]
    bars = [int(found) for found in re.findall(r" (-?\d+) \(", outcomes.text)]
    assert min(bars) > 0
    assert sum(bars) == len(rows)


def test_the_receipt_is_what_was_paid_and_how_long_it_took(root: UPath) -> None:
    batches = [
        {"batch_id": "b1", "submitted_at": "2026-11-23T00:05:00Z", "ended_at": "2026-11-23T00:45:00Z"},
        {
            "batch_id": "b2",
            "submitted_at": "2026-11-23T00:10:00+00:00",
            "ended_at": "2026-11-23T01:10:00+00:00",
        },
        {"batch_id": "b3", "submitted_at": "2026-11-23T00:10:00Z", "ended_at": None},
        {"batch_id": "b5", "reused": True, "submitted_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-02T00:00:00Z"},
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
    assert (found.paid_usd, found.list_usd, found.saved_usd) == (1.5, 3.0, 1.5)
    assert found.latencies == [40 * 60, 60 * 60]
    assert found.seconds == 65 * 60
    assert found.rejected == 4


def batch(name: str, run: str, paid: float | None, **given: Any) -> dict[str, Any]:
    return {"batch_id": name, "run": run, "paid_usd": paid, **given}


def test_took_is_that_of_the_run_that_published_the_day(root: UPath) -> None:
    batches = [
        batch("b1", "morning", 1.0, submitted_at="2026-11-22T08:00:00Z", ended_at="2026-11-22T08:30:00Z"),
        batch("b2", "night", 1.0, submitted_at="2026-11-23T00:05:00Z", ended_at="2026-11-23T00:45:00Z"),
    ]
    publish(root, [answer(0)], receipt={"run": "night", "batches": batches})
    assert figures(root).seconds == 40 * 60


@pytest.mark.parametrize(
    ("rows", "batches", "replaced", "expected"),
    [
        # All that was paid is in the day.
        ([answer(0, batch_id="b1")], [batch("b1", "night", 0.01)], 0.0, 0.0),
        # A whole run was replaced by a later one of the day.
        ([answer(0, batch_id="b2")], [batch("b1", "noon", 0.5), batch("b2", "night", 0.01)], 0.0, 0.5),
        # An earlier run of the day paid; the last one reused its answer.
        (
            [answer(0, batch_id="b1", reused=True, cost_usd=0.0, list_cost_usd=0.02)],
            [batch("b1", "noon", 0.01)],
            0.0,
            0.0,
        ),
        # A row's cost is that of both rounds; the first one's answer was replaced.
        ([answer(0, batch_id="b1", cost_usd=0.03)], [batch("b1", "night", 0.03)], 0.01, 0.01),
        # An answer of another day costs nothing here.
        (
            [answer(0, batch_id="old", reused=True, cost_usd=0.0)],
            [batch("old", "", 7.0, reused=True)],
            0.0,
            0.0,
        ),
        # What an answer cost is not known, so neither is the rest.
        ([answer(0, batch_id="b1", cost_usd=None)], [batch("b1", "night", 0.5)], 0.0, None),
    ],
)
def test_paid_for_and_not_used(
    root: UPath,
    rows: list[dict[str, Any]],
    batches: list[dict[str, Any]],
    replaced: float,
    expected: float | None,
) -> None:
    paid = sum(each["paid_usd"] for each in batches if not each.get("reused"))
    receipt = {
        "paid_usd": paid,
        "wasted_usd": replaced,
        "wasted_by_run": {"night": replaced},
        "batches": batches,
    }
    publish(root, rows, receipt=receipt)
    found = figures(root).unused_usd
    assert found == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("kept", "sent", "expected"),
    [
        (range(5), range(0), 0.01),
        (range(5), range(5, 7), 0.01),
        (range(0), range(0), 0.05),
        # Which of the other rows was sent twice is not known.
        (range(3), range(0), None),
    ],
    ids=["all of them are reused", "and others are sent", "all are sent anew", "some are left out"],
)
def test_what_a_second_round_replaced_stays_on_the_report_when_the_day_is_run_again(
    root: UPath, kept: range, sent: range, expected: float | None
) -> None:
    earlier = {"requests": 6, "by_status": {"succeeded": 5, "expired": 1}}
    batches = [
        batch("b1", "noon", 0.05, **earlier),
        batch("b2", "night", 0.01 * len(sent), requests=len(sent)),
    ]
    reused = {"reused": True, "cost_usd": 0.0, "list_cost_usd": 0.02, "batch_id": "b1"}
    # One of the five rows cost 0.02 in two rounds, and each of the others 0.0075.
    rows = [answer(n, **reused | {"list_cost_usd": 0.04 if n == 0 else 0.015}) for n in kept]
    rows += [answer(n, batch_id="b2") for n in sent]
    receipt = {
        "paid_usd": 0.05 + 0.01 * len(sent),
        "wasted_usd": 0.01,
        "wasted_by_run": {"noon": 0.01, "night": 0.0},
        "batches": batches,
    }
    publish(root, rows, receipt=receipt)
    assert figures(root).unused_usd == (expected if expected is None else pytest.approx(expected))


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
    with pytest.raises(ResultsError, match=r"answers\.parquet cannot be read .*nightpress restore"):
        figures(root)


def test_history_has_the_days_before_and_leaves_out_what_cannot_be_read(root: UPath) -> None:
    for day, count in (("2026-11-19", 1), ("2026-11-20", 2), ("2026-11-21", 3), (DAY, 4), ("2026-11-23", 5)):
        publish(root, [answer(n) for n in range(count)], day=day)
    publish(root, [answer(0)], day="2026-01-01")
    DataRoot(root).answers(PIPELINE, "2026-11-20").write_bytes(b"damaged")
    (root / PIPELINE / "day=2026-11-18").mkdir()
    history = read_earlier_figures(DataRoot(root), PIPELINE, DAY)
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
    path = publish(root, [answer(n, tag=f"t{n % (MAX_VALUES + 1)}") for n in range(300)])
    assert find_categories(path) == []


def test_histograms_hold_every_value_once() -> None:
    assert histogram([]) == []
    (only,) = histogram([5.0, 5.0])
    assert only.low <= 5 < only.high
    assert only.count == 2
    bins = histogram([float(n) for n in range(1000)])
    assert sum(column.count for column in bins) == 1000
    assert {column.high - column.low for column in bins} == {50.0}
    assert sum(column.count for column in histogram([0.0, 1e-9, 3.25, 86_400.0])) == 4
