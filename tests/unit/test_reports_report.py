"""The written report: nothing in it can run, everything is in it, and odd days end well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from message_batches.command.main import main
from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot
from nightpress.plain_text import for_markdown
from nightpress.reports.day.article_list import FOLD
from nightpress.reports.day.day_report import gather
from nightpress.reports.day.markdown import MAX_ARTICLES
from nightpress.reports.day.write_day_report import write_report
from nightpress.reports.html_document import HEAD_BYTES, read_dags
from nightpress.results.answers_schema import answers_schema
from nightpress.statuses import STATUSES
from tests.support.published_days import DAY, PIPELINE, answer, publish
from tests.support.report_pages import EVIL, NOW, check_harmless, message, report
from tests.support.result_lines import errored, succeeded
from tests.support.whole_runs import WholeRuns


@pytest.fixture
def root(tmp_path: Path) -> UPath:
    return UPath(tmp_path)


def test_markup_in_every_field_is_shown_as_text(root: UPath) -> None:
    given: dict[str, Any] = {"title": EVIL, "article_id": EVIL, "category": EVIL, "model": EVIL, "text": EVIL}
    given |= {"language": EVIL, EVIL: "<b>1</b>", "batch_id": EVIL, "stop_reason": EVIL}
    failed = {**given, "status": "errored", "error_type": EVIL, "error_message": EVIL, "text": None}
    rows = [answer(n, **given) for n in range(10)] + [
        answer(n, **{**failed, "category": "news", EVIL: "<i>2</i>", "language": "en"}) for n in range(10, 20)
    ]
    publish(root, rows)
    html, markdown = report(root)
    page = check_harmless(html)
    assert page.text.count('<script>alert("1")</script>') >= 20 * 2
    assert "<" not in re.sub(r"&lt;|&gt;", "", markdown)
    assert "](" not in markdown.replace("\\](", "").replace("\\]\\(", "")


def test_text_of_any_language_and_control_characters(root: UPath) -> None:
    publish(
        root,
        [answer(0, title="标题\x00\x1b[31m", text="答案\u202e。\nzweite Zeile", language="zh")]
        + [answer(n, title="عنوان", text="إجابة", language="ar") for n in range(1, 8)],
    )
    html, _ = report(root)
    page = check_harmless(html)
    assert ("lang", "zh") in page.attributes
    assert ("dir", "auto") in page.attributes
    assert "标题\ufffd\ufffd[31m" in page.text
    assert "\x00" not in html


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# no heading", "\\# no heading"),
        ("- no item", "\\- no item"),
        ("1. no item", "1\\. no item"),
        ("12) no item", "12\\) no item"),
        ("a\n\n# b\n| c |", "a # b \\| c \\|"),
        ("*b* _i_ `c` ~s~", "\\*b\\* \\_i\\_ \\`c\\` \\~s\\~"),
        ("[a](https://x.y)", "\\[a\\](https&#58;//x.y)"),
        ("www.example.org @all", "www&#46;example.org &#64;all"),
        ("<b> & $x$", "&lt;b&gt; &amp; &#36;x&#36;"),
        ("plain text, 3.2 million - no change.", "plain text, 3.2 million - no change."),
    ],
)
def test_markdown_is_literal(text: str, expected: str) -> None:
    assert for_markdown(text) == expected


def test_every_article_is_there_with_its_answer(root: UPath) -> None:
    count = 2 * FOLD + 50
    publish(root, [answer(n, category=["news", "sport"][n % 10 == 0]) for n in range(count)], group=333)
    html, markdown = report(root)
    page = check_harmless(html)
    assert page.tags.count("article") == count
    assert all(f"Title {n}<" in html and f"Answer {n}.<" in html for n in range(count))
    assert page.tags.count("details") == 3  # news in two folds, sport in one
    assert "1 – 500 of 945" in page.text
    assert f"{count - MAX_ARTICLES:,} more, in report.html" in markdown


def test_failures_come_with_what_to_do_and_the_apis_words(root: UPath) -> None:
    publish(
        root,
        [
            answer(0),
            answer(1, status="errored", error_type="invalid_request_error", error_message="content: short"),
            answer(2, status="expired"),
            answer(3, status="errored", error_type="brand_new_error"),
            answer(4, stop_reason="max_tokens"),
            answer(5, stop_reason="refusal"),
        ],
        receipt={"numbers": {"rejected": 3}},
    )
    html, markdown = report(root)
    text = check_harmless(html).text
    for wanted in (
        "Published, 3 articles without an answer.",
        "3 of 6 articles answered (50.0 %); 3 failed.",
        "Correct the article, then run the day again: only these are paid for",
        "a-1: content: short",
        "only articles without an answer are sent and paid for",
        "An error that is not known here",
        "raise max_tokens",
        "declined by the model",
        "Correct them in the source",
    ):
        assert wanted in text
        assert wanted in markdown.replace("\\", "").replace("&#58;", ":")


def test_the_offline_api_is_named_plainly(root: UPath) -> None:
    publish(root, [answer(0, batch_id="msgbatch_local_000")])
    for text in report(root):
        assert "no model was called and nothing was billed" in text
    publish(root, [answer(0)])
    for text in report(root):
        assert "offline" not in text.lower()


def test_an_unknown_price_is_said(root: UPath) -> None:
    publish(root, [answer(n, cost_usd=None, list_cost_usd=None, kind=str(n % 2)) for n in range(20)])
    html, markdown = report(root)
    assert "What it cost is not known" in html
    assert "What it cost is not known" in markdown
    assert "$" not in markdown


def test_of_a_cost_that_is_not_wholly_known_the_known_part_is_shown(root: UPath) -> None:
    receipt = {
        "paid_usd": None,
        "list_usd": None,
        "known_paid_usd": 1.25,
        "unknown_requests": 2,
        "batches": [],
    }
    publish(root, [answer(0), answer(1, cost_usd=None, list_cost_usd=None)], receipt=receipt)
    for text in report(root):
        shown = text.replace("&#36;", "$")
        assert "$1.25" in shown
        assert "requests of unknown cost" in shown
        assert "not known; it was $1.25 at least" in shown
    written = write_report(DataRoot(root), DAY)
    assert (written.paid_usd, written.known_paid_usd, written.unknown_requests) == (None, 1.25, 2)


def test_a_day_nobody_ran(root: UPath) -> None:
    html, markdown = report(root)
    assert "Not published: no pipeline has answers for this day." in check_harmless(html).text
    assert "Not published" in markdown
    publish(root, [answer(0)], day="2026-11-21")
    assert "No run was started for this day" in report(root)[0]
    (root / "runs" / PIPELINE / DAY / "manual").mkdir(parents=True)
    assert "1 run started for this day" in report(root)[0]


def test_an_empty_day(root: UPath) -> None:
    publish(root, [])
    html, _ = report(root)
    assert "Published, without articles." in check_harmless(html).text


def test_metadata_that_changes_from_day_to_day(root: UPath) -> None:
    publish(root, [answer(n, section=str(n % 2), page=1.5) for n in range(10)], day="2026-11-20")
    publish(root, [answer(n, section=n % 2) for n in range(10)], day="2026-11-21")
    publish(root, [answer(n, category=["a", "b"][n % 2], page="one", other=None) for n in range(10)])
    html, _ = report(root)
    text = check_harmless(html).text
    assert "By category" in text
    assert "By section" not in text
    assert "2-day mean" in text


def test_one_report_over_all_pipelines(root: UPath) -> None:
    publish(root, [answer(0)])
    publish(root, [answer(0), answer(1, status="expired")], pipeline="translate")
    publish(root, [answer(0)], pipeline="weekly", day="2026-11-20")
    (root / "runs" / "keywords" / DAY / "manual").mkdir(parents=True)
    written = write_report(DataRoot(root), DAY, now=NOW)
    assert (written.pipelines, written.absent) == ([PIPELINE, "translate"], ["keywords"])
    assert (written.articles, written.succeeded, written.failed) == (3, 2, 1)
    assert "Published in part: keywords did not publish." in report(root)[0]
    only = write_report(DataRoot(root), DAY, pipelines=["translate"], now=NOW)
    assert (only.pipelines, only.absent, only.articles) == (["translate"], [], 2)


def test_what_is_published_while_the_report_is_written_is_in_it(
    root: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(root, [answer(1)])
    gathered = []

    def publish_meanwhile(*arguments: Any) -> Any:
        found = gather(*arguments)
        gathered.append(len(found.pipelines))
        publish(root, [answer(1), answer(2)], pipeline="translate")
        return found

    monkeypatch.setattr("nightpress.reports.day.write_day_report.gather", publish_meanwhile)
    written = write_report(DataRoot(root), DAY, now=NOW)
    assert written.pipelines == ["article_summaries", "translate"]
    assert gathered == [1, 2, 2]  # the inode changes each time: but not forever


def test_writing_again_gives_the_same_bytes(root: UPath) -> None:
    receipt = {"batches": [{"submitted_at": "2026-11-23T00:05:00Z", "ended_at": "2026-11-23T00:45:00Z"}]}
    for day in ("2026-11-21", DAY):
        publish(root, [answer(n, category=str(n % 2)) for n in range(20)], day=day, receipt=receipt)
    assert report(root) == report(root)
    assert [path.name for path in (root / "reports" / f"day={DAY}").iterdir() if path.name[0] == "."] == []


def test_plots_are_drawn_with_titles_words_and_the_pages_colours(root: UPath) -> None:
    batch = {"submitted_at": "2026-11-23T00:05:00Z", "ended_at": "2026-11-23T00:45:00Z"}
    receipt = {"batches": [batch, batch]}
    for day in ("2026-11-21", DAY):
        publish(root, [answer(n, output_tokens=n) for n in range(20)], day=day, receipt=receipt)
    html, _ = report(root)
    drawings = re.findall(r"<svg .*?</svg>", html, re.DOTALL)
    titles = []
    for drawing in drawings:
        tree = ElementTree.fromstring(re.sub(r"xmlns(:\w+)?=\"[^\"]*\"", "", drawing))
        titles.append(tree.findtext("title"))
        assert tree.findtext("desc")
        assert not re.search(r"#[0-9a-f]{6}", drawing)
    assert titles == [
        "How the articles ended",
        "Articles by day",
        "Cost by day",
        "Length of the answers",
        "From submission to end",
    ]


@pytest.mark.parametrize(
    "day", ["", "yesterday", "2026-02-30", "20261122", "../../etc", "2026-11-22/..", None, 5]
)
def test_a_day_that_is_no_date(root: UPath, day: Any) -> None:
    with pytest.raises(ConfigurationError, match="use a date such as 2026-11-22"):
        write_report(DataRoot(root), day)
    assert not (root / "reports").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "reports", "x" * 101])
def test_a_name_that_is_no_pipelines(root: UPath, name: str) -> None:
    with pytest.raises(ConfigurationError, match="invalid pipeline name"):
        write_report(DataRoot(root), DAY, pipelines=[name])


def test_an_object_store(tmp_path: Path) -> None:
    root = UPath(f"memory://report-{tmp_path.name}")
    publish(root, [answer(n, category=str(n % 2)) for n in range(10)])
    html, _ = report(root)
    assert check_harmless(html).tags.count("article") == 10


def test_an_older_file_without_some_columns(root: UPath) -> None:
    path = publish(root, [answer(0, category="a"), answer(1, category="b")])
    table = pq.read_table(path)
    pq.write_table(
        table.drop_columns(["stop_reason", "cache_read_input_tokens", "reused", "error_message"]), path
    )
    assert len(answers_schema()) > len(pq.read_schema(path))
    assert "All 2 articles answered." in report(root)[0]


def test_the_command(
    root: UPath, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NIGHTPRESS_PIPELINE", raising=False)
    publish(root, [answer(0), answer(1, status="expired")])
    assert main(["report", "--day", DAY, "--root", str(root)]) == 0
    told = capsys.readouterr().out
    assert f"{PIPELINE}: 2 articles, 1 answered, 1 failed, $0.0100 paid" in told
    assert f"{root}/reports/day={DAY}/report.html" in told
    assert main(["report", "--day", "2026-11-30", "--root", str(root)]) == 0
    assert "has not published 2026-11-30; the report says so" in capsys.readouterr().out
    assert main(["report", "--day", "2026-11-31", "--root", str(root)]) == 2
    assert "DAY" not in capsys.readouterr().err
    (root / PIPELINE / f"day={DAY}" / "answers.parquet").write_bytes(b"damaged")
    assert main(["report", "--day", DAY, "--root", str(root)]) == 1
    assert "no report: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "text", "shown", "billed", "advice"),
    [
        ("truncated", "Half of an answer", True, "billed", "Raise max_tokens"),
        ("refused", "I would rather", True, "billed by category", "rephrase the prompt"),
        ("empty", None, False, "billed", "write ‘none’"),
        ("unfinished", None, False, "billed", "Leave the tools out"),
        ("invalid_output", "{not json", False, "billed", "widen the schema"),
        ("expired", None, False, "not billed", "Run the day again"),
        ("canceled", None, False, "not billed", "Run the day again"),
        ("missing", None, False, "not known whether billed", "Run the day again"),
    ],
)
def test_each_status_has_its_place(  # noqa: PLR0917 - the columns of the table
    root: UPath, status: str, text: str | None, shown: bool, billed: str, advice: str
) -> None:
    publish(root, [answer(0), answer(1, status=status, text=text)])
    html, markdown = report(root)
    page = check_harmless(html)
    label = STATUSES[status].label
    assert f"failed: {label}" in page.text
    assert f"{label}{billed}" in page.text
    assert advice in page.text
    assert advice in markdown.replace("\\", "")
    assert advice in message(root).replace("\\", "")
    assert (bool(text) and str(text) in page.text) is shown
    assert "Nothing to do" not in page.text


def test_thinking_and_unknown_tokens_are_told(root: UPath) -> None:
    rows = [answer(0), answer(1, output_tokens=None, input_tokens=None, cost_usd=None, list_cost_usd=None)]
    path = publish(root, rows)
    table = pq.read_table(path)
    place = table.column_names.index("output_tokens") + 1
    if "thinking_tokens" not in table.column_names:
        table = table.add_column(place, "thinking_tokens", pa.array([7, None], pa.int64()))
    else:
        place = table.column_names.index("thinking_tokens")
        table = table.set_column(place, "thinking_tokens", pa.array([7, None], pa.int64()))
    pq.write_table(table, path)
    text = check_harmless(report(root)[0]).text
    assert "of them thinking7" in text
    assert "answers that do not tell theirs1" in text
    assert "Paid, all runs of the dayunknown" in text


def test_long_titles_and_names_are_cut(root: UPath) -> None:
    rows = [
        answer(n, title="t" * 3_000_000, article_id="i" * 100_000, **{"c" * 50_000: "ab"[n % 2]})
        for n in range(8)
    ]
    publish(root, rows)
    html, markdown = report(root)
    assert len(html) < 200_000
    assert len(markdown) < 20_000


def test_of_very_many_kinds_of_failures_the_report_names_the_most_frequent_as_the_receipt_does(
    tmp_path: Path,
) -> None:
    """A gateway may give each request an error type of its own, of any length."""
    runs = WholeRuns(tmp_path)
    runs.publish(
        "night",
        [{"content": f"text {n}"} for n in range(400)],
        lambda n, name, _: (
            errored(name, f"error_{n if n % 2 else 0}_{'x' * 3_000}") if n else succeeded(name)
        ),
    )
    html, text = report(UPath(tmp_path))
    check_harmless(html)
    (day,) = gather(runs.root, DAY, None, NOW).pipelines
    # The first article of each round was answered.
    for told in (day.today.failed, runs.receipt().numbers["failed"]):
        assert (len(told), told["other kinds"], sum(told.values())) == (101, 100, 398)
    assert max(map(len, day.today.failed)) > 100
    assert "x" * 100 not in html
    assert "x" * 100 not in text
    assert 100 < text.count("error\\_") < 1_000


def test_control_characters_in_an_error_type_do_not_cost_the_report(root: UPath) -> None:
    failed = {"status": "errored", "error_type": "a\x00b\x1b[31m\ufffe", "error_message": "\x07"}
    publish(root, [answer(0, category="x\x08"), answer(1, **failed)])
    html, markdown = report(root)
    check_harmless(html)
    for text in (html, markdown, message(root)):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", text)


def test_the_message_is_short_and_says_what_to_do(root: UPath) -> None:
    rows = [answer(n) for n in range(300)] + [answer(300 + n, status="expired") for n in range(3)]
    publish(root, rows)
    text = message(root, link="https://airflow.example.org/nightpress/reports/2026-11-22")
    assert len(text) < 1_500
    for wanted in (
        "300 of 303 articles answered",
        "$3.00 was paid",
        "## What to do",
        "**3 failed: expired**",
        "Run the day again",
        "<https://airflow.example.org/nightpress/reports/2026-11-22>",
    ):
        assert wanted in text
    assert "Title 1" not in text
    assert "report.html beside this file" in message(root)


def test_the_page_says_whose_dags_it_shows(root: UPath) -> None:
    publish(root, [answer(0)], dag_id="summaries_dag")
    publish(root, [answer(0)], pipeline="translate")
    html, _ = report(root)
    assert read_dags(html.encode()[:HEAD_BYTES]) == {PIPELINE: "summaries_dag", "translate": ""}
    assert read_dags(b"<!doctype html><p>an older report") is None
    evil = 'x"><script>'
    publish(root, [answer(0)], dag_id=evil)
    html, _ = report(root)
    check_harmless(html)
    assert read_dags(html.encode()[:HEAD_BYTES]) == {PIPELINE: evil, "translate": ""}
