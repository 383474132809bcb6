"""Airflow's local executor, with what all tasks need imported before its workers are forked, and no try lost by haste.

A task opens the data root, which makes Airflow import every provider's file systems (with the amazon provider,
boto3), makes an array, which makes pyarrow import pandas, and may need the SDK: two thirds of a task's time. A worker
forked from a process that has them gets them for nothing. Of what is imported here, only what others wrote is imported
unasked: the project's own code stays as it is in its files when the task starts.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor
from airflow.sdk.io.fs import has_fs

from launch.environment import IMPORT_BEFORE_FORK

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload
    from airflow.executors.workloads.types import WorkloadKey, WorkloadState
    from airflow.models.taskinstance import TaskInstance


NEEDED_BY_TASKS = (
    "airflow.providers.anthropic.hooks.anthropic",
    "airflow.providers.standard.operators.hitl",
    "jinja2.nativetypes",
    "pandas",
    "pyarrow.compute",
    "pyarrow.parquet",
)


class WarmLocalExecutor(LocalExecutor):
    """A local executor whose tasks need not import the SDK, and that knows which of them it still runs.

    A task that waits (for a person's answer, for a trigger) ends its process and comes back under the same key.
    When it comes back before the scheduler has read that the first process ended, the scheduler asks
    :meth:`has_task` whether that end is an old one. Airflow 3.3.2's local executor forgets a task as soon as
    a worker has it, so the scheduler takes the old end for a death and fails the try: an approval given at once
    would be asked for again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._at_work: Counter[WorkloadKey] = Counter()

    def start(self) -> None:
        """Import, then start as usual."""
        # As the tasks that need it set it; pyarrow reads it once.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        for name in NEEDED_BY_TASKS:
            with suppress(ImportError):
                import_module(name)
        has_fs("file")  # imports the file systems of all providers
        for name in os.environ.get(IMPORT_BEFORE_FORK, "").split():
            _import_all(name)
        super().start()

    def has_task(self, task_instance: TaskInstance) -> bool:
        """Whether a process of this task is queued or has not ended."""
        return super().has_task(task_instance) or self._at_work[task_instance.key] > 0

    def change_state(
        self, key: WorkloadKey, state: WorkloadState, info: Any = None, remove_running: bool = True
    ) -> None:
        """Count the end of a process, then tell the scheduler as usual."""
        self._at_work -= Counter((key,))  # what comes to nothing, or below, is dropped
        super().change_state(key, state, info, remove_running)

    def _process_workloads(self, workload_list: Sequence[ExecutorWorkload]) -> None:
        self._at_work.update(workload.key for workload in workload_list)
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]


def _import_all(package: str) -> None:
    """Import a package with all its modules, but for those that are commands."""
    for found in walk_packages(import_module(package).__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            import_module(found.name)
