"""The plots of a day: the outcomes of its articles, and the day compared with the days before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from nightpress.advice import label
from nightpress.costs.money import dollars
from nightpress.reports.day.day_report import PipelineDay
from nightpress.reports.day.figures import DayFigures
from nightpress.reports.plots import (
    ACCENT,
    BAD,
    QUIET,
    SECOND,
    Bar,
    Bin,
    Plot,
    draw_bars,
    draw_histogram,
    histogram,
    render_chart,
)
from nightpress.reports.wording import count, counted, duration, share


def draw_plots(day: PipelineDay) -> list[Plot]:
    """Draw the plots for which a day has numbers."""
    days = [*day.before, day.today]
    plots = [_outcomes(day.today)] if day.today.articles else []
    if len(days) > 1:
        plots += [_articles(days), _costs(days)]
    if day.output_tokens:
        plots.append(_tokens(day.output_tokens))
    if len(day.today.latencies) > 1:
        plots.append(_latencies(day.today.latencies))
    return plots


def _outcomes(today: DayFigures) -> Plot:
    fresh = today.succeeded - today.reused_answers
    rows = [("answered", fresh, ACCENT), ("reused", today.reused_answers, SECOND)]
    rows += [(label(kind), number, BAD) for kind, number in today.failed.items()]
    rows += [("rejected", today.rejected or 0, QUIET)]
    rows = [row for row in rows if row[1]] or [("answered", 0, ACCENT)]
    whole = sum(row[1] for row in rows)
    bars = [Bar(kind, n, f"{n:,} · {share(n, whole)}", colour) for kind, n, colour in rows[:10]]
    text = ", ".join(f"{kind} {n:,} ({share(n, whole)})" for kind, n, _ in rows)
    return draw_bars("How the articles ended", text, bars)


def _articles(days: Sequence[DayFigures]) -> Plot:
    data = [
        {"day": each.day, "part": part, "n": n, "order": order}
        for each in days
        for order, (part, n) in enumerate((("answered", each.succeeded), ("failed", each.failures)))
    ]
    chart = _by_day(data, "n", "articles").encode(
        color=alt.Color(
            "part:N", scale=alt.Scale(domain=["answered", "failed"], range=[ACCENT, BAD]), legend=None
        ),
        order="order:Q",
    )
    most = max(days, key=lambda each: each.articles)
    failures = sum(each.failures for each in days)
    text = (
        f"{counted(len(days), 'day')} from {days[0].day} to {days[-1].day}: most {counted(most.articles, 'article')} "
        f"on {most.day}, {count(days[-1].articles)} on the last, {counted(failures, 'failure')} in all."
    )
    return Plot("Articles by day", text, render_chart(chart))


def _costs(days: Sequence[DayFigures]) -> Plot:
    known = [each for each in days if each.paid_usd is not None]
    data = [{"day": each.day, "usd": each.paid_usd} for each in known] or [{"day": days[-1].day, "usd": 0}]
    chart = _by_day(data, "usd", "USD paid", "$~g").encode(color=alt.value(SECOND))
    left_out = f" {counted(len(days) - len(known), 'day')} without a known price left out." * (known != days)
    total = sum(each.paid_usd or 0.0 for each in known)
    last = days[-1]
    text = (
        f"{dollars(total)} in {counted(len(known), 'day')}, {dollars(last.paid_usd)} on {last.day}.{left_out}"
    )
    return Plot("Cost by day", text, render_chart(chart))


def _by_day(data: list[dict[str, Any]], name: str, title: str, form: str = "~s") -> alt.Chart:
    days = sorted({row["day"] for row in data})
    shown = days[:: -(-len(days) // 6)]
    chart: alt.Chart = (
        alt.Chart(pd.DataFrame(data))
        .mark_bar()
        .encode(
            x=alt.X(
                "day:N",
                sort=days,
                title=None,
                scale=alt.Scale(paddingInner=0.3),
                axis=alt.Axis(values=shown, labelAngle=0, labelExpr="slice(datum.value, 5)", ticks=False),
            ),
            y=alt.Y(f"{name}:Q", title=title, axis=alt.Axis(tickCount=4, format=form)),
        )
    )
    return chart


def _tokens(bins: Sequence[Bin]) -> Plot:
    total = sum(each.count for each in bins)
    most = max(bins, key=lambda each: each.count)
    text = (
        f"{counted(total, 'answer')}, from {bins[0].low:,.0f} to {bins[-1].high:,.0f} tokens; most often "
        f"{most.low:,.0f} to {most.high:,.0f} ({most.count:,})."
    )
    return Plot("Length of the answers", text, draw_histogram(bins, "output tokens", "answers", ACCENT))


def _latencies(seconds: Sequence[float]) -> Plot:
    unit, size = ("minutes", 60.0) if max(seconds) < 3 * 3600 else ("hours", 3600.0)
    if max(seconds) < 180:
        unit, size = "seconds", 1.0
    bins = histogram([value / size for value in seconds], 16)
    ordered = sorted(seconds)
    text = (
        f"{counted(len(ordered), 'batch', 'batches')}: shortest {duration(ordered[0])}, median "
        f"{duration(ordered[len(ordered) // 2])}, longest {duration(ordered[-1])}."
    )
    return Plot(
        "From submission to end", text, draw_histogram(bins, f"{unit} a batch took", "batches", SECOND)
    )
