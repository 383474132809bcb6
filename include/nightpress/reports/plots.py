"""Plots as inline SVG: no script, no fixed colour, a title and a description for those who do not see them.

Colours are names of CSS variables of the page, so that one drawing serves light, dark and print.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import vl_convert

from nightpress.reports.day.day_report import Bin, PipelineDay
from nightpress.reports.day.figures import DayFigures
from nightpress.reports.wording import count, counted, duration, share, usd

WIDTH, HEIGHT = 300, 130

_COLOURS = {"#010203": "ink", "#010204": "soft", "#010205": "line", "#010206": "accent", "#010207": "bad"}
_COLOURS |= {"#010208": "second", "#010209": "quiet"}
_INK, _SOFT, _LINE, _ACCENT, _BAD, _SECOND, _QUIET = _COLOURS
_FONT = "system-ui, sans-serif"
_NOT_WANTED = re.compile(r' (?:role|aria-[a-z]+|pointer-events|class)="[^"]*"')
_OPENING = re.compile(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>")


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing with its heading, its description in words, and its SVG."""

    title: str
    text: str
    svg: str


def draw_plots(of: PipelineDay) -> list[Plot]:
    """Draw what a day has numbers for."""
    days = [*of.before, of.today]
    plots = [_outcomes(of.today)] if of.today.articles else []
    if len(days) > 1:
        plots += [_articles(days), _costs(days)]
    if of.output_tokens:
        plots.append(_tokens(of.output_tokens))
    if len(of.today.latencies) > 1:
        plots.append(_latencies(of.today.latencies))
    return plots


def _outcomes(today: DayFigures) -> Plot:
    fresh = today.succeeded - today.reused
    rows = [("answered", fresh, _ACCENT), ("reused", today.reused, _SECOND)]
    rows += [(kind, number, _BAD) for kind, number in today.failed.items()]
    rows += [("rejected", today.rejected or 0, _QUIET)]
    rows = [row for row in rows if row[1]] or [("answered", 0, _ACCENT)]
    whole = sum(row[1] for row in rows)
    bars = [Bar(kind, n, f"{n:,} · {share(n, whole)}", colour) for kind, n, colour in rows[:10]]
    text = ", ".join(f"{kind} {n:,} ({share(n, whole)})" for kind, n, _ in rows)
    return draw_bars("How the articles ended", text, bars)


class Bar(NamedTuple):
    """A bar with its name on the left and a text on the right."""

    name: str
    length: float
    text: str
    colour: str = _ACCENT


def draw_bars(title: str, text: str, bars: Sequence[Bar]) -> Plot:
    """Draw bars one below the other.

    :param text: in words what they show.
    """
    data = [{"kind": b.name[:40], "n": b.length, "colour": b.colour, "text": b.text} for b in bars]
    base = alt.Chart(pd.DataFrame(data)).encode(
        y=alt.Y("kind:N", sort=None, title=None, axis=alt.Axis(domain=False, ticks=False, labelLimit=140)),
        x=alt.X(
            "n:Q", title=None, axis=None, scale=alt.Scale(domain=[0, max(b.length for b in bars) * 1.45])
        ),
    )
    drawn = base.mark_bar(height=14).encode(color=alt.Color("colour:N", scale=None))
    labels = base.mark_text(align="left", dx=5, color=_SOFT, fontSize=11).encode(text="text:N")
    return Plot(title, text, _render(drawn + labels, width=WIDTH - 90, height=26 * len(data) + 6))


def _articles(days: Sequence[DayFigures]) -> Plot:
    data = [
        {"day": one.day, "part": part, "n": n, "order": order}
        for one in days
        for order, (part, n) in enumerate((("answered", one.succeeded), ("failed", one.failures)))
    ]
    chart = _by_day(data, "n", "articles").encode(
        color=alt.Color(
            "part:N", scale=alt.Scale(domain=["answered", "failed"], range=[_ACCENT, _BAD]), legend=None
        ),
        order="order:Q",
    )
    most = max(days, key=lambda one: one.articles)
    failures = sum(one.failures for one in days)
    text = (
        f"{counted(len(days), 'day')} from {days[0].day} to {days[-1].day}: most {counted(most.articles, 'article')} "
        f"on {most.day}, {count(days[-1].articles)} on the last, {counted(failures, 'failure')} in all."
    )
    return Plot("Articles by day", text, _render(chart))


def _costs(days: Sequence[DayFigures]) -> Plot:
    known = [one for one in days if one.paid_usd is not None]
    data = [{"day": one.day, "usd": one.paid_usd} for one in known] or [{"day": days[-1].day, "usd": 0}]
    chart = _by_day(data, "usd", "USD paid", "$~g").encode(color=alt.value(_SECOND))
    left_out = f" {counted(len(days) - len(known), 'day')} without a known price left out." * (known != days)
    total = sum(one.paid_usd or 0.0 for one in known)
    text = (
        f"{usd(total)} in {counted(len(known), 'day')}, {usd(days[-1].paid_usd)} on {days[-1].day}.{left_out}"
    )
    return Plot("Cost by day", text, _render(chart))


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
    total = sum(one.count for one in bins)
    most = max(bins, key=lambda one: one.count)
    text = (
        f"{counted(total, 'answer')}, from {bins[0].low:,.0f} to {bins[-1].high:,.0f} tokens; most often "
        f"{most.low:,.0f} to {most.high:,.0f} ({most.count:,})."
    )
    return Plot("Length of the answers", text, _render(_bars(bins, "output tokens", "answers", _ACCENT)))


def _latencies(seconds: Sequence[float]) -> Plot:
    from nightpress.reports.day.day_report import histogram

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
        "From submission to end", text, _render(_bars(bins, f"{unit} a batch took", "batches", _SECOND))
    )


def _bars(bins: Iterable[Bin], x: str, y: str, colour: str) -> alt.Chart:
    data = [{"low": one.low, "high": one.high, "n": one.count} for one in bins]
    chart: alt.Chart = (
        alt.Chart(pd.DataFrame(data))
        .mark_bar(binSpacing=1, color=colour)
        .encode(
            x=alt.X(
                "low:Q",
                bin="binned",
                title=x,
                scale=alt.Scale(zero=False, nice=False),
                axis=alt.Axis(tickCount=6, format="~s", grid=False),
            ),
            x2="high:Q",
            y=alt.Y("n:Q", title=y, axis=alt.Axis(tickCount=4, format="~s", tickMinStep=1)),
        )
    )
    return chart


def _render(chart: alt.Chart | alt.LayerChart, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    spec = (
        chart.properties(width=width, height=height, background="transparent")
        .configure(font=_FONT, padding={"left": 8, "right": 4, "top": 2, "bottom": 2})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_SOFT,
            titleColor=_SOFT,
            titleFontWeight="normal",
            labelFontSize=10.5,
            titleFontSize=10.5,
            domainColor=_LINE,
            gridColor=_LINE,
            tickColor=_LINE,
        )
        .configure_axisY(
            domain=False,
            ticks=False,
            labelPadding=5,
            titleAngle=0,
            titleAlign="left",
            titleX=0,
            titleY=-9,
        )
    )
    svg: str = vl_convert.vegalite_to_svg(spec.to_json())
    for colour, name in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return _OPENING.sub(r'<svg viewBox="\1" aria-hidden="true">', _NOT_WANTED.sub("", svg), count=1)


def describe(plot: Plot) -> str:
    """Return a plot as a figure: heading, drawing, and in words what it shows."""
    title, text = escape(plot.title), escape(plot.text)
    svg = plot.svg.replace(
        ' aria-hidden="true">', f' role="img"><title>{title}</title><desc>{text}</desc>', 1
    )
    return f"<figure><h4>{title}</h4>{svg}<figcaption>{text}</figcaption></figure>"
