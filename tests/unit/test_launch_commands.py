"""``nightpress run``, ``up`` and ``airflow``: the commands of a checkout."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

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


@pytest.mark.parametrize(
    "line",
    [
        "ANTHROPIC_API_KEY=sk-1",
        "ANTHROPIC_AUTH_TOKEN=t",
        "AIRFLOW_CONN_ANTHROPIC_DEFAULT={}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql://u:p@h/d",
        "AIRFLOW__SMTP__SMTP_PASSWORD=p",
        "CLIENT_SECRET=s",
        "HTTPS_PROXY=http://user:word@proxy:3128",
    ],
)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o604, 0o666])
def test_a_file_with_a_secret_that_others_can_read_is_said(tmp_path: Path, line: str, mode: int) -> None:
    path = tmp_path / ".env"
    path.write_text(f"PORT=8080\n{line}\n")
    path.chmod(mode)
    said: list[str] = []
    commands.warn_of_open_key_file(path, SimpleNamespace(say=said.append))  # type: ignore[arg-type]
    assert bool(said) is (mode != 0o600)
    assert not any(line.partition("=")[2] in text for text in said if len(line.partition("=")[2]) > 3)
    path.write_text("PORT=8080\nHTTPS_PROXY=http://proxy:3128\nANTHROPIC_API_KEY=\n")
    said.clear()
    commands.warn_of_open_key_file(path, SimpleNamespace(say=said.append))  # type: ignore[arg-type]
    assert said == []
