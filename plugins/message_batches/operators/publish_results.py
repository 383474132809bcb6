"""Publish a day and its receipt."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from message_batches import config, metrics
from message_batches.links import TaskLink, answers_url, receipt_url, report_url
from message_batches.operators.references import as_list, tell_assets
from message_batches.remedies import fail_without_retry
from nightpress.layout import check_pipeline_name
from nightpress.settings import DEFAULT_KEPT_PUBLICATIONS, DEFAULT_MIN_ANSWERED_SHARE

if TYPE_CHECKING:
    from airflow.sdk import Context

    from message_batches.lineage import Lineage
    from nightpress.costs.plan import Plan
    from nightpress.days.publish import DaySummary
    from nightpress.runs.publication import Publication
    from nightpress.runs.run import Run
    from nightpress.storage import StoragePath


class PublishResultsOperator(BaseOperator):
    """Publish a day: one row for each article as one Parquet, replaced in one step, and its receipt.

    Returns the numbers of the day, and puts them into the asset event, if there is an outlet. A run
    without a partition key adds the day to the asset event itself. A retry or a clear publishes the same day again and
    costs nothing.

    :param shards: what :class:`ReadArticlesOperator` returned; so that a shard without results is noticed.
    :param results: what :class:`WriteResultsOperator` returned for each of them.
    :param second_shards: what :class:`CollectFailuresOperator` returned, if there is a second round.
    :param second_results: what :class:`WriteResultsOperator` returned for each of those.
    :param plan: the XCom ``plan`` of :class:`ReadArticlesOperator`; without it, reused rows are not looked for.
    :param pipeline: name of the pipeline; the day is published under it.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param min_answered_share: 0 to 1, of the articles that must have an answer if the published day has any; with 0,
        one answer is enough.
    :param lose_answers: replace a published day that has answers, however few answers there are now; it is kept, and
        ``nightpress restore`` publishes it again.
    :param keep_publications: earlier publications of the day that are kept; 0 keeps none.
    :param conn_id: Airflow connection of type ``anthropic``, whose ledger tells why a shard has no results; None
        when that does not matter.
    """

    template_fields: Sequence[str] = (
        "shards",
        "results",
        "second_shards",
        "second_results",
        "plan",
        "day",
        "conn_id",
        "lose_answers",
    )
    operator_extra_links = (TaskLink("Answers"), TaskLink("Report"), TaskLink("Receipt"))
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
        conn_id: str | None = None,
        min_answered_share: float = DEFAULT_MIN_ANSWERED_SHARE,
        lose_answers: Any = False,
        keep_publications: int = DEFAULT_KEPT_PUBLICATIONS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.min_answered_share = min_answered_share
        self.lose_answers = lose_answers
        self.keep_publications = keep_publications
        self.shards = shards
        self.results = results
        self.second_shards = second_shards
        self.second_results = second_results
        self.plan = plan
        self.pipeline = check_pipeline_name(pipeline)
        self.day = day
        self.conn_id = conn_id
        self.answers_url = self.report_url = self.receipt_url = ""
        self._told: tuple[dict[str, Any], StoragePath, Plan | None] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish the day, write its receipt and tell the asset."""
        from nightpress.storage_leftovers import remove_leftovers

        with fail_without_retry():
            run, plan = self._run(context), self._read_plan()
            published = self._publish(run, plan, context["ti"].dag_id)
        day = run.day
        summary = published.summary
        self._warn_of_changed_types(summary)
        self._link_to(day)
        self.log.info(
            "published %s: %s articles; receipt %s", summary.uri, f"{summary.articles:,}", published.receipt
        )
        numbers = asdict(summary) | {"receipt_uri": str(published.receipt)}
        metrics.show_day(self.pipeline, numbers)
        tell_assets(self.outlets, context, day, numbers)
        if removed := remove_leftovers(run.root.path, time.time()):
            self.log.info("removed %d files and uploads that killed processes had left", removed)
        self._told = numbers, run.root.answers(self.pipeline, day), plan
        return numbers

    def _run(self, context: Context) -> Run:
        from nightpress.runs.run import Run

        day = config.day_of_run(context, self.day or None)
        ledger = config.open_ledger(config.connect(self.conn_id).scope) if self.conn_id else None
        return Run(self.pipeline, day, context["run_id"], config.data_root(), ledger)

    def _read_plan(self) -> Plan | None:
        from nightpress.costs.plan import read_plan

        return read_plan(self.plan) if self.plan else None

    def _publish(self, run: Run, plan: Plan | None, dag_id: str) -> Publication:
        """Publish the run's results; of them, only those that lie beside the run's own shards are read."""
        from nightpress.days.publish import Replacing
        from nightpress.runs.publication import check_second_round, order_results, publish_run
        from nightpress.runs.shard_submission import open_shard

        shards, second_shards = as_list(self.shards), as_list(self.second_shards)
        for reference in (*shards, *second_shards):
            open_shard(reference, run.root, run.run_id, run.pipeline)
        results = order_results(
            run, shards, as_list(self.results), second_shards, as_list(self.second_results)
        )
        check_second_round(run, results)
        replacing = Replacing(self.min_answered_share, bool(self.lose_answers), self.keep_publications)
        return publish_run(run, results, plan, time.time, dag_id=dag_id, replacing=replacing)

    def _warn_of_changed_types(self, summary: DaySummary) -> None:
        for name, change in summary.changed_types.items():
            self.log.warning(
                "column %s is %s, unlike the last published day: tell readers of several days which type it has",
                name,
                change,
            )

    def _link_to(self, day: str) -> None:
        self.answers_url, self.report_url = answers_url(self.pipeline, day), report_url(day)
        self.receipt_url = receipt_url(self.pipeline, day)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage | None:  # noqa: ARG002
        """Tell OpenLineage of the day's source, its answers and their cost; the provider calls this."""
        from message_batches.lineage import published_day

        return published_day(*self._told) if self._told else None
