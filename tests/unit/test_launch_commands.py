"""``nightpress run``, ``up`` and ``airflow``: the commands of a checkout."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from launch import commands
from launch.processes import Interrupted
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


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        ("up", signal.SIGINT, 0),  # Ctrl-C is how it ends
        ("up", signal.SIGTERM, 143),
        ("up", signal.SIGHUP, 129),
        ("run", signal.SIGINT, 130),
        ("run", signal.SIGTERM, 143),
    ],
)
def test_the_exit_code_tells_which_signal_ended_it(
    monkeypatch: pytest.MonkeyPatch, command: str, number: signal.Signals, code: int
) -> None:
    def interrupted(*_: object) -> int:
        raise Interrupted(number)

    monkeypatch.setattr(commands, "run_instance", interrupted)
    assert commands._launch(command, None, None) == code
