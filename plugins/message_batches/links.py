"""Links from a task to its results; Airflow shows them under the task's *Details*."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

CONSOLE = "https://platform.claude.com/workspaces/default/batches"


class TaskLink(BaseOperatorLink):
    """A link to an address that is known once the task has run.

    :param label: of the button; the operator keeps the address as ``<label>_url``, e.g. ``plan_url``.
    """

    def __init__(self, label: str) -> None:
        self._label = label

    @property
    def name(self) -> str:
        """Label of the button."""
        return self._label

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps the address, and the operator, too."""
        return f"{self._label.lower()}_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Return the address."""
        return getattr(operator, self.xcom_key, "")


def plan_url(pipeline: str, day: str, run: str) -> str:
    """Return the page of a plan, inside Airflow's UI.

    :param run: name of the run's folder.
    """
    return f"/nightpress/plans/{quote(pipeline)}/{quote(day)}/{quote(run, safe='')}"


def report_url(day: str) -> str:
    """Return the page of a day's report, inside Airflow's UI."""
    return f"/nightpress/reports/{day}"


def answers_url(pipeline: str, day: str) -> str:
    """Return where a published day's Parquet can be downloaded, inside Airflow's UI."""
    return f"/nightpress/answers/{quote(pipeline)}/{day}.parquet"


def receipt_url(pipeline: str, day: str) -> str:
    """Return where a day's receipt can be read, inside Airflow's UI."""
    return f"/nightpress/receipts/{quote(pipeline)}/{day}.json"


def comparison_url(comparison: str, day: str) -> str:
    """Return the page of a comparison, inside Airflow's UI."""
    return f"/nightpress/comparisons/{quote(comparison)}/{day}"


def batch_url(base_url: str, batch_id: str, offline: bool) -> str:
    """Return the page of a batch: on the offline API, or in the vendor's console."""
    return f"{base_url.rstrip('/')}/batches/{batch_id}" if offline else f"{CONSOLE}/{batch_id}"
