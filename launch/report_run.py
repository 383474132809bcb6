"""The report after ``nightpress run``: starts the DAG that an asset would trigger, and waits for it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from launch.airflow_api import AirflowApi, AirflowApiError
from launch.environment import LaunchError
from launch.instance import Instance
from launch.reporter import Reporter
from message_batches.command.console import local_path

DAG_ID = "daily_report"
TASK_ID = "write_report"
WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.3


def write(instance: Instance, day: str, reporter: Reporter) -> None:
    """Write the report of a published day and print its path, or why there is none.

    The day is published even without a report, so nothing is raised.
    """
    again = f"`nightpress report --day {day}` writes it without Airflow."
    try:
        uri = _run(instance, day, reporter)
    except (AirflowApiError, LaunchError) as error:
        reporter.status("")
        reporter.say(f"There is no report of {day}: {' '.join(str(error).split())[:300]}. {again}")
        return
    reporter.status("")
    reporter.say(f"Report: {local_path(uri)}")


def _run(instance: Instance, day: str, reporter: Reporter) -> str:
    """Run the DAG and return the path of the report."""
    api = instance.api
    try:
        api.set_paused(DAG_ID, False)
    except AirflowApiError as error:
        if error.status == 404:
            raise LaunchError(f"there is no DAG {DAG_ID}") from None
        raise
    run_id = api.trigger(DAG_ID, partition_key=day)
    reporter.status("writing the report")
    deadline = time.monotonic() + WAIT_SECONDS
    while (state := api.run(DAG_ID, run_id)["state"]) not in ("success", "failed"):
        instance.check()
        if time.monotonic() > deadline:
            raise LaunchError(f"its run is still {state} after {WAIT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    if state == "failed":
        raise LaunchError(_last_error(api, run_id) or "its task failed")
    written = api.xcom(DAG_ID, run_id, TASK_ID)
    if not isinstance(written, Mapping) or not written.get("report_uri"):
        raise LaunchError("its task returned nothing")
    return str(written["report_uri"])


def _last_error(api: AirflowApi, run_id: str) -> str | None:
    (task,) = api.task_instances(DAG_ID, run_id)
    return api.last_error(DAG_ID, run_id, TASK_ID, try_number=task.get("try_number") or 1)
