"""What of a second round is certain to fit the plan's upper bound, whatever it would cost by a new measure.

The plan's bound covers each request once, with all its ``max_tokens``, and may rest on tokens that the API counted.
Measured anew, by characters, the same requests may seem to cost more than all of the plan. So requests that were
not billed fit it by themselves, and only what is asked differently has to fit what the answers left unused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from nightpress.batches.ledger import Entry
from nightpress.costs.plan import Plan
from nightpress.costs.prices import find_prices
from nightpress.days.day_rows import ORIGIN
from nightpress.days.second_round import SecondRound
from nightpress.layout import DataRoot
from nightpress.parquet_files import read_parquet
from nightpress.shards.shard import Shard, ShardFiles

FindEntry: TypeAlias = Callable[[str], Entry | None]
"""Returns the ledger entry of a shard by its key."""


def billed_before(  # noqa: PLR0917 - called once
    again: Sequence[Shard],
    first: Sequence[Shard],
    chosen: SecondRound,
    plan: Plan | None,
    find_entry: FindEntry,
    root: DataRoot,
) -> dict[str, list[int]]:
    """Return by the reference of each shard which of its requests were, or may have been, billed before.

    Shards that the plan does not count are left out: a batch of another day that was not collected then.

    :param first: shards of the first round that the others were made of.
    """
    if plan is None:
        return {}
    entries = {shard.name: find_entry(shard.key) for shard in first if shard.name in chosen.picked}
    planned = {
        name
        for name, entry in entries.items()
        if entry
        and (
            name not in plan.uncounted
            if plan.uncounted is not None
            else (entry.pipeline, entry.day) == (plan.pipeline, plan.day)
        )
    }
    found = {}
    for shard in again:
        table = read_parquet(ShardFiles.beside(root.open(shard.uri)).articles, [*ORIGIN])
        origins = list(zip(table[ORIGIN[0]].to_pylist(), table[ORIGIN[1]].to_pylist(), strict=True))
        if all(name in planned for name, _ in origins):
            found[shard.uri] = [
                place
                for place, (name, ordinal) in enumerate(origins)
                if ordinal in chosen.billed.get(name, ())
            ]
    return found


def unused_output_usd(results: Sequence[Mapping[str, Any]], plan: Plan) -> float:
    """Return what the plan's bound certainly has left for the requests that were billed, in USD.

    It holds all the ``max_tokens`` of each; so at least the tokens that the answers did not use are left, whatever
    the requests without a bill will cost. It is 0 if the plan does not count all requests alike, or a cost is unknown.
    """
    prices = find_prices(plan.model)
    known = not any(result.get("unknown_cost_requests", 1) for result in results)
    if prices is None or plan.attached or plan.cost_upper_usd is None or not known:
        return 0.0
    billed = sum(result.get("billable_requests", 0) for result in results)
    used = sum(result["output_tokens"] for result in results)
    return float(max(billed * plan.request_max_tokens - used, 0) * prices.batch[0].output / 1e6)


def within_plan(
    again: Sequence[Shard],
    results: Sequence[Mapping[str, Any]],
    plan: Plan | None,
    extra_usd: Mapping[str, float],
    find_entry: FindEntry,
) -> list[Shard]:
    """Return the shards whose requests that were billed before fit what is left of the plan for them.

    Their other requests were not billed, so the plan's bound holds them. Nothing is added to what was chosen before.

    :param extra_usd: the most that the former may cost, by the reference of each shard.
    """
    if plan is None or plan.may_exceed_budget or any(find_entry(shard.key) is not None for shard in again):
        return []
    left, affordable = unused_output_usd(results, plan), []
    for shard in again:
        extra = extra_usd[shard.uri]
        if extra <= left:
            affordable.append(shard)
            left -= extra
    return affordable
