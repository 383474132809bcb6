"""The benchmarks as one SVG: each goal with its result, and each contender's time relative to ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from benchmarks.contest import Outcome, middle

_HELD, _MISSED, _OURS, _OTHER = "#2a7f62", "#c0392b", "#2a7f62", "#8a94a6"


def draw(outcomes: Sequence[Outcome]) -> str:
    """Return the drawing."""
    charts = [_goals(outcomes)]
    if contenders := list(_contenders(outcomes)):
        charts.append(_contest(contenders))
    # The renderer gets a plain specification that includes its data.
    svg: str = vl_convert.vegalite_to_svg(alt.vconcat(*charts, spacing=40).to_json())
    return svg


def _goals(outcomes: Sequence[Outcome]) -> alt.Chart:
    rows = [
        {
            "goal": f"{goal.name} ({'≥' if goal.at_least else '≤'} {goal.limit:g} {goal.unit})",
            # Share of the limit that is used: above 1 misses the goal, for minimums and maximums alike.
            "used": max(goal.limit / goal.measured if goal.at_least else goal.measured / goal.limit, 0.001),
            "held": goal.held,
        }
        for outcome in outcomes
        for goal in outcome.goals
        if goal.measured > 0
    ]
    bars = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("goal:N", sort=None, title=None, axis=alt.Axis(labelLimit=420)),
        x=alt.X("used:Q", scale=alt.Scale(type="log"), title="share of the goal used; beyond 1 it is missed"),
        color=alt.condition("datum.held", alt.value(_HELD), alt.value(_MISSED)),
    )
    line = alt.Chart(pd.DataFrame({"used": [1]})).mark_rule(strokeDash=[4, 3]).encode(x="used:Q")
    layers: alt.Chart = (bars.mark_point(filled=True, size=70) + line).properties(title="Goals", width=460)
    return layers


def _contenders(outcomes: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    for outcome in outcomes:
        if "ours" in outcome.measured and len(outcome.measured) > 1:
            ours = middle(outcome.measured, "ours")
            for name in outcome.measured:
                ratio = middle(outcome.measured, name) / ours
                yield {"benchmark": outcome.title, "name": name, "ratio": ratio, "ours": name == "ours"}


def _contest(rows: list[dict[str, Any]]) -> alt.Chart:
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("name:N", sort=None, title=None),
        x=alt.X("ratio:Q", scale=alt.Scale(type="log"), title="time against ours"),
        color=alt.condition("datum.ours", alt.value(_OURS), alt.value(_OTHER)),
    )
    chart: alt.Chart = (
        base.mark_point(filled=True, size=70)
        .properties(width=460)
        .facet(
            row=alt.Row(
                "benchmark:N",
                sort=None,
                title=None,
                header=alt.Header(labelAngle=0, labelAlign="left", labelOrient="top"),
            )
        )
        .resolve_scale(y="independent")
    )
    return chart
