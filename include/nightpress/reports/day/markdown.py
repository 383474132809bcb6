"""The report as Markdown, for mail and chat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from nightpress.reports.comparison.comparison_tables import agreement_table, sentence, variants_table
from nightpress.reports.day.day_report import DayReport, PipelineDay
from nightpress.reports.day.day_tables import Table, category_table, numbers_table
from nightpress.reports.day.headline import OFFLINE, money, summary, verdict
from nightpress.reports.day.report_articles import Article, iter_articles
from nightpress.reports.typed_values import as_text
from nightpress.reports.wording import count, long_day, moment

MOST_ARTICLES = 200
"""A message with more would not be read, nor accepted by most chats; the page has them all."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;", "$": "&#36;"}
_SPECIAL = re.compile(
    r"([\\`*_\[\]|~])|([&<>@$])|(:(?=/))|((?<=[wW]{3})\.)|(^[#+=-])|((?<=^\d)[.)]|(?<=^\d\d)[.)])"
)


def literal(value: object) -> str:
    """Return text on one line in which nothing is markup, a link or a mention."""
    one_line = " ".join("".join(c if c >= " " else " " for c in str(value)).split())
    return _SPECIAL.sub(_escape, one_line)


def _escape(found: re.Match[str]) -> str:
    text = found[0]
    if text == "." and found[4]:
        return "&#46;"
    return _ENTITIES.get(text) or f"\\{text}"


def iter_markdown(report: DayReport) -> Iterator[str]:
    """Yield the report of a day."""
    yield f"# Nightpress, {long_day(report.day)}\n\n**{literal(summary(report)[1])}**\n"
    if report.offline:
        yield f"\n> **Offline.** {OFFLINE}\n"
    if report.digest is not None:
        yield f"\n## {literal(report.digest.headline)}\n\n{literal(report.digest.lead)}\n\n"
        for theme in report.digest.themes:
            number = "" if theme.articles is None else f" ({count(theme.articles)})"
            yield f"- **{literal(theme.name)}**{number}: {literal(theme.gist)}\n"
    if not report.pipelines and not report.absent:
        yield "\nNothing was ever run here. Trigger the DAG `article_summaries` with this day.\n"
    for pipeline in report.pipelines:
        yield f"\n## {literal(pipeline.pipeline)}\n\n{verdict(pipeline)} {money(pipeline)}\n"
        yield from _sections(pipeline)
    for compared in report.comparisons:
        yield f"\n## {literal(compared.name)}\n\n{literal(sentence(compared))}\n\n"
        yield f"{_table(variants_table(compared))}\n{_table(agreement_table(compared))}"
    for one in report.absent:
        yield f"\n## {literal(one.pipeline)}\n\n**Not published.** {one.explain()}\n"
    yield f"\n---\nWritten {moment(report.written_at)}. The whole report is report.html beside this file.\n"


def _sections(of: PipelineDay) -> Iterator[str]:
    actions = of.actions()
    if actions:
        yield "\n### What to do\n\n"
        for action in actions:
            yield f"- **{count(action.count)} {literal(action.what)}**: {action.remedy}\n"
    yield f"\n### Numbers\n\n{_table(numbers_table(of))}"
    for title, kinds in (("Failures", of.failures), ("Rejected rows", of.rejected)):
        if kinds:
            yield f"\n### {title}\n\n"
        for kind in kinds:
            examples = "; ".join(literal(text[:200]) for text in kind.examples)
            yield f"- {count(kind.count)} {literal(kind.name)}: {examples}\n"
    for table in of.categories:
        yield f"\n### By {literal(table.column)}\n\n{_table(category_table(table))}"
    if of.today.articles:
        yield "\n### Articles\n\n"
        yield from map(_lay_out, islice(iter_articles(of.answers, of.group), MOST_ARTICLES))
        left = of.today.articles - MOST_ARTICLES
        if left > 0:
            yield f"\n… and {left:,} more, in report.html.\n"


def _lay_out(article: Article) -> str:
    title = literal(article.title) or literal(article.id)
    group = f" ({literal(article.group)})" if article.group else ""
    if article.failure:
        why = f"{article.failure}: {article.message}" if article.message else article.failure
        return f"- **{title}**{group}: *no answer*, {literal(why)}\n"
    if article.fields:
        lines = "".join(f"  - {literal(name)}: {literal(as_text(value))}\n" for name, value in article.fields)
        return f"- **{title}**{group}\n{lines}"
    return f"- **{title}**{group}: {literal(article.answer)}{' …' if article.cut else ''}\n"


def _table(table: Table) -> str:
    lines = ["| " + " | ".join(literal(name) for name in table.headings) + " |"]
    lines.append("|" + " --- |" + " ---: |" * (len(table.headings) - 1))
    lines += ["| " + " | ".join(map(literal, row)) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"
