"""Plans for tests, made without articles."""

from __future__ import annotations

from typing import Any

from nightpress.costs.plan import Plan


def make_plan(**changes: Any) -> Plan:
    """Return a plan that sends ten articles for at most $2."""
    values: dict[str, Any] = {
        **dict.fromkeys(("pipeline", "day", "run", "source"), "x"),
        **dict.fromkeys(("articles", "to_send", "shards"), 10),
        **dict.fromkeys(("attached", "reused", "input_tokens_expected", "input_tokens_upper"), 0),
        **dict.fromkeys(("output_tokens_expected", "output_tokens_upper"), 0),
        **dict.fromkeys(("max_cost_usd", "approve_above_usd", "list_upper_usd"), None),
        **dict.fromkeys(("offline", "fresh", "plan_only"), False),
        "model": "claude-haiku-4-5",
        "max_tokens": 200,
        "rejected": {},
        "cost_expected_usd": 1.0,
        "cost_upper_usd": 2.0,
    }
    return Plan(**(values | changes))
