"""Clean-up after ``nightpress run``: its DAG is paused as before, and no unfinished run stays in the database.

A small file in the home records what to clean up. It is written before the DAG is unpaused, so that the next start
cleans up after a launcher that was killed at any point, before a scheduler could continue the old run.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from launch.airflow_api import AirflowApiError
from launch.instance import Instance


def _path(instance: Instance) -> Path:
    return instance.layout.home / "launch-run.json"


def exist(instance: Instance) -> bool:
    """Return whether a run needs clean-up."""
    return _path(instance).is_file()


def note(instance: Instance, dag_id: str, run_id: str) -> None:
    """Record what will need clean-up."""
    was_paused = bool(instance.api.dag(dag_id)["is_paused"])
    partial = _path(instance).with_suffix(".partial")
    partial.write_text(json.dumps({"dag_id": dag_id, "run_id": run_id, "was_paused": was_paused}))
    partial.replace(_path(instance))


def settle(instance: Instance, *, mark_failed: bool) -> list[str]:
    """Clean up, and return what was done.

    :param mark_failed: mark the run failed if it is not over, because it was interrupted.
    """
    try:
        kept = json.loads(_path(instance).read_text())
        dag_id, run_id = str(kept["dag_id"]), str(kept["run_id"])
    except (OSError, ValueError, KeyError):
        _path(instance).unlink(missing_ok=True)
        return []
    lines = []
    if kept.get("was_paused", True):
        with suppress(AirflowApiError):
            instance.api.set_paused(dag_id, True)
    if mark_failed and _is_open(instance, dag_id, run_id):
        instance.api.set_run_state(dag_id, run_id, "failed")
        lines.append(f"an earlier run was interrupted and is now marked failed: {run_id}")
    _path(instance).unlink(missing_ok=True)
    return lines


def _is_open(instance: Instance, dag_id: str, run_id: str) -> bool:
    try:
        return instance.api.run(dag_id, run_id)["state"] in ("queued", "running")
    except AirflowApiError as error:
        if error.status == 404:
            return False
        raise
