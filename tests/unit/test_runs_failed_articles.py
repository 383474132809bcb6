"""What is sent once more, what the budget allows of it, and when a run stops for a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from nightpress.batches.ledger import Attempt, Entry, Ledger
from nightpress.costs.plan import Plan, second_round_upper
from nightpress.days.second_round import SecondRound
from nightpress.errors import AccountTroubleError
from nightpress.layout import DataRoot, run_folder_name
from nightpress.runs.account_pause import AccountTrouble, pause_once
from nightpress.runs.failed_articles import (
    Resend,
    collect_failures,
    paid_at_most,
    refused_articles,
    within_budget,
)
from nightpress.settings import ShardLimits
from nightpress.shards.shard import Shard
from tests.support.plans import make_plan

AGAIN = [Shard(f"runs/p/2026-11-22/one/requests-r2-0000{n}-00000.json", 10, 5_000, "k") for n in range(3)]


def plan(**changes: Any) -> Plan:
    return make_plan(cost_upper_usd=1.0, **changes)


def affordable(
    max_cost_usd: float | None, missing: int = 0, cost: float | None = 0.5, unsent: int = 0
) -> int:
    results = [{"cost_usd": cost, "articles": 5, "by_status": {"succeeded": 5, "missing": missing}}]
    return len(within_budget(AGAIN, AGAIN[:unsent], results, plan(max_cost_usd=max_cost_usd)))


def test_a_second_round_stays_within_the_budget() -> None:
    each = second_round_upper(plan(), 10, 5_000)
    assert affordable(None) == 3
    assert affordable(0.5 + 3 * each + 1e-9) == 3
    assert affordable(0.5 + 2.5 * each) == 2
    assert affordable(0.5) == 0
    # What is missing may have been billed: it counts as much as the plan said it might cost.
    assert affordable(0.5 + 3 * each + 1e-9, missing=1) == 0
    # Shards that were not submitted yet still cost; so does a batch whose price is not known.
    assert affordable(0.5 + 3 * each + 1e-9, unsent=1) == 2
    assert affordable(0.5 + 3 * each + 1e-9, cost=None) == 3
    assert affordable(0.5 - 1e-9, cost=None) == 0


def test_a_second_round_stays_within_the_plans_upper_bound_without_a_budget() -> None:
    each = second_round_upper(plan(), 10, 5_000)
    results = [{"cost_usd": 1.0 - 2.5 * each, "articles": 5, "by_status": {}}]
    assert len(within_budget(AGAIN, [], results, plan(settled_usd=0.0))) == 2
    # What was paid before the plan was made is no part of its upper bound.
    assert len(within_budget(AGAIN, [], results, plan(settled_usd=each))) == 3
    # A batch that exists already costs nothing more.
    sent = Entry(key="k", requests=10, bytes=5_000, batch_id="msgbatch_1")
    assert len(within_budget(AGAIN, [], results, plan(settled_usd=0.0), find_entry=lambda _: sent)) == 3


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]], ids=["sent first", "sent last"])
@pytest.mark.parametrize(
    ("run", "share", "allowed"),
    [
        ("one", None, 2),  # not collected yet: at most what it was planned to cost
        ("one", 0.9, 2),
        ("one", 0.0, 3),
        ("", 0.9, 2),
        ("of yesterday", 0.9, 3),  # another run's expense
    ],
)
def test_what_a_sent_shard_of_the_run_costs_is_not_left_for_others(
    run: str, share: float | None, allowed: int, order: list[int]
) -> None:
    each = second_round_upper(plan(), 10, 5_000)
    cost_usd = None if share is None else share * each
    again = [AGAIN[number] for number in order]
    entry = Entry(key="k", requests=10, bytes=5_000, batch_id="msgbatch_1", run=run, cost_usd=cost_usd)
    results = [{"cost_usd": 0.5, "articles": 5, "by_status": {}}]
    found = within_budget(
        again,
        [],
        results,
        plan(max_cost_usd=0.5 + 2.5 * each),
        find_entry=lambda shard: entry if shard is AGAIN[0] else None,
        run_folder=run_folder_name("one"),
    )
    assert AGAIN[0] in found
    assert len(found) == allowed


def test_shards_that_are_still_to_be_sent_count_at_their_own_bound() -> None:
    """Most articles of a cleared run are collected: an average over all of them is no bound for the others."""
    cleared = plan(to_send=10, attached=990, settled_usd=1.0)
    results = [{"cost_usd": 1.0, "articles": 990, "by_status": {}}]
    large = replace(AGAIN[0], uri=AGAIN[0].uri.replace("r2-", ""))
    for upper, allowed in ((0.1, 3), (0.9, 1), (1.0, 0)):
        found = within_budget(
            AGAIN, [large], results, cleared, lambda shard, upper=upper: upper if shard is large else 0.1
        )  # type: ignore[misc]
        assert len(found) == allowed


def test_a_request_of_unknown_cost_counts_though_the_plan_has_nothing_left_to_bill() -> None:
    result = {
        "cost_usd": None,
        "known_cost_usd": 0.1,
        "unknown_cost_requests": 2,
        "articles": 5,
        "by_status": {},
    }
    assert paid_at_most(result, make_plan(cost_upper_usd=0.0, request_upper_usd=0.3)) == pytest.approx(0.7)


def test_each_message_of_its_own_does_not_fill_the_log(tmp_path: Path) -> None:
    troubles = [
        AccountTrouble(f"Your credit balance is too low (no. {n})", "1 article") for n in range(5_000)
    ]
    with pytest.raises(AccountTroubleError, match="and 4,990 more messages") as caught:
        pause_once(UPath(tmp_path), troubles)
    assert len(str(caught.value)) < 2_000


KNOWN: dict[str, dict[str, Any]] = {
    "intended": {},
    "refused": {"attempts": (Attempt(number=1, at=0, deadline=0, outcome="refused"),)},
    "reply lost": {"attempts": (Attempt(number=1, at=0, deadline=0, outcome="lost"),)},
    "being sent": {"attempts": (Attempt(number=1, at=0, deadline=0),)},
    "submitted": {"batch_id": "msgbatch_1"},
    "collected": {"batch_id": "msgbatch_1", "answered": 3},
    "without an answer": {"batch_id": "msgbatch_1", "answered": 0},
}


@pytest.mark.parametrize("state", KNOWN)
def test_a_shard_that_the_ledger_knows_is_left_behind_for_no_plan(state: str) -> None:
    entry = Entry(key="k", requests=10, bytes=5_000, **KNOWN[state])
    results = [{"cost_usd": 2.0, "articles": 5, "by_status": {}}]
    spent = plan(settled_usd=0.0)
    assert within_budget(AGAIN[:1], [], results, spent) == []
    assert within_budget(AGAIN[:1], [], results, spent, find_entry=lambda _: entry) == AGAIN[:1]


@pytest.mark.parametrize("state", KNOWN)
def test_a_lowered_budget_sends_nothing_anew_and_hides_no_batch(state: str) -> None:
    entry = Entry(key="k", requests=10, bytes=5_000, **KNOWN[state])
    results = [{"cost_usd": 0.5, "articles": 5, "by_status": {}}]
    for spent in (plan(max_cost_usd=0.4), plan(max_cost_usd=0.5), plan(max_cost_usd=0.5, settled_usd=9.0)):
        found = within_budget(AGAIN[:1], [], results, spent, find_entry=lambda _: entry)
        if state in {"submitted", "collected"}:
            assert found == AGAIN[:1]
        elif state == "being sent":
            assert found == [replace(AGAIN[0], look_only=True)]
        else:
            assert found == []
    assert (
        within_budget(AGAIN[:1], [], results, plan(max_cost_usd=9.0), find_entry=lambda _: entry) == AGAIN[:1]
    )


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("HTTP 402 billing_error: Your credit balance is too low", "credit"),
        ("HTTP 400 invalid_request_error: Your credit balance is too low to access the API", "credit"),
        ("billing_error", "credit"),
        ("HTTP 400 invalid_request_error: You have reached your specified API usage limits", "limit"),
        ("HTTP 429 rate_limit_error: enforced_spend_limit_reached", "limit"),
        ("HTTP 429 budget_exceeded: Budget has been exceeded! Current cost: 5.0", "limit"),
        ("budget_exceeded: Budget has been exceeded! Current cost: 5.0", "limit"),
        ("payment_required: Insufficient credits.", "credit"),
        ("HTTP 400 organization_on_hold: x", "organization"),
        ("HTTP 401 authentication_error: invalid x-api-key", "key"),
        ("no credentials: x", "key"),
        ("HTTP 403 permission_error: x", "permission"),
        ("something new", "account"),
    ],
)
def test_the_cause_of_an_account_problem_is_told_from_what_the_api_says(reason: str, cause: str) -> None:
    assert AccountTrouble(reason, "2 shards").cause == cause


def test_a_run_stops_once_for_each_cause(tmp_path: Path) -> None:
    folder = UPath(tmp_path)
    credit, key = AccountTrouble("billing_error", "3 articles"), AccountTrouble("HTTP 401", "1 shard")
    assert pause_once(folder, []) is False
    with pytest.raises(AccountTroubleError, match=r"3 articles \(billing_error\)"):
        pause_once(folder, [credit])
    assert pause_once(folder, [credit]) is True
    with pytest.raises(AccountTroubleError, match=r"1 shard \(HTTP 401\)"):
        pause_once(folder, [credit, key])
    assert pause_once(folder, [key, credit]) is True


def test_shards_that_were_refused_stop_the_run_with_the_reason_and_are_sent_after_that(
    tmp_path: Path,
) -> None:
    root, ledger = DataRoot(UPath(tmp_path)), Ledger(UPath(tmp_path) / "ledger", "offline")
    shards = [Shard(f"runs/p/2026-11-22/one/requests-0000{n}.json", 10, 5_000, str(n) * 64) for n in range(2)]
    for shard in shards:
        said = f"HTTP 402 billing_error: pay (request req_{shard.key[:3]})"
        refused = Attempt(number=1, at=0, deadline=0, outcome="refused", detail=said)
        ledger.save(Entry(key=shard.key, requests=10, bytes=5_000, attempts=(refused,)))

    def collect() -> Resend:
        return collect_failures(shards, [], plan(max_cost_usd=1.0), ledger, root, ShardLimits())

    with pytest.raises(
        AccountTroubleError, match=r"2 shard\(s\) with 20 articles.*HTTP 402 billing_error: pay"
    ) as e:
        collect()
    assert e.value.code == "account_trouble"
    assert (collect().shards, collect().resumed) == (shards, True)


def test_a_run_without_shards_sends_nothing_again(tmp_path: Path) -> None:
    ledger = Ledger(UPath(tmp_path), "offline")
    assert collect_failures([], [], None, ledger, DataRoot(UPath(tmp_path)), ShardLimits()).shards == []


def chosen(**counts: int) -> SecondRound:
    return SecondRound(account={name: Counter({"billing_error": count}) for name, count in counts.items()})


def test_articles_that_the_account_kept_from_an_answer_are_counted_for_the_shards_that_are_asked_about() -> (
    None
):
    found = refused_articles(chosen(a=2, b=3), {"a", "c"})
    assert [(trouble.cause, trouble.effect) for trouble in found] == [
        ("credit", "2 articles were not answered")
    ]
    assert refused_articles(chosen(a=2), {"b"}) == []


def test_the_second_round_stops_a_run_for_the_same_cause_once_more(tmp_path: Path) -> None:
    folder, credit = UPath(tmp_path), AccountTrouble("billing_error", "3 articles")
    for stage, code in (("", "account_trouble"), ("second-round-", "account_trouble_again")):
        with pytest.raises(AccountTroubleError) as caught:
            pause_once(folder, [credit], stage=stage, code=code)
        assert caught.value.code == code
        assert pause_once(folder, [credit], stage=stage, code=code) is True


@pytest.mark.parametrize(
    ("result", "usd"),
    [
        ({"cost_usd": 0.5, "known_cost_usd": 0.5, "unknown_cost_requests": 0}, 0.5),
        ({"cost_usd": None, "known_cost_usd": 0.3, "unknown_cost_requests": 2}, 0.3 + 2 * 0.25),
        ({"cost_usd": None}, 5 * 0.1),
        ({"cost_usd": 0.5, "by_status": {"missing": 1}}, 0.5 + 0.1),
    ],
)
def test_what_is_not_known_counts_at_its_upper_bound(result: dict[str, Any], usd: float) -> None:
    shard = {"articles": 5, "by_status": {}} | result
    assert paid_at_most(shard, plan(request_upper_usd=0.25)) == pytest.approx(usd)


def test_without_a_price_nothing_unknown_fits_a_budget() -> None:
    unknown = make_plan(cost_upper_usd=None, max_cost_usd=1e9)
    assert within_budget(AGAIN, [], [{"cost_usd": None, "articles": 1, "by_status": {}}], unknown) == []
