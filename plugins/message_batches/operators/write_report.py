"""Published days to the report that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from message_batches import config
from message_batches.form_keys import check_run_keys
from message_batches.links import TaskLink, report_url
from message_batches.operators.references import tell_assets
from message_batches.remedies import fail_without_retry
from nightpress.errors import ConfigurationError
from nightpress.layout import check_pipeline_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from message_batches.lineage import Lineage


class WriteReportOperator(BaseOperator):
    """Write a day's report, over all pipelines that published the day, as one HTML file and as Markdown.

    Running it again replaces the report with what is true then. A day that nobody published gets a report
    that says so. Returns where the report is, and the day's numbers; they go into the asset event, too, if
    there is an outlet, and a run without a partition key adds the day to it itself.

    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param pipelines: names of the pipelines to report on (default: all that published the day).
    """

    template_fields: Sequence[str] = ("day",)
    operator_extra_links = (TaskLink("Report"),)
    ui_color = "#e8e2f3"

    def __init__(self, *, day: Any = None, pipelines: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(pipelines, str) or (pipelines is not None and not pipelines):
            raise ConfigurationError(
                f"pipelines is {pipelines!r}; a list of names such as ['article_summaries'] is needed, or None for all"
            )
        self.day = day
        self.pipelines = pipelines and [check_pipeline_name(name) for name in pipelines]
        self.report_url = ""
        self._told: tuple[str, list[str]] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the report and tell the asset."""
        from nightpress.reports.day.write_day_report import write_report

        with fail_without_retry():
            check_run_keys(self.get_dag(), context["dag_run"])
            day = config.day_of_run(context, self.day or None)
            written = write_report(
                config.data_root(), day, pipelines=self.pipelines, link=_public_url(report_url(day))
            )
        self.report_url = report_url(day)
        if not written.pipelines:
            self.log.warning("no pipeline has published %s; the report says so: %s", day, written.report_uri)
        else:
            self.log.info(
                "report of %s over %s: %s articles, %s answered, %s failed; %s",
                day,
                ", ".join(written.pipelines),
                f"{written.articles:,}",
                f"{written.succeeded:,}",
                f"{written.failed:,}",
                written.report_uri,
            )
        numbers = asdict(written)
        tell_assets(self.outlets, context, day, numbers)
        self._told = day, written.pipelines
        return numbers

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage | None:  # noqa: ARG002
        """Tell OpenLineage of the report and the answers it is about; the provider calls this."""
        from message_batches.lineage import written_report

        if self._told is None:
            return None
        (day, pipelines), root = self._told, config.data_root()
        return written_report([root.answers(name, day) for name in pipelines], root.report(day))


def _public_url(path: str) -> str:
    """Return a page's whole address, for messages that leave Airflow; empty when Airflow does not know its own."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}{path}" if base else ""
