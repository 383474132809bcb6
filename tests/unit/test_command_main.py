"""The command as a whole: what it lists, what it refuses, and how it ends."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from launch import commands
from message_batches import config
from message_batches.command import command_settings, version_text
from message_batches.command import main as command
from message_batches.command.main import build_command, main
from nightpress.errors import ConfigurationError
from nightpress.plain_text import for_terminal_lines

PROJECT = Path(__file__).resolve().parents[2]


def all_commands(app: typer.Typer) -> dict[str, str]:
    """Return the help of each command, nested ones included."""
    found: dict[str, str] = {}
    waiting = [("nightpress", get_command(app))]
    while waiting:
        name, node = waiting.pop()
        found[name] = node.help or ""
        waiting += [(f"{name} {key}", child) for key, child in getattr(node, "commands", {}).items()]
    return found


def test_every_command_has_help_with_an_example_that_names_it() -> None:
    found = all_commands(build_command(commands.app))
    assert {"nightpress run", "nightpress up", "nightpress plan", "nightpress ledger adopt"} <= found.keys()
    del found["nightpress"]
    missing = [name for name, text in found.items() if f"Example: `{name}" not in text]
    assert missing == []


def test_the_version_is_that_of_the_package(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert main(["--version"], checkout=commands.app) == 0
    said, _ = capsys.readouterr()
    assert said.startswith(f"nightpress {declared} (checkout), Airflow 3.")
    assert said.rstrip().endswith(f"anthropic {version('anthropic')}, Python {platform.python_version()}")
    assert len(said.splitlines()) == 1
    # Installed from a wheel, there is no pyproject.toml.
    monkeypatch.setattr(version_text, "find_declaration", lambda: None)
    monkeypatch.setattr(version_text, "version", lambda package: {"nightpress": "9.8.7"}.get(package, "1"))
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("nightpress 9.8.7, Airflow 1, anthropic 1, Python 3.")


def test_examples_name_options_that_exist() -> None:
    app = get_command(build_command(commands.app))
    for name, text in all_commands(build_command(commands.app)).items():
        for example in re.findall(r"Example: `nightpress (.*?)`", text):
            node, words = app, example.split()
            while words and words[0] in getattr(node, "commands", {}):
                node = node.commands[words.pop(0)]
            if name.startswith("nightpress ledger") and not name[len("nightpress ledger") :]:
                node = node.commands["list"]
            known = {option for param in node.params for option in getattr(param, "opts", [])}
            assert {word for word in words if word.startswith("--")} <= known, example


def test_what_needs_a_checkout_says_so_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "entry_points", lambda group: [])
    for name in ("run", "up", "airflow"):
        assert main([name]) == 2
        assert f"`nightpress {name}` starts an Airflow of its own" in capsys.readouterr().err


def test_outside_a_checkout_the_root_must_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NIGHTPRESS_ROOT", raising=False)
    monkeypatch.setattr(command_settings, "find_checkout", lambda: None)
    assert main(["ledger"]) == 2
    assert "set NIGHTPRESS_ROOT" in capsys.readouterr().err


def test_an_unknown_command_or_option_is_answered_with_a_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plna"], checkout=commands.app) == 2
    assert "'plan'" in capsys.readouterr().err
    assert main(["plan", "--FORM=2026-11-22"], checkout=commands.app) == 2
    assert "--from" in capsys.readouterr().err


def test_storage_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class NoCredentialsError(Exception):
        pass

    NoCredentialsError.__module__ = "botocore.exceptions"
    for error in (PermissionError("denied"), NoCredentialsError("Unable to locate credentials")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("message_batches.command.connection.open_root", fail)
        assert main(["ledger"]) == 2
        assert str(error) in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    code = f"{sys.executable} -m launch ledger --root {tmp_path} | true"
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}"}
    done = subprocess.run(
        ["bash", "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x9b2J", "\\x9b2J"),
        ("a\tb\nc", "a\tb\nc"),
        ("\u202egpj", "\\u202egpj"),
    ],
)
def test_texts_of_others_cannot_drive_the_terminal(text: str, shown: str) -> None:
    assert for_terminal_lines(text) == shown


def test_tasks_have_no_root_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NIGHTPRESS_ROOT", raising=False)
    with pytest.raises(ConfigurationError, match="NIGHTPRESS_ROOT is not set"):
        config.data_root()
    monkeypatch.setenv("NIGHTPRESS_ROOT", str(tmp_path / "my data"))
    assert config.data_root().path.path == str(tmp_path / "my data")


def test_a_root_with_spaces_is_the_folder_of_that_name(tmp_path: Path) -> None:
    folder = tmp_path / "my 100% data"
    assert command_settings.find_root_url({"NIGHTPRESS_ROOT": str(folder)}) == f"file://{folder}"
    encoded = tmp_path / "my%20100%25%20data"
    encoded.mkdir()
    assert command_settings.find_root_url({}, str(folder)) == f"file://{encoded}"
    folder.mkdir()
    assert command_settings.find_root_url({}, str(folder)) == f"file://{folder}"


def test_a_store_is_opened_with_its_airflow_connection_or_not_at_all(tmp_path: Path) -> None:
    extra = {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}
    airflow = {"conn_type": "aws", "login": "id", "password": "secret", "extra": extra}
    code = (
        "import os\n"
        "from airflow import settings\n"
        "from airflow.models.connection import Connection\n"
        "from message_batches.command.command_settings import CommandError\n"
        "from message_batches.command.connection import open_path\n"
        "os.environ['NIGHTPRESS_ROOT'] = '/the/root'\n"
        "tables = Connection.metadata.tables\n"
        "Connection.metadata.create_all(settings.get_engine(), [tables['team'], tables['connection']])\n"
        "with settings.Session() as session:\n"
        "    session.add(Connection('stored', 'aws', extra={'endpoint_url': 'http://127.0.0.1:8'}))\n"
        "    session.commit()\n"
        "for name in ('mine', 'stored', 'unknown'):\n"
        "    try:\n"
        "        print('found', open_path(f's3://{name}@bucket/prefix').fs.endpoint_url)\n"
        "    except CommandError as error:\n"
        "        print('found', error)\n"
        "print('found', os.environ['NIGHTPRESS_ROOT'])\n"
    )
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW_CONN_MINE": json.dumps(airflow),
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # Libraries log to the same stream.
    found = [line.removeprefix("found ") for line in done.stdout.splitlines() if line.startswith("found ")]
    assert len(found) == 4, done.stderr[-2000:]
    mine, stored, unknown, root = found
    assert (mine, stored) == ("http://127.0.0.1:9", "http://127.0.0.1:8")
    assert "the Airflow connection 'unknown', which does not exist here; create it" in unknown
    assert root == "file:///the/root"  # a source that is looked at does not become the data root
