"""Which tasks the executor says it has, when one comes back before its first process was seen to have ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.state import TaskInstanceState

from launch.executor import WarmLocalExecutor

KEY = TaskInstanceKey("article_summaries", "approve_plan", "run", 1)
TASK: Any = SimpleNamespace(id="0", key=KEY)


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> WarmLocalExecutor:
    monkeypatch.setattr(LocalExecutor, "_process_workloads", lambda *_: None)
    return WarmLocalExecutor(parallelism=2)


def hand_out(executor: WarmLocalExecutor) -> None:
    workload: Any = SimpleNamespace(key=KEY)
    executor._process_workloads([workload])


def test_a_task_is_had_until_its_process_ends(executor: WarmLocalExecutor) -> None:
    assert not executor.has_task(TASK)
    hand_out(executor)
    assert executor.has_task(TASK)
    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert not executor.has_task(TASK)
    assert executor.event_buffer[KEY] == (TaskInstanceState.SUCCESS, None)


def test_the_end_of_an_old_process_is_not_the_end_of_the_new_one(executor: WarmLocalExecutor) -> None:
    hand_out(executor)
    hand_out(executor)
    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert executor.has_task(TASK)
    executor.change_state(KEY, TaskInstanceState.FAILED)
    assert not executor.has_task(TASK)


def test_an_end_that_is_told_twice_does_no_harm(executor: WarmLocalExecutor) -> None:
    hand_out(executor)
    executor.change_state(KEY, TaskInstanceState.FAILED)
    executor.change_state(KEY, TaskInstanceState.FAILED)
    assert not executor.has_task(TASK)
    hand_out(executor)
    assert executor.has_task(TASK)
