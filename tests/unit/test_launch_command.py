"""``make airflow``: Airflow's own commands in the instance's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch import airflow_command


def test_without_an_airflow_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTPRESS_HOME", str(tmp_path))
    assert airflow_command.main(["version"]) == 2
    assert "`make up`" in capsys.readouterr().err
