"""What requests made by hand may cost: never below the bill, unknown where nothing bounds it, refused over a budget."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from nightpress.batches.ledger import Attempt, Entry, Ledger
from nightpress.batches.submission_records import Submitted, Wait
from nightpress.costs.prices import find_prices
from nightpress.errors import BudgetError, InputError, NightpressError
from nightpress.layout import DataRoot
from nightpress.runs.given_cost import GivenCost, GivenPlan
from nightpress.runs.given_requests import check_given_budget, plan_path, stage_requests
from nightpress.runs.shard_submission import Sender, send_shard
from nightpress.shards.requests import canonical_params
from tests.support.model_api import Clock, Crash, ModelApi, status_error

FOLDER = "runs/p/2026-11-22/one"
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}


def request(custom_id: str = "a-1", text: Any = "Hi there.", **changes: Any) -> dict[str, Any]:
    params = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": custom_id, "params": params | changes}


def plan_of(*requests: dict[str, Any]) -> GivenPlan:
    cost = GivenCost()
    for each in requests:
        cost.add(each["params"], canonical_params(each["params"]))
    return cost.plan()


def test_every_model_is_counted_at_its_own_price_and_every_answer_whole() -> None:
    many = [request(f"a{n}") for n in range(1_200)] + [request("b", model="claude-opus-5", max_tokens=4_000)]
    plan = plan_of(*many)
    assert (plan.requests, plan.models) == (1_201, {"claude-haiku-4-5": 1_200, "claude-opus-5": 1})
    assert plan.output_tokens_upper == 1_200 * 50 + 4_000
    haiku, opus = find_prices("claude-haiku-4-5"), find_prices("claude-opus-5")
    assert haiku and opus and plan.cost_upper_usd is not None and plan.input_tokens_upper is not None
    answers = (1_200 * 50 * haiku.batch[0].output + 4_000 * opus.batch[0].output) / 1e6
    assert answers < plan.cost_upper_usd < 4 * answers
    assert plan.input_tokens_upper > 1_201 * 4


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"text": [{"type": "text", "text": "What is it?"}, IMAGE]}, "sends image"),
        ({"text": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}, "sends document"),
        ({"text": [{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}]}, "sends image"),
        ({"system": [IMAGE]}, "sends image"),
        ({"text": [{"type": "container_upload"}]}, "sends container_upload"),
        ({"text": [7]}, "sends something unknown"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "as often as it likes"),
        ({"tools": [{"type": "code_execution_20250825", "name": "c"}]}, "as often as it likes"),
        ({"mcp_servers": [{"url": "https://example.org"}]}, "sets mcp_servers"),
        ({"container": "c"}, "sets container"),
        ({"speed": "fast"}, "sets speed"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "sets context_management"),
        ({"fallbacks": [{"model": "claude-fable-5-1"}]}, "sets fallbacks"),
        ({"inference_geo": "eu"}, "a place without a known price"),
        ({"text": {"type": "image"}}, "sends something unknown"),
        *(
            ({"tools": [{"type": "web_search_20260209", "max_uses": uses}]}, "as often as it likes")
            for uses in (-5, True, 2.0, "3", None)
        ),
        ({"model": "claude-sonnet-9"}, "price of claude-sonnet-9 is not known"),
    ],
)
def test_what_nothing_bounds_is_unknown_and_above_every_budget(changes: dict[str, Any], why: str) -> None:
    plan = plan_of(request("a"), request("b", **changes))
    assert plan.cost_upper_usd is None
    assert why in plan.unbounded
    plan.check_budget(None)
    with pytest.raises(BudgetError, match="is unclear"):
        plan.check_budget(10_000.0)


def test_text_in_blocks_and_own_tools_are_bounded() -> None:
    blocks = [{"type": "text", "text": "Hi."}, {"type": "tool_result", "tool_use_id": "t", "content": "x"}]
    tools = [{"name": "mine", "input_schema": {"type": "object"}}]
    plain = plan_of(request("a", blocks)).cost_upper_usd
    with_tools = plan_of(request("a", blocks, tools=tools)).cost_upper_usd
    cached = plan_of(request("a", [{**blocks[0], "cache_control": {"type": "ephemeral"}}] * 9)).cost_upper_usd
    assert plain and with_tools and cached
    assert plain < with_tools


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "claude-haiku-4.5"}, "did you mean 'claude-haiku-4-5'"),
        ({"max_tokens": 10**9}, "300,000 at most"),
        ({"max_tokens": 10**400}, "300,000 at most"),
        ({"messages": "Hi there."}, "are no list"),
    ],
)
def test_what_cannot_be_priced_is_refused_before_anything_is_staged(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    root = DataRoot(UPath(tmp_path))
    with pytest.raises(InputError) as caught:
        stage_requests([request("a", **changes)], root.open(FOLDER), root, "t")
    assert named in str(caught.value)
    assert "Hi there" not in str(caught.value)


def test_the_budget_holds_on_every_try_until_the_batch_is_paid_for(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    ledger = Ledger(root.ledger(), "offline")
    folder = root.open(FOLDER)
    shard = stage_requests([request(f"a{n}") for n in range(100)], folder, root, "t")
    upper = check_given_budget(shard, folder, "t", None, ledger).cost_upper_usd
    assert upper is not None
    for _ in range(2):
        shard = stage_requests([request("other")], folder, root, "t")
        with pytest.raises(BudgetError, match="100 requests may cost up to"):
            check_given_budget(shard, folder, "t", upper / 2, ledger)
    assert check_given_budget(shard, folder, "t", upper, ledger).requests == 100
    # Staged by a version that kept no plan.
    plan_path(folder, "t").unlink()
    with pytest.raises(BudgetError, match="earlier version"):
        check_given_budget(shard, folder, "t", upper, ledger)


@pytest.mark.parametrize(
    ("attempts", "refused"),
    [
        ((), True),
        (("refused",), True),
        (("lost",), True),
        (("refused", "open"), False),
        (("lost", "open"), False),
        (("open",), False),
    ],
)
def test_a_lower_budget_does_not_hide_a_batch_that_may_exist(
    tmp_path: Path, attempts: tuple[str, ...], refused: bool
) -> None:
    root = DataRoot(UPath(tmp_path))
    ledger = Ledger(root.ledger(), "offline")
    folder = root.open(FOLDER)
    shard = stage_requests([request("a")], folder, root, "t")
    posts = tuple(
        Attempt(number=number, at=0, deadline=0, outcome=outcome)
        for number, outcome in enumerate(attempts, start=1)
    )
    ledger.save(Entry(key=shard.key, requests=1, bytes=shard.bytes, attempts=posts))
    if refused:
        with pytest.raises(BudgetError, match="may cost up to"):
            check_given_budget(shard, folder, "t", 1e-9, ledger)
    else:
        check_given_budget(shard, folder, "t", 1e-9, ledger)


@pytest.mark.parametrize(
    "how", ["accept_then_drop", "accept_then_crash", "drop", "crash", "refuse", "accept"]
)
def test_after_a_cut_off_post_a_lower_budget_finds_the_batch_and_sends_nothing_new(
    tmp_path: Path, how: str
) -> None:
    root, clock = DataRoot(UPath(tmp_path)), Clock()
    api = ModelApi(clock, plan=[status_error(429) if how == "refuse" else how])
    ledger = Ledger(root.ledger(), api.scope)
    folder = root.open(FOLDER)

    def submit(budget: float | None) -> Submitted | Wait:
        shard = stage_requests([request("a")], folder, root, "t")
        plan = check_given_budget(shard, folder, "t", budget, ledger)
        return send_shard(
            shard,
            Sender("p", "one"),
            api,
            ledger,
            root,
            clock,
            check_before_post=lambda: plan.check_budget(budget),
        )

    with suppress(NightpressError, Crash):
        submit(None)
    posts = api.posts
    for batch in api.batches:
        batch.ended = True
    if api.batches:
        outcome = submit(1e-9)
        assert isinstance(outcome, Submitted)
        assert outcome.batch_id == api.batches[0].id
    else:
        with pytest.raises(BudgetError, match="may cost up to"):
            while isinstance(waited := submit(1e-9), Wait):
                clock.now = waited.until
    assert api.posts == posts, "nothing is sent over the budget"
    # The old budget continues where it was.
    while isinstance(waited := submit(1.0), Wait):
        clock.now = waited.until
    assert len(api.batches) == 1
