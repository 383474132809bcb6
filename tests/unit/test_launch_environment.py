from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from launch.environment import (
    CONNECTION_VARIABLE,
    Layout,
    airflow_environment,
    free_port,
)
from launch.login import SECRET_BYTES, link_file, passwords_file, read_secrets, write_login
from message_batches.command.command_settings import Api, CommandError, find_api, read_dotenv

_ADMINS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"
REAL = Api(key="sk-secret", base_url=None)


def layout(folder: Path) -> Layout:
    return Layout(folder / "project", folder / "home", "file:///data")


def test_dotenv_knows_comments_quotes_and_export(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# a comment\n\nexport A=1\nB = two words # a comment\n"
        'C="x # y\\n\\"z\\"" # end\n'
        "D='$A \\n'\nE=\nF=a=b#c\nG= # nothing\n",
        encoding="utf-8-sig",
    )
    assert read_dotenv(path) == {
        "A": "1",
        "B": "two words",
        "C": 'x # y\n"z"',
        "D": "$A \\n",
        "E": "",
        "F": "a=b#c",
        "G": "",
    }
    assert read_dotenv(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    "line", ["no equals sign sk-secret", 'A="sk-secret', "A='x' sk-secret", "bad-name=sk-secret"]
)
def test_a_bad_line_is_named_without_its_value(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"OK=1\n{line}\n")
    with pytest.raises(CommandError, match="line 2") as caught:
        read_dotenv(path)
    assert "sk-secret" not in str(caught.value)


def test_a_taken_port_is_replaced() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = read_secrets(tmp_path)
    assert read_secrets(tmp_path) == first
    assert len(set(first.values())) == len(SECRET_BYTES)
    assert stat.S_IMODE((tmp_path / "launch-secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_secrets_of_an_earlier_version_are_kept_and_the_rest_is_made(tmp_path: Path) -> None:
    (tmp_path / "launch-secrets.json").write_text(json.dumps({"fernet_key": "kept", "other": "x"}))
    made = read_secrets(tmp_path)
    assert made["fernet_key"] == "kept"
    assert made.keys() == SECRET_BYTES.keys()
    assert read_secrets(tmp_path) == made


def test_each_start_has_a_link_of_its_own_and_files_that_only_the_owner_reads(tmp_path: Path) -> None:
    keys = {write_login(tmp_path), write_login(tmp_path)}
    assert len(keys) == 2
    assert link_file(tmp_path).read_text() in keys
    assert json.loads(passwords_file(tmp_path).read_text()) == {"admin": read_secrets(tmp_path)["password"]}
    for path in (link_file(tmp_path), passwords_file(tmp_path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_login_is_asked_for_unless_a_test_says_otherwise(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"port": 1, "task_port": 2, "api": REAL, "base": {}}
    locked = airflow_environment(layout(tmp_path), **settings, own={f"{_ADMINS}": "True"})
    assert locked[_ADMINS] == "False"
    assert locked["AIRFLOW__CORE__AUTH_MANAGER"] == "launch.auth.LocalAuthManager"
    assert read_secrets(tmp_path / "home")["password"] not in locked.values()
    assert airflow_environment(layout(tmp_path), **settings, login=False)[_ADMINS] == "True"


def test_the_key_chooses_the_api() -> None:
    assert find_api({"ANTHROPIC_API_KEY": " "}) is None
    assert find_api({"ANTHROPIC_API_KEY": "k"}) == Api("k", None)
    assert find_api({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://x"}) == Api("k", "http://x")
    assert "sk-secret" not in repr(REAL)


def test_the_connection_alone_carries_key_and_address(tmp_path: Path) -> None:
    base = {
        "ANTHROPIC_API_KEY": "other",
        "ANTHROPIC_AUTH_TOKEN": "t",
        "ANTHROPIC_BASE_URL": "u",
        "PATH": "/bin",
    }
    api = Api("sk-local", "http://127.0.0.1:9", offline=True)
    environment = airflow_environment(
        layout(tmp_path), port=8080, task_port=8081, api=api, base=base, own={"ANTHROPIC_API_KEY": "x"}
    )
    assert json.loads(environment[CONNECTION_VARIABLE]) == {
        "conn_type": "anthropic",
        "password": "sk-local",
        "host": "http://127.0.0.1:9",
    }
    assert not [name for name in environment if name.startswith("ANTHROPIC_")]
    assert json.loads(REAL.connection()) == {"conn_type": "anthropic", "password": "sk-secret"}


def test_settings_of_another_airflow_are_left_out_and_own_ones_kept(tmp_path: Path) -> None:
    base = {
        "AIRFLOW_HOME": "/elsewhere",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://prod",
        "AIRFLOW_CONN_AWS": "aws://",
        "PYTHONPATH": "/extra",
        "NO_PROXY": "intranet",
    }
    own = {"AIRFLOW__CORE__PARALLELISM": "8", "AIRFLOW__API__HOST": "0.0.0.0"}
    environment = airflow_environment(
        layout(tmp_path), port=1234, task_port=1235, api=REAL, base=base, own=own, schedules=False
    )
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "home")
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in environment
    assert environment["AIRFLOW_CONN_AWS"] == "aws://"
    assert environment["PYTHONPATH"] == f"{tmp_path / 'project'}:{tmp_path / 'project' / 'include'}:/extra"
    assert environment["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "8"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1235/execution/"
    assert environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "False"
