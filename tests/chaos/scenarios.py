"""Scenarios of the chaos suite: articles, requests, faults, kills, and runs at the same time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from nightpress.models.catalogue import CATALOGUE
from nightpress.models.lookup import offered_ids

Rule = dict[str, Any]

PAUSE_SECONDS = 0.06
HANG_SECONDS = 1.3
"""Longer than a run waits for an answer."""

TYPICAL_STEPS = 450
"""Kills in random runs are drawn from this many steps; some come after the run has ended."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The model and parameters of the requests.

    :param us: inference in the US, set in the request.
    :param cached: with a system prompt long enough for most models' prompt cache.
    :param counted: the plan has the API count tokens.
    """

    model: str = "claude-haiku-4-5"
    max_tokens: int = 200
    thinking: str = "off"
    effort: str | None = None
    us: bool = False
    cached: bool = False
    counted: bool = False


PLAIN = Asked()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One case.

    :param repeat: arguments of ``python -m tests.chaos`` that repeat it.
    :param deaths: step at which the first, second, … start of the run is killed; None and later starts are not.
    :param company: ``alone``, ``two runs`` (other run id, same articles, same time) or ``orphan`` (the same
        run twice at the same time).
    :param again: at the end, another run of the same day follows.
    :param remembers: a killed run continues where it was; else everything is cleared.
    :param credit: USD on the account at the start, and what it is topped up by each time a run stops; after these it
        has no end. Empty: no end from the start.
    :param workspace_in_us: inference in the US is the workspace's own setting.
    :param lower_budget: after the first death the run is started with a budget that no article fits.
    :param sabotaged: the SDK's retries of a POST are on, so that the audit has something to find.
    """

    repeat: str
    articles: int = 6
    max_requests: int = 3
    rules: tuple[Rule, ...] = ()
    deaths: tuple[int | None, ...] = ()
    company: str = "alone"
    again: bool = False
    remembers: bool = True
    order: int = 1
    pause: float = PAUSE_SECONDS
    credit: tuple[str, ...] = ()
    sabotaged: bool = False
    lower_budget: bool = False
    asked: Asked = PLAIN
    workspace_in_us: bool = False


_ROWS = {"endpoint": "create", "kind": "rows", "count": 1, "errored": 0.34, "expired": 0.34}

FIXED: dict[str, Scenario] = {
    "second-round": Scenario("", rules=(_ROWS,)),
    "adopted": Scenario("", rules=({"endpoint": "create", "kind": "accept_then_drop", "count": 1},)),
    "resubmitted": Scenario("", rules=({"endpoint": "create", "kind": "status", "count": 1},)),
    "cleared": Scenario("", rules=(_ROWS,), remembers=False, again=True),
    "lower-budget": Scenario(
        "",
        articles=3,
        rules=({"endpoint": "create", "kind": "accept_then_drop", "count": 1},),
        remembers=False,
        lower_budget=True,
    ),
    "lower-budget-lost": Scenario(
        "",
        articles=3,
        rules=({"endpoint": "create", "kind": "drop", "count": 1},),
        remembers=False,
        lower_budget=True,
    ),
}
"""Fixed scenarios; each is killed at every one of its steps."""


ARTICLE_USD = 0.00003
"""Approximate cost of an article of a scenario."""


def credit_scenario(seed: int) -> Scenario:
    """Return a scenario whose credit runs out in the middle, perhaps several times, and comes back."""
    rng = random.Random(f"credit {seed}")
    articles = rng.randint(1, 12)
    amounts = [rng.uniform(0, 1.2 * articles) * ARTICLE_USD for _ in range(rng.randint(1, 3))]
    rules: list[Rule] = [rng.choice(_ON_CREATE)(rng) for _ in range(rng.choice([0, 0, 1]))]
    for rule in rules:
        rule["skip"] = rng.choice([0, 0, 1, 2])
        rule.setdefault("seed", rng.randint(0, 999))
    deaths = tuple(rng.randint(1, TYPICAL_STEPS) for _ in range(rng.choice([0, 0, 1, 2])))
    company = rng.choices(["alone", "two runs", "orphan"], [6, 2, 1])[0]
    return Scenario(
        f"--credit {seed}",
        articles=articles,
        max_requests=rng.choice([2, 3, 4]),
        rules=tuple(rules),
        deaths=deaths,
        company=company,
        # A run that stopped for lack of credit publishes what it has; another run completes the day.
        again=True,
        # Two simultaneous starts of a run do not share their record of finished tasks.
        remembers=company != "orphan" and rng.random() < 0.7,
        order=rng.randint(0, 999),
        pause=HANG_SECONDS + PAUSE_SECONDS
        if any(rule["kind"] == "hang" for rule in rules)
        else PAUSE_SECONDS,
        credit=tuple(f"{amount:.8f}" for amount in amounts),
    )


_ODD_ANSWERS = (
    "refusal",
    "refusal",
    "refusal_after_output",
    "context_window",
    "tool_use",
    "empty",
    "thinking_only",
    "redacted_thinking",
)
"""All but ``web_search`` and ``pause_turn``, which need requests with the API's own tools."""
_CATEGORIES = (None, "cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")


def priced_scenario(seed: int) -> Scenario:
    """Return a random or credit scenario with another model, thinking, geography, cache and odd answers."""
    rng = random.Random(f"priced {seed}")
    base = rng.choice([random_scenario, random_scenario, credit_scenario])(seed)
    model = CATALOGUE[rng.choice(offered_ids())]
    thinking = rng.choice(["off", "off", "auto"])
    without_thinking = thinking == "off" and model.off_max_effort
    efforts = [
        effort for effort in model.efforts if not without_thinking or effort in {"low", "medium", "high"}
    ]
    asked = Asked(
        model=model.id,
        max_tokens=rng.choice([200, 200, 12]),
        thinking=thinking,
        effort=rng.choice([None, None, *efforts]),
        us=model.geography and rng.random() < 0.25,
        cached=rng.random() < 0.3,
        counted=rng.random() < 0.5,
    )
    answers: list[Rule] = [
        {
            "endpoint": "create",
            "kind": "answers",
            "answer": rng.choice(_ODD_ANSWERS),
            "category": rng.choice(_CATEGORIES),
            "share": rng.choice([0.15, 0.34, 1.0]),
            "count": rng.randint(1, 4),
            "skip": rng.choice([0, 0, 1]),
            "seed": rng.randint(0, 999),
        }
        for _ in range(rng.choice([0, 1, 1, 2]))
    ]
    # The cost of an article depends on the model; a scenario's credit is meant for the cheapest.
    dearer = max((model.input_usd or 1.0), 0.1)
    return replace(
        base,
        repeat=f"--priced {seed}",
        asked=asked,
        rules=(*base.rules, *answers),
        workspace_in_us=rng.random() < 0.25,
        credit=tuple(f"{float(amount) * dearer:.8f}" for amount in base.credit),
    )


def at_step(name: str, step: int | None) -> Scenario:
    """Return a fixed scenario that is killed at a step."""
    return replace(FIXED[name], repeat=f"--point {name}:{step}", deaths=(step,))


def _status(endpoint: str, status: int, **more: Any) -> Callable[[random.Random], Rule]:
    return lambda rng: {
        "endpoint": endpoint,
        "kind": "status",
        "status": status,
        "count": rng.randint(1, 3),
        **more,
    }


def _plain(endpoint: str, kind: str, most: int = 2, **more: Any) -> Callable[[random.Random], Rule]:
    return lambda rng: {"endpoint": endpoint, "kind": kind, "count": rng.randint(1, most), **more}


def _rows(rng: random.Random) -> Rule:
    errors = ["api_error", "overloaded_error", "rate_limit_error", "timeout_error", "invalid_request_error"]
    errors += ["billing_error", "permission_error"]
    shares = [round(rng.choice([0.0, 0.0, 0.2, 0.33]), 2) for _ in range(3)]
    if not any(shares) or rng.random() < 0.1:
        shares = rng.choice([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.3, 0.3, 0.3]])
    names = dict(zip(("errored", "expired", "canceled"), shares, strict=True))
    return {
        "endpoint": "create",
        "kind": "rows",
        "count": rng.randint(1, 4),
        "error_type": rng.choice(errors),
        "seed": rng.randint(0, 999),
        **names,
    }


def _late(rng: random.Random) -> Rule:
    return {
        "endpoint": "create",
        "kind": "late_listing",
        "count": rng.randint(1, 4),
        "seconds": rng.choice([5, 30, 55]),
    }


_ON_CREATE = [
    _plain("create", "accept_then_drop"),
    _plain("create", "accept_then_drop"),
    _plain("create", "error_after_accept", status=500),
    _plain("create", "error_after_accept", status=502),
    _status("create", 500),
    _status("create", 503),
    _status("create", 429, retry_after=30),
    _status("create", 429),
    _status("create", 529),
    _status("create", 403),
    _status("create", 401),
    _status("create", 400),
    _plain("create", "drop"),
    _plain("create", "hang", 1, seconds=HANG_SECONDS),
    _plain("create", "hang", 1, seconds=HANG_SECONDS, when="after"),
    _late,
    _late,
    _rows,
    _rows,
    _rows,
]
_ON_READING = [
    _plain("retrieve", "not_found"),
    _status("retrieve", 500),
    _status("retrieve", 529),
    _plain("retrieve", "drop"),
    _status("list", 500),
    _status("list", 429, retry_after=20),
    _plain("list", "drop"),
    _plain("list", "not_found"),
    _plain("list", "hang", 1, seconds=HANG_SECONDS),
    _plain("results", "not_found"),
    _status("results", 500),
    _plain("results", "drop"),
    _plain("results", "cut_mid_line", 3),
    _plain("results", "cut_at_line", 3),
    _plain("results", "cut_compressed", 3),
    _plain("results", "missing_ids"),
    _plain("results", "repeated_ids"),
    _plain("results", "foreign_ids"),
    _plain("results", "malformed_lines", 1),
    _plain("results", "blank_lines"),
    _plain("results", "hang", 1, seconds=HANG_SECONDS),
]


def random_scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(seed)
    rules: list[Rule] = [rng.choice(_ON_CREATE)(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
    rules += [rng.choice(_ON_READING)(rng) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    for rule in rules:
        rule["skip"] = rng.choice([0, 0, 1, 2])
        rule.setdefault("seed", rng.randint(0, 999))
    deaths = tuple(rng.randint(1, TYPICAL_STEPS) for _ in range(rng.choice([0, 1, 1, 2, 3])))
    company = rng.choices(["alone", "two runs", "orphan"], [6, 2, 2])[0]
    if rng.random() < 0.15:
        # Only if a batch has no answers does another run send the same shard again.
        nothing = rng.choice([{"expired": 1.0}, {"canceled": 1.0}, {"errored": 1.0}])
        rules.append(
            {"endpoint": "create", "kind": "rows", "count": rng.randint(1, 3), "skip": rng.randint(0, 3)}
            | nothing
        )
        company = rng.choice(["alone", "two runs", "two runs", "orphan"])
    late_effects = any(rule["endpoint"] == "create" and rule["kind"] == "hang" for rule in rules)
    max_requests = rng.choice([2, 3, 4])
    return Scenario(
        f"--seed {seed}",
        articles=rng.randint(1, 4 * max_requests),
        max_requests=max_requests,
        rules=tuple(rules),
        deaths=deaths,
        company=company,
        again=rng.random() < 0.3,
        remembers=company != "orphan" and rng.random() < 0.7,
        order=rng.randint(0, 999),
        pause=HANG_SECONDS + PAUSE_SECONDS if late_effects else PAUSE_SECONDS,
    )
