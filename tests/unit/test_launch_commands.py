"""``nightpress run``, ``up`` and ``airflow``: the commands of a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch import commands
from message_batches.command.main import main


def test_without_an_airflow_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTPRESS_HOME", str(tmp_path))
    assert main(["airflow", "version"], checkout=commands.app) == 2
    assert "`nightpress up`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["run", "--port", "0"], ["up", "--port", "http"], ["run", "--day", "today"]]
)
def test_bad_input_is_refused_before_anything_starts(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words, checkout=commands.app) == 2
    assert words[1] in capsys.readouterr().err
