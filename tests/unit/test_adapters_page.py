from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from upath import UPath

from message_batches.page import overview_json, plan_page
from message_batches.page.access import make_rule
from message_batches.page.notices import render_notice
from nightpress.costs.plan import ModelCost
from nightpress.layout import DataRoot
from nightpress.overview import Overview, Query
from tests.support.ledgers import NOW, entry, put
from tests.support.plans import make_plan

PROJECT = Path(__file__).resolve().parents[2]


def described(root: Path, opened: bool = True) -> dict[str, object]:
    answer = Overview(DataRoot(UPath(root)), lambda: NOW).answer(Query(), lambda *_: True)
    tokens = {run.token: 1 for run in answer.runs} if opened else {}
    return overview_json.describe_page(answer, NOW, tokens)


def test_links_lead_to_the_task_that_the_batch_is_at(tmp_path: Path) -> None:
    run = "manual__2026-11-22T00:00:00+00:00"
    states = ("submitted", "collected", "intended")
    put(UPath(tmp_path), *(entry(number, state, run=run) for number, state in enumerate(states)))
    put(UPath(tmp_path), entry(5, run=run, task_id="submit", map_index=-1, day="2026-11-21"))
    data = described(tmp_path)
    base = "dags/press_dag/runs/manual__2026-11-22T00%3A00%3A00%2B00%3A00"
    rows = {row["name"]: row for shown in data["runs"] for row in shown["rows"]["items"]}  # type: ignore[attr-defined]
    assert {name: row["links"]["task"] for name, row in rows.items()} == {
        "00000": f"{base}/tasks/shard.wait_for_batch/mapped/0",
        "00001": f"{base}/tasks/shard.write_results/mapped/1",
        "00002": f"{base}/tasks/shard.submit_batch/mapped/2",
        "00005": f"{base}/tasks/submit",
    }
    assert {shown["links"]["run"] for shown in data["runs"]} == {base}  # type: ignore[attr-defined]


def test_batches_of_a_closed_run_are_not_sent(tmp_path: Path) -> None:
    put(UPath(tmp_path), *(entry(number) for number in range(120)))
    (run,) = described(tmp_path, opened=False)["runs"]  # type: ignore[misc]
    assert (run["batches"], run["rows"]) == (120, None)
    (run,) = described(tmp_path)["runs"]  # type: ignore[misc]
    assert (run["rows"]["pages"], run["rows"]["count"], len(run["rows"]["items"])) == (3, 120, 50)


def test_an_open_question_comes_with_the_commands_to_type(tmp_path: Path) -> None:
    put(UPath(tmp_path), entry(1, "lost"))
    (tmp_path / "ledger" / "offline" / f"{'ab' * 32}.json").write_text("{")
    questions = {question["key"]: question for question in described(tmp_path)["questions"]}  # type: ignore[attr-defined]
    assert questions["0" * 16]["commands"] == [
        "nightpress ledger show 0000000000000000",
        "nightpress ledger adopt 0000000000000000 BATCH_ID",
        "nightpress ledger discard 0000000000000000",
    ]
    assert questions["ab" * 8]["commands"][1] == "nightpress ledger discard abababababababab --even-submitted"


def test_the_expected_end_has_its_basis(tmp_path: Path) -> None:
    put(UPath(tmp_path), entry(1, took=300.0), entry(2, "submitted", age=100.0))
    (run,) = described(tmp_path)["runs"]  # type: ignore[misc]
    row = next(row for row in run["rows"]["items"] if row["state"] == "submitted")
    assert row["expected_end"] == run["expected_end"] == NOW + 200
    assert row["basis"] == {"batches": 1, "alike": "api"}
    assert row["expires_at"] == NOW - 100 + 86_400


@pytest.mark.parametrize(
    ("permitted", "known", "dag_id", "pipeline", "seen"),
    [
        ({"a", "b"}, {"a", "b"}, "a", "x", True),
        ({"a", "b"}, {"a", "b"}, "deleted", "x", True),
        ({"a"}, {"a", "b"}, "a", "x", True),
        ({"a"}, {"a", "b"}, "b", "a", False),
        ({"a"}, {"a", "b"}, "deleted", "a", False),
        ({"a"}, {"a", "b"}, "", "a", False),
        ({"a"}, {"a", "b"}, "", "b", False),
        ({"a"}, {"a", "b"}, "", "", False),
        (set(), {"a"}, "a", "a", False),
        ({"a", "b"}, {"a", "b"}, "", "x", True),
        (set(), set(), "a", "a", False),
        (set(), set(), "", "", False),
    ],
)
def test_what_may_be_seen(
    permitted: set[str], known: set[str], dag_id: str, pipeline: str, seen: bool
) -> None:
    assert make_rule(permitted, known)(dag_id, pipeline) is seen


def test_every_value_of_a_plan_is_escaped() -> None:
    evil = "<script>x</script>"
    texts = dict.fromkeys(("pipeline", "day", "run", "source", "model", "thinking", "effort"), evil)
    other = ModelCost(model=evil, expected_usd=None, upper_usd=1.0)
    plan = make_plan(notes=[evil], rejected={evil: 1}, betas=[evil], other_models=[other], **texts)
    page = plan_page.render_plan(plan, "../")
    assert page.count("<script") == page.count('<script src="../static/frame.js"') == 1
    assert "<script" not in render_notice(evil, evil, "").replace('<script src="static/frame.js"', "")


def test_the_plugin_is_cheap_to_import() -> None:
    """Airflow imports plugins in every component; the web framework and the core wait for a request."""
    code = (
        "import sys; import airflow.plugins_manager; before = set(sys.modules); import message_batches.page\n"
        "heavy = {'fastapi', 'pyarrow', 'pandas', 'msgspec', 'include'} & (set(sys.modules) - before)\n"
        "assert not heavy, heavy\n"
        "import nightpress_plugin\n"
        "assert 'message_batches.page.routes' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
