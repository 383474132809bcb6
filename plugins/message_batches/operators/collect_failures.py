"""Failures to a second round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException

from message_batches import config
from message_batches.operators.references import as_list, results_of
from nightpress.settings import ShardLimits

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightpress.shards.shard import Shard


class CollectFailuresOperator(BaseOperator):
    """Gather what is worth sending again from all shards into few new ones, and return their references.

    When the API refused for the account's sake (key, credit, permission), the task fails once, with one
    message; cleared after that, it goes on with the shards that were not sent and the articles that failed.

    :param shards: what :class:`ReadArticlesOperator` returned.
    :param results: what :class:`WriteResultsOperator` returned for the shards that were submitted.
    :param conn_id: Airflow connection of type ``anthropic``; its ledger tells why a shard was refused.
    :param plan: the XCom ``plan`` of :class:`ReadArticlesOperator`; what would go over its budget is not sent again.
    :param limits: when a new shard closes.
    """

    template_fields: Sequence[str] = ("shards", "results", "conn_id", "plan")
    ui_color = "#f0dcdc"

    def __init__(
        self,
        *,
        shards: Any,
        results: Any,
        conn_id: str = config.DEFAULT_CONN_ID,
        plan: Any = None,
        limits: ShardLimits | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shards = shards
        self.results = results
        self.conn_id = conn_id
        self.plan = plan
        self.limits = limits or ShardLimits()

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002
        """Write the second round's shards, or pause."""
        from nightpress.days.second_round import judge, write_second_round
        from nightpress.shards.shard import Shard

        with config.clear_failures():
            shards = [Shard.from_reference(reference) for reference in as_list(self.shards)]
            if not shards:
                return []
            written = {result["uri"] for result in as_list(self.results)}
            files = {shard.uri: results_of(shard.uri) for shard in shards}
            sent = [shard for shard in shards if str(files[shard.uri]) in written]
            unsent = [shard for shard in shards if shard not in sent]
            chosen = judge((shard, files[shard.uri]) for shard in sent)
            folder = ObjectStoragePath(shards[0].uri).parent
            if unsent or chosen.account:
                self._pause_once(folder, unsent, dict(chosen.account))
            again = write_second_round(chosen, sent, folder, self.limits)
            again = self._within_budget(again, unsent)
        if chosen.cut_off:
            self.log.warning(
                "%s answers were cut off by max_tokens; that many are not sent again. Raise max_tokens and run again.",
                f"{chosen.cut_off:,}",
            )
        if again:
            articles = sum(shard.articles for shard in again)
            self.log.info("sending %s articles again: %s", f"{articles:,}", dict(chosen.reasons))
        return [shard.to_reference() for shard in [*unsent, *again]]

    def _within_budget(self, again: Sequence[Shard], unsent: Sequence[Shard]) -> list[Shard]:
        """Return the shards that the run's budget bears; the others' articles stay as they ended."""
        from nightpress.costs.plan import read_plan, second_round_upper

        plan = read_plan(self.plan) if self.plan else None
        if plan is None or plan.max_cost_usd is None:
            return list(again)
        results = as_list(self.results)
        # What is missing may have been answered, and billed.
        open_articles = sum(result["by_status"].get("missing", 0) for result in results)
        open_articles += sum(shard.articles for shard in unsent)
        left = plan.max_cost_usd - sum(result["cost_usd"] or 0.0 for result in results)
        left -= open_articles * plan.upper_usd_each
        borne = []
        for shard in again:
            upper = second_round_upper(plan, shard.articles, shard.bytes)
            if upper <= left:
                borne.append(shard)
                left -= upper
        if dropped := sum(shard.articles for shard in again) - sum(shard.articles for shard in borne):
            self.log.warning(
                "%s articles are not sent again: that might go over max_cost_usd=%g. Raise it and run the day again: "
                "only they are sent.",
                *(f"{dropped:,}", plan.max_cost_usd),
            )
        return borne

    def _pause_once(
        self, folder: ObjectStoragePath, unsent: Sequence[Shard], account: dict[str, int]
    ) -> None:
        """Fail the first time, so that a person looks; go on when the task has been cleared."""
        from nightpress.storage import create_exclusively

        said = self._why_refused(unsent) if unsent else ""
        articles = sum(shard.articles for shard in unsent)
        parts = (
            [f"{len(unsent)} shard(s) with {articles:,} articles were not submitted ({said})"]
            if unsent
            else []
        )
        parts += [f"{count:,} articles ended with {kind}" for kind, count in account.items()]
        message = (
            f"the API refuses for the account's sake: {'; '.join(parts)}. What was answered is kept. Mend the key, "
            "the credit or the permission, then clear this task: the run goes on where it was."
        )
        if create_exclusively(folder / "paused.json", msgspec.json.encode({"message": message})):
            raise AirflowFailException(message)
        self.log.info("the run was paused for the account's sake and has been cleared; going on")

    def _why_refused(self, unsent: Sequence[Shard]) -> str:
        ledger = config.open_ledger(config.connect(self.conn_id).scope)
        entries = [ledger.load(shard.key) for shard in unsent]
        details = {entry.attempts[-1].detail for entry in entries if entry and entry.attempts}
        return "; ".join(sorted(details)) or "see their submit_batch tasks"
