"""The report's tables as rows of text, laid out by the page and by Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nightpress.reports.day.categories import CategoryTable
from nightpress.reports.day.day_report import PipelineDay
from nightpress.reports.day.figures import DayFigures
from nightpress.reports.wording import count, duration, share, short_day, usd

_WEEK = 7

Number: TypeAlias = float | None
_Take: TypeAlias = Callable[[DayFigures], Number]
_Write: TypeAlias = Callable[[Number], str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings; the first column names the row, all others are numbers.

    :param inset: places of rows that belong to the row above.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    inset: frozenset[int] = frozenset()


def numbers_table(of: PipelineDay) -> Table:
    """Return the day's numbers beside those of the day before and the average of the week before."""
    last = of.before[-1] if of.before else None
    week = of.before[-_WEEK:]
    rows: list[list[str]] = []
    inset: set[int] = set()
    for name, take, write, inner in _lines(of):
        cells = [name, write(take(of.today))]
        if last is not None:
            cells.append(write(take(last)))
        if len(week) > 1:
            cells.append(write(_mean([take(day) for day in week])))
        if inner:
            inset.add(len(rows))
        rows.append(cells)
    headings = ["", short_day(of.today.day)]
    if last is not None:
        headings += [short_day(last.day), *([f"{len(week)}-day mean"] if len(week) > 1 else [])]
    return Table(headings, rows, frozenset(inset))


def _lines(of: PipelineDay) -> list[tuple[str, _Take, _Write, bool]]:
    kinds = dict.fromkeys([*of.today.failed, *(of.before[-1].failed if of.before else ())])
    lines: list[tuple[str, _Take, _Write, bool]] = [
        ("Articles", lambda day: day.articles, _whole, False),
        ("answered", lambda day: day.succeeded, _whole, True),
        ("of them reused", lambda day: day.reused, _whole, True),
        ("failed", lambda day: day.failures, _whole, True),
    ]
    lines += [(f"\u2013\u00a0{kind}", _failed(kind), _whole, True) for kind in kinds]
    cached = any(day.cache_saved_usd for day in (of.today, *of.before[-1:]))
    caching: list[tuple[str, _Take, _Write, bool]] = [
        ("and by the prompt cache", lambda day: day.cache_saved_usd, _recorded_usd, True)
    ]
    return [
        *lines,
        ("Rejected before sending", lambda day: day.rejected, _whole, False),
        ("Batches", lambda day: day.batches, _whole, False),
        ("Tokens in", lambda day: day.input_tokens, _whole, False),
        ("Tokens out", lambda day: day.output_tokens, _whole, False),
        ("Paid", lambda day: day.paid_usd, usd, False),
        ("List price", lambda day: day.list_usd, usd, False),
        ("Saved", lambda day: day.saved_usd, usd, False),
        *(caching if cached else ()),
        ("Paid for and replaced", lambda day: day.wasted_usd, _recorded_usd, False),
        ("Submission to last end", lambda day: day.seconds, duration, False),
    ]


def _failed(kind: str) -> _Take:
    return lambda day: day.failed.get(kind, 0)


def _whole(number: Number) -> str:
    return count(None if number is None else round(number))


def _recorded_usd(amount: Number) -> str:
    return "–" if amount is None else usd(amount)


def _mean(values: Sequence[Number]) -> Number:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def category_table(of: CategoryTable) -> Table:
    """Return the numbers of each value of a metadata column."""
    reused = any(row.reused for row in of.rows)
    headings = [
        of.column,
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
            usd(row.paid_usd),
        ]
        for row in of.rows
    ]
    return Table(headings, rows)
