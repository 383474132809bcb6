"""Choose what is sent after the first round: shards that were not submitted, and articles that failed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import inf
from typing import Any, TypeGuard

from nightpress.batches.ledger import Entry, Ledger
from nightpress.costs.plan import Plan, again_upper_usd, second_round_upper
from nightpress.days.second_round import SecondRound, judge, write_second_round
from nightpress.layout import DataRoot, run_folder_name
from nightpress.runs.account_pause import AccountTrouble, pause_once
from nightpress.runs.again_in_plan import FindEntry, billed_before, within_plan
from nightpress.settings import ShardLimits
from nightpress.shards.kept_bodies import DamagedBodyError, read_body
from nightpress.shards.requests import iter_params
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.storage import StoragePath

_REQUEST_ID = re.compile(r" \(request [^)]*\)")


@dataclass(frozen=True, slots=True)
class Resend:
    """The shards of the second round.

    :param unsent: shards of the first round that have no batch.
    :param again: new shards, made of the articles that failed.
    :param reasons: number of articles in ``again``, by reason.
    :param cut_off: answers truncated by ``max_tokens`` that are not sent again, because they are too many.
    :param over_budget: articles that are not sent again, because that might exceed the budget or the plan.
    :param resumed: True if the run was stopped for an account problem before and now continues.
    """

    unsent: Sequence[Shard] = ()
    again: Sequence[Shard] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    cut_off: int = 0
    over_budget: int = 0
    resumed: bool = False

    @property
    def shards(self) -> list[Shard]:
        """All shards to send, in order."""
        return [*self.unsent, *self.again]


def results_path(reference: str, root: DataRoot) -> StoragePath:
    """Return where the results of a shard are written.

    :param reference: reference of the shard's POST body; its file name identifies the shard.
    """
    return ShardFiles.beside(root.open(reference)).results


def collect_failures(  # noqa: PLR0917 - all are needed
    shards: Sequence[Shard],
    results: Sequence[Mapping[str, Any]],
    plan: Plan | None,
    ledger: Ledger,
    root: DataRoot,
    limits: ShardLimits,
) -> Resend:
    """Write the articles that are worth sending again into new shards, and add the shards that were not submitted.

    :param shards: of the first round, in order.
    :param results: results of collecting them; a shard without results was not submitted.
    :param plan: plan of the run; articles that would exceed its budget are left out. None has no budget.
    :param limits: size limits of a new shard.
    :raises AccountTroubleError: an account problem for which the run was not stopped before.
    :raises ResultsError: the files of a shard are not what was sent.
    """
    if not shards:
        return Resend()
    written = {root.reference(root.open(result["uri"])) for result in results}
    files = {shard.uri: results_path(shard.uri, root) for shard in shards}
    sent = [shard for shard in shards if root.reference(files[shard.uri]) in written]
    unsent = [shard for shard in shards if shard not in sent]
    folder = root.open(shards[0].uri).parent
    # Each entry is two files, and is needed up to four times.
    find_entry = cache(ledger.load)
    mine = {shard.name for shard in sent if _run_of(find_entry(shard.key)) in {None, folder.name}}
    chosen = judge(((shard, files[shard.uri]) for shard in sent), {shard.name for shard in sent} - mine)
    resumed = pause_once(folder, [*_refused_shards(unsent, find_entry), *refused_articles(chosen, mine)])
    again = [_relative(shard, folder, root) for shard in write_second_round(chosen, sent, folder, limits)]
    billed = billed_before(again, sent, chosen, plan, find_entry, root)
    affordable = within_budget(
        again,
        unsent,
        results,
        plan,
        lambda shard: upper_usd_of_sending(shard, plan, root),
        lambda shard: find_entry(shard.key),
        folder.name,
        [shard for shard in again if billed.get(shard.uri) == []],
    )
    if len(affordable) < len(again):
        extra = {shard.uri: upper_usd_of_sending(shard, plan, root, billed.get(shard.uri)) for shard in again}
        by_plan = within_plan(again, results, plan, extra, find_entry)
        affordable = max(affordable, by_plan, key=_articles)
    return Resend(
        unsent,
        affordable,
        dict(chosen.reasons),
        chosen.cut_off,
        over_budget=_articles(again) - _articles(affordable),
        resumed=resumed,
    )


def within_budget(  # noqa: PLR0917 - all are needed
    again: Sequence[Shard],
    unsent: Sequence[Shard],
    results: Sequence[Mapping[str, Any]],
    plan: Plan | None,
    upper_usd: Callable[[Shard], float] | None = None,
    find_entry: Callable[[Shard], Entry | None] | None = None,
    run_folder: str = "",
    not_billed: Collection[Shard] = (),
) -> list[Shard]:
    """Return the shards that fit the rest of the run's budget and of its plan's upper bound, in order.

    The plan's bound covers each request once, so requests that were sent without being billed always fit it: to
    measure them anew would give a higher bound than the plan's, which may rest on counted tokens.

    Paid amounts count. Missing articles may have been answered and billed, so they count at the plan's upper
    bound. Shards that were not submitted yet count at their own: the plan's average is no bound for one of them.

    A shard in the ledger was chosen before and fitted the plan then, so only the budget is checked, which may
    be lower now. A shard with a batch is always kept, and what this run paid for it is no longer left for the
    others. If a run was killed in a POST, a batch may exist that its entry does not name: such a shard is kept,
    above the budget only to look for that batch.

    :param upper_usd: returns the most that sending a shard may cost; None computes it from the shard's size.
    :param find_entry: returns the ledger entry of a shard.
    :param run_folder: name of the run's folder; batches that another run sent are not its expense.
    :param not_billed: of the shards, those that hold only such requests, and whose requests the plan counted.
    """
    if not again or plan is None or plan.ceiling_usd == inf:
        return list(again)
    upper_usd = upper_usd or (lambda shard: second_round_upper(plan, shard.articles, shard.bytes))
    entries = [find_entry(shard) if find_entry else None for shard in again]
    spent = sum(paid_at_most(result, plan) for result in results)
    promised = plan.cost_upper_usd is not None and not plan.may_exceed_budget
    covered = [
        shard
        for shard, entry in zip(again, entries, strict=True)
        if promised and shard in not_billed and not _has_paid_batch(entry)
    ]
    spent += sum(map(upper_usd, [*unsent, *covered]))
    for shard, entry in zip(again, entries, strict=True):
        if _has_paid_batch(entry) and _run_of(entry) in {None, run_folder}:
            spent += upper_usd(shard) if entry.cost_usd is None else entry.cost_usd
    budget = (inf if plan.max_cost_usd is None else plan.max_cost_usd) - spent
    left = plan.ceiling_usd - spent
    affordable = []
    for shard, entry in zip(again, entries, strict=True):
        if _has_paid_batch(entry) or shard in covered:
            affordable.append(shard)
            continue
        sent = entry is not None and entry.batch_id is None and entry.may_have_batch
        upper = upper_usd(shard)
        # Tolerate rounding errors.
        fits = upper <= max(left if entry is None else budget, 0.0) + 1e-12
        if fits or sent:
            affordable.append(shard if fits else replace(shard, look_only=True))
            left, budget = (-inf if upper == inf else amount - upper for amount in (left, budget))
    return affordable


def _has_paid_batch(entry: Entry | None) -> TypeGuard[Entry]:
    """Return whether a shard has a batch; one without any answer cost nothing, and its shard may be sent again."""
    return entry is not None and entry.batch_id is not None and entry.answered != 0


def upper_usd_of_sending(
    shard: Shard, plan: Plan | None, root: DataRoot, places: Sequence[int] | None = None
) -> float:
    """Return the most that sending a shard may cost, in USD; infinite when its body is gone.

    :param places: only these of its requests; None takes all.
    """
    if plan is None:
        return 0.0
    try:
        params = list(iter_params(read_body(root.open(shard.uri))))
        return again_upper_usd(plan, params if places is None else [params[place] for place in places])
    except (FileNotFoundError, DamagedBodyError):
        return inf


def paid_at_most(result: Mapping[str, Any], plan: Plan) -> float:
    """Return the most that a shard cost; an unknown amount counts at the plan's upper bound, never as 0.

    :param result: result of collecting the shard; for earlier versions, missing articles count as unknown.
    """
    cost = result["cost_usd"]
    unknown = result.get("unknown_cost_requests")
    if unknown is not None:
        each = plan.request_upper_usd if plan.request_upper_usd is not None else plan.upper_usd_each
        return float(result["known_cost_usd"]) + (unknown * each if unknown else 0.0)
    if cost is None:
        return float(result["articles"] * plan.upper_usd_each)
    missing = result["by_status"].get("missing", 0)
    return float(cost) + (missing * plan.upper_usd_each if missing else 0.0)


def _refused_shards(unsent: Sequence[Shard], find_entry: FindEntry) -> list[AccountTrouble]:
    """Return why shards were not submitted, from the API's messages in the ledger."""
    articles: Counter[str] = Counter()
    shards: Counter[str] = Counter()
    for shard in unsent:
        entry = find_entry(shard.key)
        reason = entry.attempts[-1].detail if entry and entry.attempts else "no reason is recorded"
        # Each refusal has its own request id; without it, equal reasons are grouped.
        reason = _REQUEST_ID.sub("", reason)
        articles[reason] += shard.articles
        shards[reason] += 1
    return [
        AccountTrouble(reason, f"{shards[reason]} shard(s) with {count:,} articles were not submitted")
        for reason, count in sorted(articles.items())
    ]


def refused_articles(chosen: SecondRound, names: Collection[str]) -> list[AccountTrouble]:
    """Return the account problems because of which articles of some shards were not answered.

    :param names: names of the shards. For its first round, a run leaves out shards that another run
        submitted: their problem may be solved, and failed articles are sent again anyway.
    """
    articles: Counter[str] = Counter()
    for name in names:
        articles.update(chosen.account.get(name, {}))
    return [
        AccountTrouble(reason, f"{count:,} articles were not answered")
        for reason, count in sorted(articles.items())
    ]


def _run_of(entry: Entry | None) -> str | None:
    """Return the folder name of the run that submitted a shard; None if unknown."""
    return run_folder_name(entry.run) if entry is not None and entry.run else None


def _relative(shard: Shard, folder: StoragePath, root: DataRoot) -> Shard:
    uri = root.reference(ShardFiles(folder, shard.name).requests)
    return replace(shard, uri=uri)


def _articles(shards: Sequence[Shard]) -> int:
    return sum(shard.articles for shard in shards)
