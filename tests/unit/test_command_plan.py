"""``make plan``: what a range of days would cost, without sending or storing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from message_batches.command import plan_command
from tests.support.plans import make_plan

PROJECT = Path(__file__).resolve().parents[2]


def preview(root: Path, *options: str) -> tuple[int, str]:
    environment = os.environ | {
        "NIGHTPRESS_ROOT": root.as_uri(),
        "AIRFLOW_HOME": str(root.parent / "home"),
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}",
    }
    environment.pop("ANTHROPIC_API_KEY", None)
    done = subprocess.run(
        [sys.executable, "-m", "message_batches.command.main", "plan", *options],
        env=environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_range_is_a_row_a_day_and_a_total_and_nothing_is_stored(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for day in ("2026-11-20", "2026-11-21"):
        folder = root / "inbox" / f"day={day}"
        folder.mkdir(parents=True)
        shutil.copy(PROJECT / "include" / "sample" / "articles-en.json", folder)
    before = sorted(root.rglob("*"))
    code, said = preview(root, "--from", "2026-11-19", "--to", "2026-11-21")
    assert code == 0, said
    assert "[info" not in said
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert rows["2026-11-19"] == ["0", "0", "0", "0", "0", "0", "$0.00", "$0.00"]
    assert "day=2026-11-19 has no article: a run of this day fails" in said
    assert said.count("has no article") == 1
    assert rows["2026-11-20"][:6] == ["36", "36", "0", "0", "4", "1"]
    assert rows["total"][:6] == ["72", "72", "0", "0", "8", "2"]
    assert sorted(root.rglob("*")) == before


def test_a_day_that_cannot_be_read_is_named_and_the_others_are_planned(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for day, text in (("2026-11-20", '[{"id": 1'), ("2026-11-21", '[{"id": 1, "content": "x"}]')):
        folder = root / "inbox" / f"day={day}"
        folder.mkdir(parents=True)
        (folder / "articles.json").write_text(text)
    code, said = preview(root, "--from", "2026-11-20", "--to", "2026-11-21")
    assert code == 1
    assert "2026-11-20  cannot be read: " in said
    assert "cut off" in said
    assert "2026-11-21          1          1" in said


def test_bad_words_are_named(tmp_path: Path) -> None:
    for options, named in (
        (("--from", "yesterday"), "invalid day 'yesterday'"),
        (("--from", "2026-11-20", "--to", "2026-11-01"), "-18 days"),
        (("--from", "2026-11-20", "--pipeline", "nope"), "no pipeline 'nope'"),
    ):
        code, said = preview(tmp_path, *options)
        assert (code, named in said) == (2, True), said


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, ""),
        ({"max_cost_usd": 1e-06}, "A run of this day fails: it is over the budget of"),
        ({"approve_above_usd": 1e-06}, "A run of this day waits for approval."),
    ],
)
def test_what_stops_a_run_of_the_day_is_told(
    limits: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(**{"max_cost_usd": None, "approve_above_usd": None, "plan_only": False} | limits)
    assert plan.to_send
    planner: Any = SimpleNamespace(plan=lambda day: plan)
    plan_command._print_table([plan.day], planner)
    said = capsys.readouterr().out
    assert ("A run of this day" in said, words in said) == (bool(words), True)
