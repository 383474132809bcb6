"""A comparison's figures and page: worked out by hand, harmless, and part of the day's report."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.days.side_by_side import write_comparison
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.reports.comparison.comparison_figures import Spread, read_comparison
from nightpress.reports.comparison.comparison_page import write_comparison_page
from nightpress.reports.comparison.comparison_tables import variants_table
from nightpress.reports.html_document import HEAD_BYTES, read_dags
from tests.support.published_days import DAY, answer, publish
from tests.support.report_pages import EVIL, NOW, Page, check_harmless, report

ENUM = pa.dictionary(pa.int32(), pa.string())
OUTPUT = {"tone": ENUM, "price": pa.decimal128(9, 2), "tags": pa.list_(pa.string())}
FAILED: dict[str, Any] = {"status": "errored", "error_type": "api_error", "text": None}


@pytest.fixture
def root(tmp_path: Path) -> UPath:
    return UPath(tmp_path)


def compare(root: UPath, **variants: list[dict[str, Any]]) -> UPath:
    for name, rows in variants.items():
        output = OUTPUT if any("tone" in row for row in rows) else None
        receipt = {"paid_usd": 0.5, "batches": [], "cache_saved_usd": 0.125 if name == "b" else 0.0}
        publish(root, rows, pipeline=f"c_{name}", receipt=receipt, output=output, offline="yes")
    days = {name: DataRoot(root).answers(f"c_{name}", DAY) for name in variants}
    target = DataRoot(root).comparison("c", DAY)
    write_comparison(days, target, name="c", day=DAY, pipelines={name: f"c_{name}" for name in variants})
    return target


def typed(
    number: int, tone: str = "calm", price: int | None = 1, tags: tuple[str, ...] = ("x",), **given: Any
) -> dict[str, Any]:
    amount = None if price is None else Decimal(price)
    return answer(number, tone=tone, price=amount, tags=list(tags), **given)


def page(root: UPath) -> Page:
    write_comparison_page(DataRoot(root), "c", DAY, now=NOW)
    return check_harmless(DataRoot(root).comparison_page("c", DAY).read_text())


def test_the_figures_are_those_worked_out_by_hand(root: UPath) -> None:
    ours: dict[str, Any] = {
        "tone": None,
        "price": None,
        "tags": None,
        **FAILED,
        "cost_usd": 0.0,
        "list_cost_usd": 0.0,
    }
    compare(
        root,
        a=[typed(1), typed(2, "calm"), typed(3, price=None), typed(4, text="x" * 400, output_tokens=400)],
        b=[typed(1), typed(2, "tense"), typed(3, price=None, tags=("x", "y")), answer(4, **ours)],
        c=[typed(1), typed(2, "tense", 2), typed(3, reused=True, cost_usd=0.0)],
    )
    found = read_comparison(DataRoot(root), "c", DAY)
    a, b, c = found.variants
    assert (found.articles, found.offline) == (4, True)
    assert (a.articles, a.answered, a.failed, a.absent) == (4, 4, {}, 0)
    assert (b.articles, b.answered, b.failed, b.absent) == (4, 3, {"api_error": 1}, 0)
    assert (c.articles, c.answered, c.absent, c.reused) == (3, 3, 1, 1)
    assert [variant.per_thousand_usd for variant in found.variants] == pytest.approx([10.0, 7.5, 10.0])
    assert (a.paid_usd, a.cache_saved_usd, b.cache_saved_usd) == (0.5, 0.0, 0.125)
    assert (a.output_tokens.median, a.characters.median) == (20.0, 9.0)
    assert a.output_tokens.p95 == pytest.approx(343)
    agreed = {
        agreement.column: (agreement.compared, agreement.agreed, agreement.pairs)
        for agreement in found.agreements
    }
    assert agreed["tone"] == (3, 2, {("a", "b"): (3, 2), ("a", "c"): (3, 2), ("b", "c"): (3, 3)})
    assert agreed["price"] == (3, 1, {("a", "b"): (3, 3), ("a", "c"): (3, 1), ("b", "c"): (3, 1)})
    assert agreed["tags"] == (3, 2, {("a", "b"): (3, 2), ("a", "c"): (3, 3), ("b", "c"): (3, 2)})
    assert not any(agreement.free_text for agreement in found.agreements)
    assert [(difference.article_id, difference.columns) for difference in found.differences] == [
        ("a-2", {"tone", "price"}),
        ("a-3", {"tags", "price"}),
        ("a-4", set()),
    ]  # fmt: skip


def test_numbers_that_an_answer_does_not_tell_are_left_out_and_not_zero(root: UPath) -> None:
    unknown: dict[str, Any] = {"output_tokens": None, "cost_usd": None, "list_cost_usd": None}
    compare(
        root,
        a=[answer(1, **unknown), answer(2, **unknown), answer(3, output_tokens=30)],
        b=[answer(number, **unknown) for number in (1, 2, 3)],
        c=[answer(number, text=None) for number in (1, 2, 3)],
    )
    a, b, c = read_comparison(DataRoot(root), "c", DAY).variants
    assert (a.output_tokens.median, a.output_tokens.p95, a.per_thousand_usd) == (30.0, 30.0, None)
    assert (b.output_tokens, b.per_thousand_usd) == (Spread(), None)
    assert c.characters == Spread()
    table = dict((row[0], row[1:]) for row in variants_table(read_comparison(DataRoot(root), "c", DAY)).rows)
    assert table["Tokens of an answer, median"] == ["30", "–", "20"]
    assert table["Cost of 1,000 articles"][:2] == ["unknown", "unknown"]
    assert page(root)


@pytest.mark.parametrize("status", ["errored", "expired", "canceled"])
def test_what_was_not_processed_does_not_tell_what_it_costs(root: UPath, status: str) -> None:
    """Else the variant that answered nothing is the cheapest."""
    free: dict[str, Any] = {"status": status, "cost_usd": 0.0, "list_cost_usd": 0.0}
    refused: dict[str, Any] = {"status": "refused", "cost_usd": 0.0, "list_cost_usd": 0.0}
    compare(
        root,
        a=[answer(1, **free), answer(2, **free)],
        b=[answer(1), answer(2, **free)],
        c=[answer(1, **refused)],
    )
    found = read_comparison(DataRoot(root), "c", DAY).variants
    assert [variant.per_thousand_usd for variant in found] == [None, 5.0, 0.0]


def test_a_reused_refusal_is_no_reused_answer(root: UPath) -> None:
    compare(
        root, a=[answer(1), answer(2, status="refused", reused=True)], b=[answer(1), answer(2, reused=True)]
    )
    assert [(each.answered, each.reused) for each in read_comparison(DataRoot(root), "c", DAY).variants] == [
        (1, 0),
        (2, 1),
    ]


def test_the_page_tells_it_all_as_text(root: UPath) -> None:
    given: dict[str, Any] = {"title": EVIL, "article_id": EVIL, "text": EVIL, "model": EVIL}
    hostile = given | {"tags": (EVIL, "<b>y</b>" * 20)}
    bad = FAILED | {"error_type": EVIL, "article_id": "b<script>", "title": EVIL}
    target = compare(
        root,
        a=[typed(1, EVIL, **hostile), typed(2, **bad)],
        b=[typed(1, "calm", **given), typed(2, article_id="b<script>")],
    )
    shown = page(root)
    assert shown.text.count("<script>") >= 8
    for told in (
        "Offline.",
        "No answer. errored: ",
        "2 articles, 2 variants: a, b",
        "Cost of 1,000 articles",
        "all agree",
    ):
        assert told in shown.text
    html, markdown = report(root)
    assert "comparison-c.html" in check_harmless(html).text
    assert "<script" not in markdown
    assert "all agree" in markdown
    # A day's comparison belongs to the report of its pipelines alone.
    assert "comparison-c.html" not in report(root, pipelines=["article_summaries"])[0]
    Path(target.path).write_bytes(b"PAR1 nothing")
    with pytest.raises(ResultsError, match=r"cannot be read.*Compare the day again"):
        read_comparison(DataRoot(root), "c", DAY)


def test_without_typed_columns_texts_are_compared(root: UPath) -> None:
    compare(
        root,
        a=[answer(1), answer(2, text="Short."), answer(3, text="Yes")],
        b=[answer(1), answer(2, text="Very much longer."), answer(3, text="No!")],
    )
    found = read_comparison(DataRoot(root), "c", DAY)
    (text,) = found.agreements
    assert (text.column, text.compared, text.agreed) == ("text", 3, 1)
    assert [difference.article_id for difference in found.differences] == ["a-2", "a-3"]
    assert "letter by letter" in page(root).text


def test_columns_that_not_all_have_are_named_and_not_compared(root: UPath) -> None:
    compare(root, a=[typed(1)], b=[answer(1)])
    assert [agreement.column for agreement in read_comparison(DataRoot(root), "c", DAY).agreements] == [
        "text"
    ]
    assert "so not compared: price, tags, tone" in page(root).text


def test_a_comparison_of_nothing_has_a_page(root: UPath) -> None:
    compare(root, a=[], b=[])
    assert "No article was answered by all of them" in page(root).text
    compare(root, a=[answer(1, **FAILED, model=None, cost_usd=None, list_cost_usd=None)], b=[])
    found = read_comparison(DataRoot(root), "c", DAY)
    assert found.variants[0].per_thousand_usd is None
    assert "unknown" in page(root).text


def test_long_typed_answers_are_shortened_as_texts_are(root: UPath) -> None:
    long = tuple(f"tag {number} {'x' * 10_000}" for number in range(1_000))
    compare(root, a=[typed(1, tags=long)], b=[typed(1, tags=("x",))])
    shown = page(root).text
    assert len(shown) < 300_000
    assert "tag 49 xxx" in shown
    assert "… and 950 more" in shown


def test_only_the_ten_that_differ_most_are_shown_in_order(root: UPath) -> None:
    tones = ["calm", *(["tense"] * 30)]
    compare(
        root,
        a=[typed(n, price=n) for n in range(5_000)],
        b=[typed(n, tones[n % 31], price=n + (n % 1_000 == 1)) for n in range(5_000)],
    )
    ids = [difference.article_id for difference in read_comparison(DataRoot(root), "c", DAY).differences]
    assert ids == [*(f"a-{n}" for n in (1, 1001, 2001, 3001, 4001)), "a-2", "a-3", "a-4", "a-5", "a-6"]


def test_typed_answers_are_fields_in_the_report(root: UPath) -> None:
    output = OUTPUT | {
        "lines": pa.list_(pa.struct([("name", pa.string()), ("count", pa.int64())])),
        "ok": pa.bool_(),
    }
    lines = [{"name": EVIL, "count": 2}, {"name": "b", "count": None}]
    row = typed(1, "calm", None, text='{"tone": "calm"}') | {"lines": lines, "ok": True}
    bad = answer(
        2, status="invalid_output", text='{"tone": 1}', error_type="unknown_value", error_message="tone: no"
    )
    path = publish(root, [row, bad], pipeline="labels", output=output)
    assert pq.read_schema(path.path).field("ok").metadata == {b"origin": b"output"}
    html, markdown = report(root)
    shown = check_harmless(html)
    assert '{"tone"' not in shown.text + markdown
    assert '<dt>tone</dt><dd dir="auto"><bdi>calm</bdi></dd>' in html
    assert '<dt>price</dt><dd dir="auto"><span class="soft">–</span></dd>' in html
    assert "<dt>ok</dt>" in html
    assert "<dt>count</dt>" in html
    assert "No answer. unknown_value: tone: no" in shown.text
    assert "  - tone: calm\n  - price: –\n  - tags: x\n" in markdown
    assert "<script" not in markdown


def test_the_page_says_whose_dags_it_shows(root: UPath) -> None:
    compare(root, a=[answer(0)], b=[answer(0)])
    publish(root, [answer(0)], pipeline="c_a", dag_id="a_dag", offline="yes")
    write_comparison_page(DataRoot(root), "c", DAY, now=NOW)
    head = DataRoot(root).comparison_page("c", DAY).read_bytes()[:HEAD_BYTES]
    assert read_dags(head) == {"c_a": "a_dag", "c_b": ""}
