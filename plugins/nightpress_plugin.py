"""Registers with Airflow what Nightpress adds to it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from message_batches.links import BatchLink


class NightpressPlugin(AirflowPlugin):
    """Links from tasks to their batches."""

    name = "nightpress"
    operator_extra_links = [BatchLink()]  # noqa: RUF012
