"""Send failed articles once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from message_batches import config
from message_batches.operators.references import as_list
from message_batches.remedies import fail_without_retry
from nightpress.settings import ShardLimits

if TYPE_CHECKING:
    from airflow.sdk import Context


class CollectFailuresOperator(BaseOperator):
    """Collect the articles of all shards that are sent again into a few new shards, and return their references.

    When the API rejects requests because of an account problem (key, credit, permission), the task fails once for
    each distinct cause, with one message for all shards; after it is cleared, it continues with the shards that were
    not sent and the articles that failed. A retry or a clear costs nothing, since it writes the same shards.

    :param shards: what :class:`ReadArticlesOperator` returned.
    :param results: what :class:`WriteResultsOperator` returned for the shards that were submitted.
    :param conn_id: Airflow connection of type ``anthropic``; its ledger tells why a shard was refused.
    :param plan: the XCom ``plan`` of :class:`ReadArticlesOperator`; what would exceed its budget is not sent again.
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

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Write the second round's shards, or pause."""
        from nightpress.costs.plan import read_plan
        from nightpress.runs.failed_articles import collect_failures
        from nightpress.runs.shard_submission import open_shard

        root = config.data_root()
        with fail_without_retry():
            resend = collect_failures(
                [open_shard(reference, root, context["run_id"]) for reference in as_list(self.shards)],
                as_list(self.results),
                read_plan(self.plan) if self.plan else None,
                config.open_ledger(config.connect(self.conn_id).scope),
                root,
                self.limits,
            )
        if resend.resumed:
            self.log.info("the run was stopped for an account problem and has been cleared; continuing")
        if resend.cut_off:
            self.log.warning(
                "%s answers were cut off by max_tokens: too many to send them again. Raise max_tokens and run again.",
                f"{resend.cut_off:,}",
            )
        if resend.over_budget:
            self.log.warning(
                "%s articles are not sent again: that might exceed max_cost_usd or the plan's upper bound. Run the day "
                "again, with a higher max_cost_usd if there is one: only they are sent.",
                f"{resend.over_budget:,}",
            )
        if resend.again:
            articles = sum(shard.articles for shard in resend.again)
            self.log.info("sending %s articles again: %s", f"{articles:,}", dict(resend.reasons))
        return [shard.to_reference() for shard in resend.shards]
