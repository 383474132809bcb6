"""Airflow's local executor, with the SDK imported before its workers are forked, and no try lost by haste.

Submitting, waiting and writing each need the SDK, whose import is a second of CPU: of ten shards end to end, a
third of all the time in tasks. A worker forked from a process that has it gets it for nothing. Only what others
wrote is imported here: the project's own code stays as it is in its files when the task starts, and pyarrow is
configured by the task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload
    from airflow.executors.workloads.types import WorkloadKey, WorkloadState
    from airflow.models.taskinstance import TaskInstance


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
        import_module("airflow.providers.anthropic.hooks.anthropic")
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
