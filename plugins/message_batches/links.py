"""Links from a task to what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

CONSOLE = "https://platform.claude.com/workspaces/default/batches"


class BatchLink(BaseOperatorLink):
    """From the submit task to its batch: in the vendor's console, or on the offline API's page."""

    @property
    def name(self) -> str:
        """Label of the button."""
        return "Batch"

    @property
    def xcom_key(self) -> str:
        """Where the link is kept."""
        return "batch_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Return the address that the task found out when it ran."""
        return getattr(operator, "batch_url", "")


class PlanLink(BaseOperatorLink):
    """From the task that read the articles to the plan it made."""

    @property
    def name(self) -> str:
        """Label of the button."""
        return "Plan"

    @property
    def xcom_key(self) -> str:
        """Where the link is kept."""
        return "plan_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Return the address that the task found out when it ran."""
        return getattr(operator, "plan_url", "")


def plan_url(pipeline: str, day: str, run: str) -> str:
    """Return the page of a plan, inside Airflow's UI.

    :param run: name of the run's folder.
    """
    return f"/nightpress/plans/{quote(pipeline)}/{quote(day)}/{quote(run, safe='')}"


class ReportLink(BaseOperatorLink):
    """From the task that wrote a day's report to the report, inside Airflow's UI."""

    @property
    def name(self) -> str:
        """Label of the button."""
        return "Report"

    @property
    def xcom_key(self) -> str:
        """Where the link is kept."""
        return "report_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Return the address that the task found out when it ran."""
        return getattr(operator, "report_url", "")


def report_url(day: str) -> str:
    """Return the page of a day's report, inside Airflow's UI."""
    return f"/nightpress/reports/{day}"


class ComparisonLink(BaseOperatorLink):
    """From the task that compared variants to the page of the comparison, inside Airflow's UI."""

    @property
    def name(self) -> str:
        """Label of the button."""
        return "Comparison"

    @property
    def xcom_key(self) -> str:
        """Where the link is kept."""
        return "comparison_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Return the address that the task found out when it ran."""
        return getattr(operator, "comparison_url", "")


def comparison_url(comparison: str, day: str) -> str:
    """Return the page of a comparison, inside Airflow's UI."""
    return f"/nightpress/comparisons/{quote(comparison)}/{day}"


def batch_url(base_url: str, batch_id: str, offline: bool) -> str:
    """Return the page of a batch."""
    return f"{base_url.rstrip('/')}/batches/{batch_id}" if offline else f"{CONSOLE}/{batch_id}"
