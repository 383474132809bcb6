"""The digest that a report opens with: shown as text, whatever is in it, and left out when it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from nightpress.layout import DataRoot
from nightpress.reports.day.categories import find_categories
from nightpress.reports.day.digest import PIPELINE, read_digest
from tests.support.published_days import DAY, answer, publish
from tests.support.report_pages import EVIL, check_harmless, report

THEMES = [
    {"name": f"Bridges {EVIL}", "articles": 3, "gist": "They *rise*."},
    {"name": "Rain", "articles": None},
]


@pytest.fixture
def root(tmp_path: Path) -> UPath:
    publish(UPath(tmp_path), [answer(1)])
    return UPath(tmp_path)


def test_a_report_opens_with_the_digest_as_text(root: UPath) -> None:
    row = answer(0, headline=f"A calm day {EVIL}", lead="Little **happened**.", themes=THEMES)
    publish(root, [row], pipeline=PIPELINE)
    html, markdown = report(root)
    page = check_harmless(html)
    assert page.text.index("A calm day <script>") < page.text.index("article_summaries")
    assert markdown.index("A calm day") < markdown.index("article\\_summaries")
    assert "Bridges" in page.text
    assert "\\*\\*happened\\*\\*" in markdown
    assert "They \\*rise\\*." in markdown
    assert "<script" not in markdown


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"headline": "only"},
        {"headline": 1, "lead": 2},
        {"headline": None, "lead": "x"},
        {"headline": "", "lead": ""},
    ],
)
def test_what_is_no_digest_is_left_out(root: UPath, columns: dict[str, Any]) -> None:
    publish(root, [answer(0, **columns)], pipeline=PIPELINE)
    assert read_digest(DataRoot(root), DAY) is None
    check_harmless(report(root)[0])


@pytest.mark.parametrize(("saved", "shown"), [(0.25, "$0.25"), (-0.5, "-$0.50"), (0.0, None), (None, None)])
def test_what_the_cache_saved_is_told_when_there_was_one(
    root: UPath, saved: float | None, shown: str | None
) -> None:
    publish(
        root, [answer(1)], receipt={"paid_usd": 1, "list_usd": 2, "cache_saved_usd": saved, "batches": []}
    )
    html, markdown = report(root)
    assert ("and by the prompt cache" in html) is (shown is not None)
    assert (
        shown is None
        or shown in markdown.replace("&#36;", "$").split("and by the prompt cache")[1].splitlines()[0]
    )


def test_a_day_without_a_digest_has_none(root: UPath) -> None:
    assert read_digest(DataRoot(root), DAY) is None


def test_an_enum_of_typed_answers_is_a_category(root: UPath) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = publish(root, [answer(n, topic="ab"[n % 2]) for n in range(12)], pipeline="moderate")
    table = pq.read_table(path.path)
    index = table.schema.get_field_index("topic")
    pq.write_table(
        table.set_column(index, "topic", table["topic"].cast(pa.dictionary(pa.int32(), pa.string()))),
        path.path,
    )
    assert find_categories(path) == ["topic"]
    assert "By topic" in report(root)[1]
