"""Runs that nobody asked for, and days without articles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from upath import UPath

from nightpress.errors import ConfigurationError, InputError
from nightpress.layout import DataRoot
from nightpress.parquet_files import write_parquet
from nightpress.runs.ceilings import RunSettings
from nightpress.runs.run import Run
from nightpress.runs.unrequested_runs import (
    RunStart,
    ask_if_unrequested,
    check_missing_day,
    refuse_if_unrequested,
)
from tests.support.plans import make_plan

DUE = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "asks"),
    [
        ({}, False),
        ({"started": DUE + timedelta(minutes=29)}, False),
        ({"started": DUE + timedelta(minutes=31)}, True),
        ({"started": DUE + timedelta(hours=14)}, True),
        ({"started": DUE + timedelta(hours=14), "scheduled": False}, False),
        ({"started": DUE + timedelta(hours=14), "cleared": True}, False),
        ({"started": None}, False),
        ({"due": None}, False),
        ({"switched_on": DUE + timedelta(seconds=1)}, True),
        ({"switched_on": DUE + timedelta(seconds=1), "started": None}, True),
        ({"switched_on": DUE + timedelta(seconds=1), "cleared": True}, False),
        ({"switched_on": DUE + timedelta(seconds=1), "scheduled": False}, False),
        ({"switched_on": DUE - timedelta(seconds=1)}, False),
    ],
)
@pytest.mark.parametrize("limit", [None, 5.0])
def test_a_run_that_switching_on_started_waits_for_approval(
    changed: dict[str, Any], asks: bool, limit: float | None
) -> None:
    given = {"scheduled": True, "due": DUE, "started": DUE + timedelta(seconds=4), "cleared": False} | changed
    settings, notes = ask_if_unrequested(RunSettings("m", 200, approve_above_usd=limit), RunStart(**given))
    plan = make_plan(cost_upper_usd=0.0001, approve_above_usd=settings.approve_above_usd)
    assert plan.needs_approval is asks
    assert any("switched on" in note for note in notes) is asks
    unknown = make_plan(cost_upper_usd=None, approve_above_usd=settings.approve_above_usd)
    assert unknown.needs_approval is (asks or limit is not None)
    if asks:
        with pytest.raises(ConfigurationError, match="switched on") as caught:
            refuse_if_unrequested(RunStart(**given))
        assert caught.value.code == "unrequested_run"
    else:
        refuse_if_unrequested(RunStart(**given))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("p", "2026-11-22", "one", DataRoot(UPath(tmp_path)))


def publish(run: Run, rows: int) -> None:
    write_parquet(pa.table({"article_id": [str(n) for n in range(rows)]}), run.published(run.day))


@pytest.mark.parametrize("rows", [None, 0, 60])
@pytest.mark.parametrize("rule", ["fail", "skip", "publish_empty"])
def test_an_empty_day_never_replaces_one_with_answers(run: Run, rule: Any, rows: int | None) -> None:
    if rows is not None:
        publish(run, rows)
    refused = {"fail": InputError, "publish_empty": ConfigurationError if rows else None, "skip": None}[rule]
    if refused is None:
        assert check_missing_day(run, "inbox/day=2026-11-22", rule) is (rule == "publish_empty")
        return
    with pytest.raises(refused, match=r"inbox/day=2026-11-22 has no article") as caught:
        check_missing_day(run, "inbox/day=2026-11-22", rule)
    assert caught.value.code == "missing_day"
