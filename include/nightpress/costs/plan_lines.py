"""A plan in words, shown in the same way in a log, in the terminal, in the approval and on its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nightpress.costs.money import dollars
from nightpress.costs.plan import ModelCost, Plan

_CHEAPER_SHOWN = 3


class PlanLine(NamedTuple):
    """One fact of a plan."""

    name: str
    value: str


class Section(NamedTuple):
    """Facts that belong together."""

    title: str
    lines: Sequence[PlanLine]


def plan_sections(plan: Plan) -> list[Section]:
    """Return all facts of a plan, for its page."""
    sections = [
        Section("Articles", _article_lines(plan)),
        Section("Money", _money_lines(plan)),
        Section("Requests", _request_lines(plan)),
    ]
    if plan.other_models:
        lines = [PlanLine(other.model, _cost(other)) for other in plan.other_models]
        sections.append(Section("The same run with another model", lines))
    return sections


def plan_lines(plan: Plan) -> list[PlanLine]:
    """Return the facts that a decision needs, for a log, the terminal and the approval."""
    cheaper = [
        other
        for other in plan.other_models
        if plan.cost_upper_usd is not None
        and other.upper_usd is not None
        and other.upper_usd < plan.cost_upper_usd
    ]
    return [
        *_article_lines(plan),
        PlanLine("model", f"{plan.model}, {_answer_tokens(plan)}"),
        *([PlanLine("each request", plan.asks)] if plan.asks else []),
        PlanLine("input tokens", _range(plan.input_tokens_expected, plan.input_tokens_upper)),
        PlanLine("output tokens", _range(plan.output_tokens_expected, plan.output_tokens_upper)),
        *_money_lines(plan),
        *(PlanLine(f"with {other.model}", _cost(other)) for other in cheaper[:_CHEAPER_SHOWN]),
        PlanLine("verdict", plan.verdict),
    ]


def _article_lines(plan: Plan) -> list[PlanLine]:
    lines = [
        PlanLine("articles", f"{plan.articles:,}"),
        PlanLine("  to send", f"{plan.to_send:,} in {plan.shards:,} shard(s)"),
        PlanLine("  submitted before", f"{plan.attached:,}"),
        PlanLine("  reused", f"{plan.reused:,}"),
    ]
    if plan.cut:
        lines.append(PlanLine("  cut at max_content_chars", f"{plan.cut:,}"))
    lines.append(PlanLine("rejected rows", f"{sum(plan.rejected.values()):,}"))
    return lines + [PlanLine(f"  {reason}", f"{count:,}") for reason, count in plan.rejected.items()]


def _money_lines(plan: Plan) -> list[PlanLine]:
    room = plan.room_upper_usd
    return [
        PlanLine(
            "cost", f"{dollars(plan.cost_expected_usd)} expected, {dollars(plan.cost_upper_usd)} at most"
        ),
        *([PlanLine("  of that, room for thinking", f"{dollars(room)} at most")] if room else []),
        PlanLine("at list price", f"{dollars(plan.list_upper_usd)} at most"),
        PlanLine("budget", "none" if plan.max_cost_usd is None else dollars(plan.max_cost_usd)),
        PlanLine(
            "approval above",
            "never asked" if plan.approve_above_usd is None else dollars(plan.approve_above_usd),
        ),
    ]


def _request_lines(plan: Plan) -> list[PlanLine]:
    return [
        PlanLine("model", plan.model),
        PlanLine("each request", plan.asks or "\N{EN DASH}"),
        PlanLine("tokens of an answer", _answer_tokens(plan)),
        PlanLine("thinking", plan.thinking),
        PlanLine("effort", plan.effort or "the model's own"),
        *([PlanLine("betas", ", ".join(plan.betas))] if plan.betas else []),
        PlanLine("input tokens", _range(plan.input_tokens_expected, plan.input_tokens_upper)),
        PlanLine("output tokens", _range(plan.output_tokens_expected, plan.output_tokens_upper)),
        PlanLine("fresh answers asked for", "yes" if plan.fresh else "no"),
        PlanLine("source", plan.source or "\N{EN DASH}"),
        PlanLine("plan only, nothing is sent", "yes" if plan.plan_only else "no"),
        PlanLine("run", plan.run),
    ]


def _answer_tokens(plan: Plan) -> str:
    room = f", and {plan.room_tokens:,} of room for thinking" if plan.room_tokens else ""
    return f"at most {plan.max_tokens:,} tokens an answer{room}"


def _range(expected: int, upper: int) -> str:
    return f"{expected:,} expected, {upper:,} at most"


def _cost(other: ModelCost) -> str:
    return f"{dollars(other.expected_usd)} expected, {dollars(other.upper_usd)} at most"
