"""The launcher against a real Airflow with a stand-in DAG: start, run, crash, stop, and nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running_airflow import COMPONENTS, PROJECT, STUB_DAGS, AirflowInstance, processes_with_home

pytestmark = pytest.mark.airflow
DAG = "article_summaries"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowInstance]:
    with AirflowInstance(tmp_path_factory.mktemp("instance"), dags=STUB_DAGS) as instance:
        yield instance


def test_unpausing_starts_no_scheduled_run(airflow: AirflowInstance) -> None:
    airflow.instance.wait_for_dag(DAG)
    airflow.api.set_paused(DAG, False)
    time.sleep(4)
    assert [run for run in airflow.api.runs(DAG) if run["run_type"] != "manual"] == []


def test_an_error_is_found_in_the_log_and_a_clear_runs_again(airflow: AirflowInstance) -> None:
    run_id = airflow.trigger(DAG, {"shards": 6, "fail": True}, "2026-11-21")
    slowest = 0.0
    while airflow.api.run(DAG, run_id)["state"] in {"queued", "running"}:
        # What a click in the UI does: while tasks start, it used to hang for as long as SQLite waits for a lock.
        begun = time.monotonic()
        airflow.api.set_paused(DAG, False)
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.1)
    assert slowest < 10
    assert airflow.wait(run_id)["state"] == "failed"
    error = airflow.api.last_error(DAG, run_id, "shard.write_results", map_index=0)
    assert error == "ValueError: the results of msgbatch_stub_0000 could not be written, as asked"
    cleared = airflow.api.clear(DAG, run_id, [("shard.submit_batch", 1)])
    assert [(task["task_id"], task["map_index"]) for task in cleared] == [("shard.submit_batch", 1)]


def test_stop_leaves_no_process(airflow: AirflowInstance) -> None:
    pids = airflow.pids()
    assert len(pids) > len(COMPONENTS)
    assert set(processes_with_home(airflow.home)) >= set(pids)
    airflow.stop()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert processes_with_home(airflow.home) == []


class Launcher:
    """``python -m launch`` in a process group of its own, as a terminal starts it."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.home = folder / "home"
        self.environment = environment = {
            **os.environ,
            "NIGHTPRESS_HOME": str(self.home),
            "NIGHTPRESS_ROOT": str(folder / "data"),
            "NIGHTPRESS_DAGS": str(STUB_DAGS),
            "ANTHROPIC_API_KEY": "test-key",
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        self.output = folder / "output.txt"
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "launch", *arguments],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def wait_for(self, text: str, seconds: float = 240) -> str:
        deadline = time.monotonic() + seconds
        while text not in (output := self.output.read_text()):
            assert self.process.poll() is None, output
            assert time.monotonic() < deadline, output
            time.sleep(0.1)
        return output

    def wait_until_gone(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while left := processes_with_home(self.home):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)


def test_a_killed_launcher_takes_all_with_it_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    arguments = ("run", "--articles", str(PROJECT), "--day", "2026-11-22")
    launcher = Launcher(tmp_path, *arguments)
    try:
        launcher.wait_for("waiting")
        launcher.process.kill()
        launcher.process.wait()
        launcher.wait_until_gone()
        left = json.loads((launcher.home / "launch-run.json").read_text())["run_id"]
        launcher = Launcher(tmp_path, *arguments)
        assert launcher.process.wait(300) == 0, launcher.output.read_text()
        output = launcher.output.read_text()
        assert f"an earlier run was interrupted and is now marked failed: {left}" in output
        assert "There is no report of 2026-11-22: there is no DAG daily_report." in output
        assert "Published 2026-11-22: /stub/article_summaries/day=2026-11-22/answers.parquet" in output
        assert not (launcher.home / "launch-run.json").exists()
        assert processes_with_home(launcher.home) == []
    finally:
        launcher.end()
