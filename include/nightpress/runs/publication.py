"""Publish a run: order the results of its shards, write the day's file, and a receipt before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nightpress.costs.plan import Plan
from nightpress.costs.receipt import DayReceipt, batch_receipt, make_receipt
from nightpress.costs.receipt_files import write_receipt
from nightpress.days.day_sources import OFFLINE, TEMPLATE
from nightpress.days.publish import DayParts, DaySummary, Replacing, publish_day
from nightpress.days.second_round import judge
from nightpress.errors import ResultsError
from nightpress.folders import RunFolder
from nightpress.runs.account_pause import pause_once
from nightpress.runs.failed_articles import refused_articles, results_path
from nightpress.runs.run import Run
from nightpress.runs.unpublished_runs import others_may_publish
from nightpress.settings import is_offline
from nightpress.shards.shard import Shard
from nightpress.storage import StoragePath

DAG_ID = "dag_id"
"""Name in the file's metadata of the DAG that published it; who may read the DAG may read the file."""

RUN = "run"
"""Name in that metadata of the run that published the day."""

_NUMBERS = ("articles", "succeeded", "failed", "rejected", "reused")

ShardResult = Mapping[str, Any]
"""The result of collecting a shard, as plain values."""


@dataclass(frozen=True, slots=True)
class RunResults:
    """The results of a run's shards, in the order of the shards.

    :param second: results of the new shards of the second round.
    """

    first: Sequence[ShardResult]
    second: Sequence[ShardResult] = ()

    @property
    def both(self) -> list[ShardResult]:
        """The results of both rounds."""
        return [*self.first, *self.second]


@dataclass(frozen=True, slots=True)
class Publication:
    """A published day.

    :param receipt: path of the day's receipt.
    """

    summary: DaySummary
    receipt: StoragePath


def order_results(
    run: Run,
    shards: Sequence[Mapping[str, Any]],
    results: Sequence[ShardResult],
    second_shards: Sequence[Mapping[str, Any]] = (),
    second_results: Sequence[ShardResult] = (),
) -> RunResults:
    """Return the results of the shards in the order of the shards; every shard must have results.

    :param shards: references of the first round's shards.
    :param second_shards: references of the second round's shards, with first-round shards that it submitted.
    :raises ResultsError: a shard has no results, so the day is not published.
    """
    root = run.root
    first = [root.reference(results_path(reference["uri"], root)) for reference in shards]
    again = [root.reference(results_path(reference["uri"], root)) for reference in second_shards]
    found = {root.reference(root.open(result["uri"])): result for result in [*results, *second_results]}
    missing = [name for name in [*first, *again] if name not in found]
    if missing:
        raise ResultsError(
            f"{len(missing)} of {len(first) + len(again)} shards have no results (the first is {missing[0]}), so "
            f"the day is not published{_why(run, [*shards, *second_shards], missing)}",
            code="shards_without_results",
        )
    return RunResults([found[name] for name in first], [found[name] for name in again if name not in first])


def _why(run: Run, references: Sequence[Mapping[str, Any]], missing: Sequence[str]) -> str:
    """Return why shards have no results, from the API's messages in the ledger."""
    if run.ledger is None:
        return ""
    reasons = set()
    for reference in references:
        if run.root.reference(results_path(reference["uri"], run.root)) in missing:
            entry = run.ledger.load(reference["key"])
            if entry is not None and entry.batch_id is None and entry.attempts:
                reasons.add(entry.attempts[-1].detail)
    return f": {'; '.join(sorted(filter(None, reasons)))}" if any(reasons) else ""


def check_second_round(run: Run, results: RunResults) -> None:
    """Stop the run once if an account problem left articles of the second round unanswered.

    Publishing would leave them out although they only need credit. If a person continues without sending them
    again, the day is published as it is.

    :raises AccountTroubleError: a cause for which the run was not stopped at this stage.
    """
    open_rows = [result for result in results.second if result["by_status"].get("errored")]
    shards = [_shard_of(result) for result in open_rows]
    chosen = judge(zip(shards, (run.root.open(result["uri"]) for result in open_rows), strict=True))
    troubles = refused_articles(chosen, {shard.name for shard in shards})
    pause_once(run.folder, troubles, stage="second-round-", code="account_trouble_again")


def _shard_of(result: ShardResult) -> Shard:
    uri = str(result["uri"]).replace("/results-", "/requests-").removesuffix(".parquet") + ".json"
    return Shard(uri, int(result["articles"]), 0, str(result["key"]))


def publish_run(
    run: Run,
    results: RunResults,
    plan: Plan | None,
    clock: Callable[[], float],
    *,
    dag_id: str = "",
    replacing: Replacing | None = None,
) -> Publication:
    """Publish the day of a run, and write its receipt before and after.

    The first receipt records the payments even if the run dies then and the next run finds its answers; the
    second adds the numbers of the publication.

    :param plan: plan of the run; without it, reused rows are left out.
    :param clock: returns epoch seconds.
    :param dag_id: id of the DAG that publishes; stored in the file.
    :param replacing: rules for replacing a published day; None takes the defaults.
    :raises ResultsError: the published day would lose its answers.
    """
    write_receipt(_receipt(run, results, plan), run.root)
    made_by = {RUN: run.run_id} | ({DAG_ID: dag_id} if dag_id else {})
    if plan is not None:
        made_by |= {TEMPLATE: plan.template, OFFLINE: "yes" if plan.offline else "no"}
    root, files = run.root, RunFolder(run.folder)
    parts = DayParts(
        [root.open(result["uri"]) for result in results.first],
        files.rejected,
        [root.open(result["uri"]) for result in results.second],
        [files.reused(number) for number in range(plan.reused_files if plan else 0)],
        made_by,
    )
    summary = publish_day(root, run.pipeline, run.day, parts, replacing, contested=others_may_publish(run))
    receipt = _receipt(run, results, plan, summary, datetime.fromtimestamp(clock(), UTC))
    return Publication(summary, write_receipt(receipt, run.root))


def _receipt(
    run: Run,
    results: RunResults,
    plan: Plan | None,
    summary: DaySummary | None = None,
    published_at: datetime | None = None,
) -> DayReceipt:
    """Return the receipt of the run, with the numbers of the publication once there is one."""
    # Before it is published, the run says nothing of what its second round replaced, which it may have said before.
    about: dict[str, Any] = {"wasted_by_run": {}}
    if summary is not None:
        about = {
            "published_at": published_at,
            "template": plan.template if plan else "",
            "numbers": {name: getattr(summary, name) for name in _NUMBERS},
        }
    return make_receipt(
        [batch_receipt(result, run.run_id) for result in results.both],
        pipeline=run.pipeline,
        day=run.day,
        run=run.run_id,
        offline=bool(plan and plan.offline) or any(is_offline(result["batch_id"]) for result in results.both),
        wasted_usd=summary.wasted_usd if summary else 0.0,
        **about,
    )
