"""Shards to a published day and its receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException

from message_batches import config, metrics
from message_batches.operators.references import as_list, results_of, tell_assets
from nightpress.layout import check_pipeline_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightpress.days.publish import DaySummary


_NUMBERS = ("articles", "succeeded", "failed", "rejected", "reused")


class PublishResultsOperator(BaseOperator):
    """Publish a day: one row for each article as one Parquet, replaced in one step, and its receipt.

    Returns the numbers of the day, and puts them into the asset event, if there is an outlet. A run
    without a partition key adds the day to the asset event itself.

    :param shards: what :class:`ReadArticlesOperator` returned; a shard without results is not overlooked.
    :param results: what :class:`WriteResultsOperator` returned for each of them.
    :param second_shards: what :class:`CollectFailuresOperator` returned, if there is a second round.
    :param second_results: what :class:`WriteResultsOperator` returned for each of those.
    :param plan: the XCom ``plan`` of :class:`ReadArticlesOperator`; without it, reused rows are not looked for.
    :param pipeline: name of the pipeline; the day is published under it.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    """

    template_fields: Sequence[str] = ("shards", "results", "second_shards", "second_results", "plan", "day")
    ui_color = "#dcf0e4"

    def __init__(
        self,
        *,
        shards: Any,
        results: Any,
        pipeline: str,
        second_shards: Any = None,
        second_results: Any = None,
        plan: Any = None,
        day: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shards = shards
        self.results = results
        self.second_shards = second_shards
        self.second_results = second_results
        self.plan = plan
        self.pipeline = check_pipeline_name(pipeline)
        self.day = day

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish the day, write its receipt and tell the asset."""
        with config.clear_failures():
            day = config.day_of_run(context, self.day or None)
            first, second = self._results_in_order()
            self._write_receipt(day, context["run_id"], [*first, *second], None)
            summary = self._publish(day, context["run_id"], first, second)
            receipt_uri = self._write_receipt(day, context["run_id"], [*first, *second], summary)
        self.log.info(
            "published %s: %s articles; receipt %s", summary.uri, f"{summary.articles:,}", receipt_uri
        )
        numbers = asdict(summary) | {"receipt_uri": receipt_uri}
        metrics.show_day(self.pipeline, numbers)
        tell_assets(self.outlets, context, day, numbers)
        return numbers

    def _publish(
        self, day: str, run_id: str, first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]
    ) -> DaySummary:
        from nightpress.days.day_sources import OFFLINE, TEMPLATE
        from nightpress.days.publish import publish_day
        from nightpress.days.reuse import reused_file

        plan = self.plan or {}
        folder = config.run_folder(self.pipeline, day, run_id)
        return publish_day(
            [ObjectStoragePath(result["uri"]) for result in first],
            config.published_day(self.pipeline, day),
            pipeline=self.pipeline,
            day=day,
            rejected=folder / "rejected.parquet",
            second=[ObjectStoragePath(result["uri"]) for result in second],
            reused=[reused_file(folder, number) for number in range(plan.get("reused_files", 0))],
            made_by={"run": run_id}
            | ({TEMPLATE: plan["template"], OFFLINE: "yes" if plan["offline"] else "no"} if plan else {}),
        )

    def _write_receipt(
        self, day: str, run_id: str, results: Sequence[dict[str, Any]], summary: DaySummary | None
    ) -> str:
        """Put what was paid on the day's receipt, and the numbers of the publication once there is one."""
        from nightpress.costs.receipt import batch_receipt, make_receipt, write_receipt
        from nightpress.settings import is_offline

        about: dict[str, Any] = {}
        if summary is not None:
            about = {
                "published_at": datetime.now(UTC),
                "template": (self.plan or {}).get("template", ""),
                "numbers": {name: getattr(summary, name) for name in _NUMBERS},
            }
        receipt = make_receipt(
            [batch_receipt(result, run_id) for result in results],
            pipeline=self.pipeline,
            day=day,
            run=run_id,
            offline=bool((self.plan or {}).get("offline")) or any(is_offline(r["batch_id"]) for r in results),
            wasted_usd=summary.wasted_usd if summary else 0.0,
            **about,
        )
        return str(write_receipt(receipt, config.data_root()))

    def _results_in_order(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the results of the shards, in their order, and those of the second round."""
        first = [str(results_of(reference["uri"])) for reference in as_list(self.shards)]
        again = [str(results_of(reference["uri"])) for reference in as_list(self.second_shards)]
        found = {result["uri"]: result for result in [*as_list(self.results), *as_list(self.second_results)]}
        missing = [uri for uri in [*first, *again] if uri not in found]
        if missing:
            raise AirflowFailException(
                f"{len(missing)} of {len(first) + len(again)} shards have no results (the first is {missing[0]}), so "
                "the day is not published. See their submit_batch tasks; when that is mended, clear them."
            )
        return [found[uri] for uri in first], [found[uri] for uri in again if uri not in first]
