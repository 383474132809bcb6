"""Airflow's local executor, with the SDK imported before its workers are forked.

Submitting, waiting and writing each need the SDK, whose import is a second of CPU: of ten shards end to end, a
third of all the time in tasks. A worker forked from a process that has it gets it for nothing. Only what others
wrote is imported here: the project's own code stays as it is in its files when the task starts, and pyarrow is
configured by the task.
"""

from __future__ import annotations

from importlib import import_module

from airflow.executors.local_executor import LocalExecutor


class WarmLocalExecutor(LocalExecutor):
    """A local executor whose tasks need not import the SDK."""

    def start(self) -> None:
        """Import, then start as usual."""
        import_module("airflow.providers.anthropic.hooks.anthropic")
        super().start()
