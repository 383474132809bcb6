"""Published days of several variants to one Parquet and one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from message_batches import config
from message_batches.links import TaskLink, comparison_url
from message_batches.operators.references import tell_assets
from message_batches.remedies import fail_without_retry
from nightpress.layout import check_pipeline_name

if TYPE_CHECKING:
    from airflow.sdk import Context


class WriteComparisonOperator(BaseOperator):
    """Put what several pipelines published for a day side by side: one row for each article, and a page.

    Running it again replaces both with what is published then. Returns where they are, and the numbers; they go
    into the asset event, too, if there is an outlet.

    :param comparison: its name; the files are named after it.
    :param variants: pipelines by the name of the variant, which is that of its column.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    """

    template_fields: Sequence[str] = ("day",)
    operator_extra_links = (TaskLink("Comparison"),)
    ui_color = "#e8e2f3"

    def __init__(
        self, *, comparison: str, variants: Mapping[str, str], day: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.comparison = check_pipeline_name(comparison)
        self.variants = {variant: check_pipeline_name(pipeline) for variant, pipeline in variants.items()}
        self.day = day
        self.comparison_url = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write both and tell the asset."""
        from nightpress.days.side_by_side import write_comparison
        from nightpress.reports.comparison.comparison_page import write_comparison_page

        with fail_without_retry():
            day = config.day_of_run(context, self.day or None)
            root = config.data_root()
            days = {variant: root.answers(pipeline, day) for variant, pipeline in self.variants.items()}
            target = root.comparison(self.comparison, day)
            articles = write_comparison(days, target, name=self.comparison, day=day, pipelines=self.variants)
            page = write_comparison_page(root, self.comparison, day)
        self.comparison_url = comparison_url(self.comparison, day)
        self.log.info("compared %s of %s: %s articles; %s", ", ".join(days), day, f"{articles:,}", page)
        numbers = {
            "uri": str(target),
            "page_uri": str(page),
            "day": day,
            "articles": articles,
            "variants": list(days),
        }
        tell_assets(self.outlets, context, day, numbers)
        return numbers
