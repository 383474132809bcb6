"""The DAG files: they load cheaply, say what they do, and are the declaration they should be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.prompts import SUMMARY_PROMPT

PROJECT = Path(__file__).resolve().parents[2]
DAGS = sorted((PROJECT / "dags").glob("*.py"))
HEAVY = ("pandas", "pyarrow", "anthropic", "numpy", "genai_prices", "altair", "vl_convert")

DESCRIBE = """
import json, runpy, sys
from airflow.sdk import DAG
before = set(sys.modules)

def describe(path):
    loaded = runpy.run_path(path)
    (dag,) = [value for value in loaded.values() if isinstance(value, DAG)]
    condition = dag.timetable.asset_condition
    return {
        "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "params": {name: dag.params.get_param(name).description for name in dag.params},
        "paused": dag.is_paused_upon_creation, "catchup": dag.catchup, "tags": sorted(dag.tags),
        "doc": dag.doc_md or "",
        "inlets": {task.task_id: [asset.name for asset in task.inlets] for task in dag.tasks if task.inlets},
        "schedule": type(dag.timetable).__name__,
        "follows": [asset.name for asset in condition.objects]
        if hasattr(condition, "objects") else getattr(condition, "name", None),
        "max_active_runs": dag.max_active_runs,
        "outlets": {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets},
    }

described = {path: describe(path) for path in sys.argv[1:]}
print(json.dumps({"dags": described, "imported": sorted(set(sys.modules) - before)}))
"""


def describe(paths: list[Path], home: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Load DAG files in a process of their own; return each DAG by the file's stem, and the modules they needed."""
    environment = {
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}",
        "AIRFLOW_HOME": str(home),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, *map(str, paths)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return {Path(path).stem: dag for path, dag in told["dags"].items()}, told["imported"]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return every DAG of the folder, and what loading all of them imported."""
    return describe(DAGS, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def dags(described: tuple[dict[str, dict[str, Any]], list[str]]) -> dict[str, dict[str, Any]]:
    return described[0]


def test_loading_the_dag_files_is_cheap(described: tuple[dict[str, dict[str, Any]], list[str]]) -> None:
    assert [name for name in HEAVY if name in described[1]] == []


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_a_dag_file_is_a_short_documented_declaration(path: Path, dags: dict[str, dict[str, Any]]) -> None:
    assert 25 <= len(path.read_text().splitlines()) <= 60
    dag = dags[path.stem]
    assert dag["doc"]
    # What spends waits for a person; the report costs nothing, and is wanted as soon as a day is published.
    assert dag["paused"] is (path.stem != "daily_report")
    assert dag["catchup"] is False
    assert "nightpress" in dag["tags"]
    assert all(dag["params"].values())


def test_the_pipeline_is_the_one_of_the_design(dags: dict[str, dict[str, Any]]) -> None:
    dag = dags["article_summaries"]
    tasks = dag["tasks"]
    steps = ("submit_batch", "wait_for_batch", "write_results")
    groups = {f"{group}.{step}" for group in ("shard", "second_round") for step in steps}
    assert tasks.keys() == {"read_articles", "approve_plan", "collect_failures", "publish"} | groups
    assert "shard.wait_for_batch" in tasks["shard.submit_batch"]
    assert "publish" in tasks["second_round.write_results"]
    assert dag["outlets"] == {"publish": ["article_summaries", "nightpress_published_days"]}
    params = dag["params"]
    asked = {"source", "day", "limit", "model", "other_model", "prompt", "max_tokens"}
    asked |= {"thinking", "effort"}
    money = {"plan_only", "max_cost_usd", "approve_above_usd", "fresh", "reuse_days", "lose_answers"}
    reading = {"max_content_chars", "fields", "encoding", "delimiter", "quoting", "read_options"}
    assert params.keys() == asked | money | reading


def test_the_daily_prompt_stands_in_its_dag_file() -> None:
    assert f'"""{SUMMARY_PROMPT}"""' in (PROJECT / "dags" / "article_summaries.py").read_text()


def test_the_report_follows_every_pipeline_that_publishes(dags: dict[str, dict[str, Any]]) -> None:
    dag = dags["daily_report"]
    assert dag["tasks"] == {"write_report": []}
    assert dag["schedule"] == "PartitionedAssetTimetable"
    assert dag["follows"] == "nightpress_published_days"
    assert dag["inlets"] == {"write_report": ["nightpress_published_days"]}
    for pipeline in dags.values():
        for task, names in pipeline["outlets"].items():
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
    dag = describe([path], tmp_path / "home")[0]["tickets"]
    assert dag["outlets"] == {"publish": ["tickets", "nightpress_published_days"]}
