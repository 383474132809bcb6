"""The report as Markdown: a short text for mail, and a long one with all numbers and articles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from nightpress.advice import label
from nightpress.plain_text import for_markdown, shorten
from nightpress.reports.comparison.comparison_tables import agreement_table, sentence, variants_table
from nightpress.reports.day.day_report import DayReport, PipelineDay
from nightpress.reports.day.day_wording import category_table, money, numbers_table, summary, verdict
from nightpress.reports.day.report_articles import ReportArticle, iter_report_articles
from nightpress.reports.tables import table_markdown
from nightpress.reports.typed_values import as_text
from nightpress.reports.wording import OFFLINE, count, long_day, moment

MAX_ARTICLES = 200
"""Most articles in the text; the page has all of them."""

_MAX_ACTIONS = 5


def iter_message(report: DayReport, link: str = "") -> Iterator[str]:
    """Yield the report of a day as a message: the numbers, what to do, and a link to the full report.

    :param link: address of the full report; empty names the file beside this one.
    """
    yield f"# Nightpress, {long_day(report.day)}\n\n**{for_markdown(summary(report)[1])}**\n"
    if report.offline:
        yield f"\n> **Offline.** {OFFLINE}\n"
    if report.digest is not None:
        yield f"\n**{for_markdown(report.digest.headline)}** {for_markdown(report.digest.lead)}\n"
    yield "\n"
    for pipeline in report.pipelines:
        yield f"- **{for_markdown(pipeline.pipeline)}**: {verdict(pipeline)} {money(pipeline)}\n"
    for absent in report.absent:
        yield f"- **{for_markdown(absent.pipeline)}**: not published. {absent.explain()}\n"
    if not report.pipelines and not report.absent:
        yield "Nothing was run for this day. Run a pipeline for it, and this report is written again by itself.\n"
    yield from _actions(report)
    where = f"<{link}>" if link else "report.html beside this file"
    yield f"\nThe whole report: {where}. As Markdown: report-full.md.\n"


def _actions(report: DayReport) -> Iterator[str]:
    actions = [(day.pipeline, action) for day in report.pipelines for action in day.actions()]
    if not actions:
        return
    yield "\n## What to do\n\n"
    for pipeline, action in actions[:_MAX_ACTIONS]:
        yield (
            f"- {for_markdown(pipeline)}: **{count(action.count)} {for_markdown(action.what)}**. "
            f"{for_markdown(action.remedy)}\n"
        )
    if len(actions) > _MAX_ACTIONS:
        yield f"- … and {count(len(actions) - _MAX_ACTIONS)} more in the whole report.\n"


def iter_markdown(report: DayReport) -> Iterator[str]:
    """Yield the report of a day with its numbers and articles."""
    yield f"# Nightpress, {long_day(report.day)}\n\n**{for_markdown(summary(report)[1])}**\n"
    if report.offline:
        yield f"\n> **Offline.** {OFFLINE}\n"
    if report.digest is not None:
        yield f"\n## {for_markdown(report.digest.headline)}\n\n{for_markdown(report.digest.lead)}\n\n"
        for theme in report.digest.themes:
            number = "" if theme.articles is None else f" ({count(theme.articles)})"
            yield f"- **{for_markdown(theme.name)}**{number}: {for_markdown(theme.gist)}\n"
    if not report.pipelines and not report.absent:
        yield "\nNothing was run for this day. Run a pipeline for it, and this report is written again by itself.\n"
    for pipeline in report.pipelines:
        yield f"\n## {for_markdown(pipeline.pipeline)}\n\n{verdict(pipeline)} {money(pipeline)}\n"
        yield from _sections(pipeline)
    for compared in report.comparisons:
        yield f"\n## {for_markdown(compared.name)}\n\n{for_markdown(sentence(compared))}\n\n"
        yield f"{table_markdown(variants_table(compared))}\n{table_markdown(agreement_table(compared))}"
    for absent in report.absent:
        yield f"\n## {for_markdown(absent.pipeline)}\n\n**Not published.** {absent.explain()}\n"
    yield f"\n---\nWritten {moment(report.written_at)}. The whole report is report.html beside this file.\n"


def _sections(day: PipelineDay) -> Iterator[str]:
    actions = day.actions()
    if actions:
        yield "\n### What to do\n\n"
        for action in actions:
            yield f"- **{count(action.count)} {for_markdown(action.what)}**: {for_markdown(action.remedy)}\n"
    yield f"\n### Numbers\n\n{table_markdown(numbers_table(day))}"
    for title, kinds in (("Failures", day.failures), ("Rejected rows", day.rejected)):
        if kinds:
            yield f"\n### {title}\n\n"
        for kind in kinds:
            examples = "; ".join(for_markdown(text) for text in kind.examples)
            yield f"- {count(kind.count)} {for_markdown(label(kind.name))}: {examples}\n"
    for table in day.categories:
        yield f"\n### By {for_markdown(shorten(table.column, 80))}\n\n{table_markdown(category_table(table))}"
    if day.today.articles:
        yield "\n### Articles\n\n"
        yield from map(_lay_out, islice(iter_report_articles(day.answers, day.group), MAX_ARTICLES))
        left = day.today.articles - MAX_ARTICLES
        if left > 0:
            yield f"\n… and {left:,} more, in report.html.\n"


def _lay_out(article: ReportArticle) -> str:
    title = for_markdown(article.title) or for_markdown(article.id)
    group = f" ({for_markdown(article.group)})" if article.group else ""
    if article.failure:
        kind = label(article.failure)
        why = f"{kind}: {article.message}" if article.message else kind
        return f"- **{title}**{group}: *no answer*, {for_markdown(why)}\n"
    if article.fields:
        lines = "".join(
            f"  - {for_markdown(name)}: {for_markdown(as_text(value))}\n" for name, value in article.fields
        )
        return f"- **{title}**{group}\n{lines}"
    return f"- **{title}**{group}: {for_markdown(article.answer)}{' …' if article.cut else ''}\n"
