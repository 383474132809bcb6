"""The sentences and tables of a day's report, the same in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from nightpress.advice import label
from nightpress.costs.money import dollars
from nightpress.plain_text import shorten
from nightpress.reports.day.categories import CategoryTable
from nightpress.reports.day.day_report import DayReport, PipelineDay
from nightpress.reports.day.figures import DayFigures
from nightpress.reports.tables import Table
from nightpress.reports.wording import count, counted, duration, share, short_day

_WEEK = 7
_MAX_NAME_CHARS = 80

Number: TypeAlias = float | None
_Take: TypeAlias = Callable[[DayFigures], Number]
_Write: TypeAlias = Callable[[Number], str]
_Line: TypeAlias = tuple[str, _Take, _Write, bool]


def verdict(day: PipelineDay) -> str:
    """Say in a sentence how a pipeline's day ended."""
    today = day.today
    if not today.articles:
        return "Published without articles: there was nothing to send."
    if not today.failures:
        answered = "All 1 article" if today.articles == 1 else f"All {counted(today.articles, 'article')}"
        return f"{answered.replace('All 1', 'The 1')} answered."
    return (
        f"{today.succeeded:,} of {counted(today.articles, 'article')} answered "
        f"({share(today.succeeded, today.articles)}); {today.failures:,} failed."
    )


def money(day: PipelineDay) -> str:
    """Say in a sentence what the day cost."""
    today = day.today
    if today.paid_usd is None:
        known = today.known_paid_usd
        least = f"; it was {dollars(known)} at least" if known else ""
        requests = f" of {counted(today.unknown_requests, 'request')}" if today.unknown_requests else ""
        return f"What it cost is not known{least}: the price of a model, or the use{requests}, is not known."
    if not today.paid_usd:
        return "Nothing was paid."
    verb = "would have been paid" if today.offline else "was paid"
    saved = "" if today.saved_usd is None else f", {dollars(today.saved_usd)} less than at list price"
    return f"{dollars(today.paid_usd)} {verb}{saved}."


def summary(report: DayReport) -> tuple[str, str]:
    """Return the state of the whole day (good, look, bad, none) and its sentence."""
    if not report.pipelines:
        return "none", "Not published: no pipeline has answers for this day."
    failed = sum(each.today.failures for each in report.pipelines)
    articles = sum(each.today.articles for each in report.pipelines)
    if not articles:
        return "none", "Published, without articles."
    if report.absent:
        return (
            "bad",
            f"Published in part: {', '.join(each.pipeline for each in report.absent)} did not publish.",
        )
    if failed == articles:
        return "bad", "Published, but no article was answered."
    if failed:
        return "look", f"Published, {counted(failed, 'article')} without an answer."
    if any(each.actions() for each in report.pipelines):
        return "good", "Published, every article answered; a few things to look at."
    return "good", "Published, every article answered. Nothing to do."


def numbers_table(day: PipelineDay) -> Table:
    """Return the day's numbers with those of the day before and the average of the week before."""
    last = day.before[-1] if day.before else None
    week = day.before[-_WEEK:]
    rows: list[list[str]] = []
    inset: set[int] = set()
    for name, take, write, inner in _lines(day):
        cells = [name, write(take(day.today))]
        if last is not None:
            cells.append(write(take(last)))
        if len(week) > 1:
            cells.append(write(_mean([take(each) for each in week])))
        if inner:
            inset.add(len(rows))
        rows.append(cells)
    headings = ["", short_day(day.today.day)]
    if last is not None:
        headings += [short_day(last.day), *([f"{len(week)}-day mean"] if len(week) > 1 else [])]
    return Table(headings, rows, frozenset(inset))


def _outcome_lines(day: PipelineDay) -> list[_Line]:
    shown = (day.today, *day.before[-1:])
    kinds = dict.fromkeys(kind for figures in shown for kind in figures.failed)
    kept = any(figures.reused_failures for figures in shown)
    failures: list[_Line] = [("of them reused", lambda figures: figures.reused_failures, _whole, True)]
    return [
        ("Articles", lambda figures: figures.articles, _whole, False),
        ("answered", lambda figures: figures.succeeded, _whole, True),
        ("of them reused", lambda figures: figures.reused_answers, _whole, True),
        ("failed", lambda figures: figures.failures, _whole, True),
        *(failures if kept else ()),
        *((f"\u2013\u00a0{label(kind)}", _failed(kind), _whole, True) for kind in kinds),
    ]


def _lines(day: PipelineDay) -> list[_Line]:
    cached = any(figures.cache_saved_usd for figures in (day.today, *day.before[-1:]))
    caching: list[_Line] = [
        ("and by the prompt cache", lambda figures: figures.cache_saved_usd, _recorded_usd, True)
    ]
    thought = any(figures.thinking_tokens for figures in (day.today, *day.before[-1:]))
    thinking: list[_Line] = [("of them thinking", lambda figures: figures.thinking_tokens, _whole, True)]
    unknown: list[_Line] = [
        ("answers that do not tell theirs", lambda figures: figures.tokens_unknown, _whole, True)
    ]
    in_part: list[_Line] = [
        ("of that known", lambda figures: figures.known_paid_usd, dollars, True),
        ("requests of unknown cost", lambda figures: figures.unknown_requests, _whole, True),
    ]
    return [
        *_outcome_lines(day),
        ("Rejected before sending", lambda figures: figures.rejected, _whole, False),
        ("Batches", lambda figures: figures.batches, _whole, False),
        ("Tokens in", lambda figures: figures.input_tokens, _whole, False),
        ("Tokens out", lambda figures: figures.output_tokens, _whole, False),
        *(thinking if thought else ()),
        *(unknown if day.today.tokens_unknown else ()),
        ("Paid, all runs of the day", lambda figures: figures.paid_usd, dollars, False),
        *(in_part if day.today.unknown_requests and day.today.known_paid_usd else ()),
        ("List price", lambda figures: figures.list_usd, dollars, False),
        ("Saved", lambda figures: figures.saved_usd, dollars, False),
        *(caching if cached else ()),
        ("Paid for and not used", lambda figures: figures.unused_usd, _recorded_usd, True),
        ("Took, first submission to last end", lambda figures: figures.seconds, duration, False),
    ]


def _failed(kind: str) -> _Take:
    return lambda figures: figures.failed.get(kind, 0)


def _whole(number: Number) -> str:
    return count(None if number is None else round(number))


def _recorded_usd(amount: Number) -> str:
    return "–" if amount is None else dollars(amount)


def _mean(values: Sequence[Number]) -> Number:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def category_table(table: CategoryTable) -> Table:
    """Return the numbers of each value of a metadata column."""
    reused = any(row.reused for row in table.rows)
    headings = [
        shorten(table.column, _MAX_NAME_CHARS),
        "articles",
        "answered",
        "failed",
        *(["reused"] if reused else []),
        "tokens out",
        "paid",
    ]
    rows = [
        [
            row.value,
            count(row.articles),
            share(row.succeeded, row.articles),
            count(row.failed),
            *([count(row.reused)] if reused else []),
            count(row.output_tokens),
            dollars(row.paid_usd),
        ]
        for row in table.rows
    ]
    return Table(headings, rows)
