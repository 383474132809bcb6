"""The DAG files: they load cheaply, say what they do, and are the declaration they should be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.prompts import SUMMARY_PROMPT

PROJECT = Path(__file__).resolve().parents[2]
DAGS = sorted((PROJECT / "dags").glob("*.py"))
HEAVY = ("pandas", "pyarrow", "anthropic", "numpy", "genai_prices", "altair", "vl_convert")

DESCRIBE = """
import json, runpy, sys
from airflow.sdk import DAG
before = set(sys.modules)
loaded = runpy.run_path(sys.argv[1])
(dag,) = [value for value in loaded.values() if isinstance(value, DAG)]
print(json.dumps({
    "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "params": {name: dag.params.get_param(name).description for name in dag.params},
    "paused": dag.is_paused_upon_creation, "catchup": dag.catchup, "tags": sorted(dag.tags), "doc": dag.doc_md or "",
    "inlets": {task.task_id: [asset.name for asset in task.inlets] for task in dag.tasks if task.inlets},
    "schedule": type(dag.timetable).__name__,
    "follows": [asset.name for asset in dag.timetable.asset_condition.objects]
    if hasattr(dag.timetable.asset_condition, "objects") else getattr(dag.timetable.asset_condition, "name", None),
    "max_active_runs": dag.max_active_runs,
    "outlets": {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets},
    "imported": sorted(set(sys.modules) - before),
}))
"""


def describe(path: Path, home: Path) -> dict[str, object]:
    environment = {
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}",
        "AIRFLOW_HOME": str(home),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    described: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return described


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_a_dag_file_is_a_short_documented_declaration(path: Path, tmp_path: Path) -> None:
    assert 25 <= len(path.read_text().splitlines()) <= 60
    dag = describe(path, tmp_path)
    assert dag["doc"]
    # What spends waits for a person; the report costs nothing, and is wanted as soon as a day is published.
    assert dag["paused"] is (path.stem != "daily_report")
    assert dag["catchup"] is False
    assert "nightpress" in dag["tags"]
    params = dag["params"]
    assert isinstance(params, dict)
    assert all(params.values())
    imported = dag["imported"]
    assert isinstance(imported, list)
    assert [name for name in HEAVY if name in imported] == []


def test_the_pipeline_is_the_one_of_the_design(tmp_path: Path) -> None:
    dag = describe(PROJECT / "dags" / "article_summaries.py", tmp_path)
    tasks = dag["tasks"]
    assert isinstance(tasks, dict)
    steps = ("submit_batch", "wait_for_batch", "write_results")
    groups = {f"{group}.{step}" for group in ("shard", "second_round") for step in steps}
    assert tasks.keys() == {"read_articles", "approve_plan", "collect_failures", "publish"} | groups
    assert "shard.wait_for_batch" in tasks["shard.submit_batch"]
    assert "publish" in tasks["second_round.write_results"]
    assert dag["outlets"] == {"publish": ["article_summaries", "nightpress_published_days"]}
    params = dag["params"]
    assert isinstance(params, dict)
    asked = {"source", "day", "limit", "model", "other_model", "prompt", "max_tokens"}
    asked |= {"thinking", "effort"}
    money = {"plan_only", "max_cost_usd", "approve_above_usd", "fresh", "reuse_days", "lose_answers"}
    assert params.keys() == asked | money


def test_the_daily_prompt_stands_in_its_dag_file() -> None:
    assert f'"""{SUMMARY_PROMPT}"""' in (PROJECT / "dags" / "article_summaries.py").read_text()


def test_the_report_follows_every_pipeline_that_publishes(tmp_path: Path) -> None:
    dag = describe(PROJECT / "dags" / "daily_report.py", tmp_path)
    assert dag["tasks"] == {"write_report": []}
    assert dag["schedule"] == "PartitionedAssetTimetable"
    assert dag["follows"] == "nightpress_published_days"
    assert dag["inlets"] == {"write_report": ["nightpress_published_days"]}
    for path in DAGS:
        outlets = describe(path, tmp_path)["outlets"]
        assert isinstance(outlets, dict)
        for task, names in outlets.items():
            if task.rpartition(".")[2] == "publish":
                assert "nightpress_published_days" in names
    assert dag["outlets"] == {"write_report": ["daily_report"]}
    assert dag["max_active_runs"] != 1  # events of days that wait for it would be lost


def test_the_readmes_pipeline_works_when_pasted(tmp_path: Path) -> None:
    (code,) = re.findall(
        r"```python\n(import pendulum.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL
    )
    path = tmp_path / "tickets.py"
    path.write_text(code)
    dag = describe(path, tmp_path / "home")
    assert dag["outlets"] == {"publish": ["tickets", "nightpress_published_days"]}
