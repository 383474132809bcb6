"""The wheel in an Airflow that has nothing of this checkout: installed, beside a project with its own ``include``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from launch.bootstrap import uv_environment
from tests.support.offline_api_server import LocalApiServer

pytestmark = pytest.mark.airflow

PROJECT = Path(__file__).resolve().parents[2]
UV = str(Path(sys.executable).with_name("uv"))
DAY = "2026-11-22"
DAG_FILE = """
import pendulum
from airflow.sdk import DAG

from include.questions import QUESTION
from message_batches import message_batch_pipeline

with DAG("letters", schedule=None, start_date=pendulum.datetime(2026, 11, 1)) as dag:
    message_batch_pipeline("letters", prompt=QUESTION, source="{source}", max_tokens=60)

if __name__ == "__main__":
    run = dag.test(run_conf={"day": "2026-11-22"})
    print("STATE", run.state)
"""
QUESTIONS = 'QUESTION = "Say it in one sentence: {content}"\n'


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with Airflow and the wheel, and a user's project beside it."""

    venv: Path
    project: Path
    root: Path
    environment: Mapping[str, str]

    def run(self, *words: str, check: bool = True, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the user's project."""
        environment = {**self.environment, **changed}
        done = subprocess.run(
            [str(self.venv / "bin" / words[0]), *words[1:]],
            cwd=self.project,
            env={name: value for name, value in environment.items() if value},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done


def build_wheel(folder: Path) -> Path:
    """Build the wheel and return its path."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Build, install in a fresh environment with the locked versions, and lay out a user's project."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel, venv = build_wheel(folder / "dist"), folder / "venv"
    _run([UV, "venv", "--quiet", "--python", sys.executable, str(venv)])
    python = str(venv / "bin" / "python")
    # Not compiled: a tenth of all modules is ever imported.
    install = [UV, "pip", "install", "--quiet", "--python", python]
    _run([*install, str(wheel), "-c", "requirements.lock"], uv_environment(hashed=True))
    project, root = folder / "project", folder / "data"
    (project / "include").mkdir(parents=True)
    (project / "dags").mkdir()
    (project / "include" / "__init__.py").touch()
    (project / "include" / "questions.py").write_text(QUESTIONS)
    articles = project / "articles.jsonl"
    articles.write_text("".join(json.dumps({"id": n, "content": f"Letter {n}."}) + "\n" for n in range(7)))
    (project / "dags" / "letters.py").write_text(DAG_FILE.replace("{source}", str(articles)))
    with LocalApiServer(folder / "api") as server:
        connection = {"conn_type": "anthropic", "password": "test-key", "host": server.base_url}
        environment = {
            "PATH": f"{venv / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_ANTHROPIC_DEFAULT": json.dumps(connection),
            "PYTHONPATH": str(project),
            "NIGHTPRESS_ROOT": root.as_uri(),
            "NO_PROXY": "127.0.0.1,localhost",
            "TERM": "dumb",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }
        made = Installed(venv, project, root, environment)
        made.run("airflow", "db", "migrate")
        yield made


def test_the_wheel_holds_what_is_no_code_and_nothing_else_of_the_checkout(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    wanted = {f"{package}/py.typed" for package in ("nightpress", "message_batches", "offline_api")}
    wanted |= {"message_batches/page/static/batches.js", "message_batches/page/static/page.css"}
    wanted |= {"nightpress/sample/articles-en.json", "nightpress_plugin.py"}
    assert wanted <= names
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"nightpress", "message_batches", "offline_api", "nightpress_plugin.py"}


def test_a_users_dag_is_parsed_and_publishes_a_day(installed: Installed) -> None:
    bad = installed.run("airflow", "dags", "list-import-errors", "-o", "plain").stdout
    assert "letters" not in bad
    done = installed.run("python", "dags/letters.py")
    assert "STATE success" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    answers = pq.read_table(installed.root / "letters" / f"day={DAY}" / "answers.parquet", partitioning=None)
    assert answers["status"].to_pylist() == ["succeeded"] * 7


def test_airflow_knows_plugin_and_provider_once(installed: Installed) -> None:
    plugins = json.loads(installed.run("airflow", "plugins", "-o", "json").stdout)
    assert [plugin["name"] for plugin in plugins].count("nightpress") == 1
    providers = installed.run("airflow", "providers", "list", "-o", "json").stdout
    assert "nightpress" in [provider["package_name"] for provider in json.loads(providers)]


def test_the_command_works_beside_an_airflow(installed: Installed) -> None:
    plan = installed.run("nightpress", "plan", "--pipeline", "letters", "--from", DAY, "--json")
    assert json.loads(plan.stdout)["plans"][0]["articles"] == 7
    assert json.loads(installed.run("nightpress", "ledger", "--json").stdout)["totals"]["open"] == 0
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert installed.run("nightpress", "--version").stdout.startswith(f"nightpress {version}, Airflow 3.")
    refused = installed.run("nightpress", "up", check=False)
    assert (refused.returncode, "needs a checkout of the project" in refused.stderr) == (2, True)
    unknown = installed.run("nightpress", "ledger", check=False, NIGHTPRESS_ROOT="")
    assert (unknown.returncode, "set NIGHTPRESS_ROOT" in unknown.stderr) == (2, True)


def test_without_a_root_nothing_is_paid_for(installed: Installed) -> None:
    done = installed.run("python", "dags/letters.py", check=False, NIGHTPRESS_ROOT="")
    said = done.stdout + done.stderr
    assert "NIGHTPRESS_ROOT is not set" in said
    assert "STATE success" not in said
