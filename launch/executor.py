"""Airflow's local executor; it imports what all tasks need before forking, and loses no try to a race.

A task opens the data root, so Airflow imports every provider's file systems (with the amazon provider, boto3); it makes
an array, so pyarrow imports pandas; and it may need the SDK. That is two thirds of a task's time. A worker forked from
a process that has them imported need not import them. By default only third-party packages are imported here: the
project's own code is read from its files when a task starts.
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
    If it comes back before the scheduler has read that the first process ended, the scheduler asks
    :meth:`has_task` whether the end belongs to the earlier process. Airflow 3.3.2's local executor forgets a task
    as soon as a worker has it, so the scheduler mistakes the old end for a crash and fails the try: an approval
    given at once would be requested again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._at_work: Counter[WorkloadKey] = Counter()

    def start(self) -> None:
        """Import, then start as usual."""
        # The same value as in the tasks that need it; pyarrow reads it once.
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
        self._at_work -= Counter((key,))  # drops counts of zero and below
        super().change_state(key, state, info, remove_running)

    def _process_workloads(self, workload_list: Sequence[ExecutorWorkload]) -> None:
        self._at_work.update(workload.key for workload in workload_list)
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]


def _import_all(package: str) -> None:
    """Import a package with all its modules, except those that are commands."""
    for found in walk_packages(import_module(package).__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            import_module(found.name)
