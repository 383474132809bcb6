"""Plots as inline SVG: no script, no fixed colours, with a title and a description for screen readers.

Colours are CSS variables of the page, so that one drawing works in light mode, dark mode and print.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import vl_convert

from nightpress.plain_text import Html, for_svg

WIDTH, HEIGHT = 300, 130
INK, SOFT, LINE, ACCENT, BAD, SECOND, QUIET = (f"#01020{number}" for number in range(3, 10))
"""Placeholder colours for the renderer; in the drawing they are replaced by the page's colours."""

HISTOGRAM_BINS = 24

_COLOURS = {
    INK: "ink",
    SOFT: "soft",
    LINE: "line",
    ACCENT: "accent",
    BAD: "bad",
    SECOND: "second",
    QUIET: "quiet",
}
_FONT = "system-ui, sans-serif"
_NOT_WANTED = re.compile(r' (?:role|aria-[a-z]+|pointer-events|class)="[^"]*"')
_OPENING = re.compile(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>")


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing: heading, description in words, and SVG."""

    title: str
    text: str
    svg: str


class Bar(NamedTuple):
    """A bar, with its name on the left and a text on the right."""

    name: str
    length: float
    text: str
    colour: str = ACCENT


def draw_bars(title: str, text: str, bars: Sequence[Bar]) -> Plot:
    """Draw bars one below the other.

    :param text: description of the plot in words.
    """
    data = [
        {"kind": for_svg(b.name[:40]), "n": b.length, "colour": b.colour, "text": for_svg(b.text)}
        for b in bars
    ]
    base = alt.Chart(pd.DataFrame(data)).encode(
        y=alt.Y("kind:N", sort=None, title=None, axis=alt.Axis(domain=False, ticks=False, labelLimit=140)),
        x=alt.X(
            "n:Q", title=None, axis=None, scale=alt.Scale(domain=[0, max(b.length for b in bars) * 1.45])
        ),
    )
    drawn = base.mark_bar(height=14).encode(color=alt.Color("colour:N", scale=None))
    labels = base.mark_text(align="left", dx=5, color=SOFT, fontSize=11).encode(text="text:N")
    return Plot(title, text, render_chart(drawn + labels, width=WIDTH - 90, height=26 * len(data) + 6))


def draw_histogram(bins: Iterable[Bin], x: str, y: str, colour: str) -> str:
    """Draw a histogram.

    :param x: what the values are.
    :param y: what is counted.
    """
    data = [{"low": each.low, "high": each.high, "n": each.count} for each in bins]
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
    return render_chart(chart)


def render_chart(chart: alt.Chart | alt.LayerChart, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """Return a chart as SVG in the page's colours."""
    spec = (
        chart.properties(width=width, height=height, background="transparent")
        .configure(font=_FONT, padding={"left": 8, "right": 4, "top": 2, "bottom": 2})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=SOFT,
            titleColor=SOFT,
            titleFontWeight="normal",
            labelFontSize=10.5,
            titleFontSize=10.5,
            domainColor=LINE,
            gridColor=LINE,
            tickColor=LINE,
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
    svg: str = vl_convert.vegalite_to_svg(_harmless(spec.to_dict()))
    for colour, name in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return _OPENING.sub(r'<svg viewBox="\1" aria-hidden="true">', _NOT_WANTED.sub("", svg), count=1)


def _harmless(part: Any) -> Any:
    """Return a specification without characters that XML forbids; they make the renderer end the process."""
    if isinstance(part, str):
        return for_svg(part)
    if isinstance(part, dict):
        return {for_svg(name): _harmless(value) for name, value in part.items()}
    return [_harmless(item) for item in part] if isinstance(part, list) else part


def figure_html(plot: Plot) -> Html:
    """Return a plot as a figure: heading, drawing and description."""
    start, _, rest = plot.svg.partition(' aria-hidden="true">')
    return Html(
        "<figure><h4>{0}</h4>{2}"
        ' role="img"><title>{0}</title><desc>{1}</desc>{3}<figcaption>{1}</figcaption></figure>'
    ).format(plot.title, plot.text, Html(start), Html(rest))


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of a histogram: values from ``low`` up to ``high``."""

    low: float
    high: float
    count: int


def histogram(values: Sequence[float], max_bins: int = HISTOGRAM_BINS) -> list[Bin]:
    """Count values in bins of equal width, a round number (1, 2 or 5 times a power of ten)."""
    if not values:
        return []
    low, high = min(values), max(values)
    width = _round_up((high - low) / max_bins) if high > low else max(1.0, abs(high) / 10)
    first = low // width
    counts = [0] * (int(high // width - first) + 1)
    for value in values:
        counts[int(value // width - first)] += 1
    return [
        Bin((first + place) * width, (first + place + 1) * width, number)
        for place, number in enumerate(counts)
    ]


def _round_up(width: float) -> float:
    power = 1.0
    while power > width:
        power /= 10
    while power * 10 <= width:
        power *= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= width)
