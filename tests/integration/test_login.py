"""``nightpress up`` asks for a login: who gets in, and who does not, on a real Airflow and in the browser."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest

from launch.login import SECRETS_FILE, USER, read_secrets
from tests.support.running_airflow import PROJECT, STUB_DAGS, processes_with_home

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.airflow


@dataclass(frozen=True, slots=True)
class Running:
    """What ``nightpress up`` printed, and its process."""

    process: subprocess.Popen[bytes]
    home: Path
    output: str
    environment: dict[str, str]

    @property
    def link(self) -> str:
        found = re.search(r"Open (http://\S+)", self.output)
        assert found, self.output
        return found[1]

    @property
    def port(self) -> int:
        return urlsplit(self.link).port or 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, *, host: str = "", port: int = 0, **headers: str) -> int:
        """Return the status of a GET without a login."""
        connection = HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request("GET", path, headers={**({"Host": host} if host else {}), **headers})
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("login")
    home, output = folder / "home", folder / "output.txt"
    environment = {
        **os.environ,
        "NIGHTPRESS_HOME": str(home),
        "NIGHTPRESS_ROOT": str(folder / "data"),
        "NIGHTPRESS_DAGS": str(STUB_DAGS),
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}",
    }
    environment.pop("ANTHROPIC_API_KEY", None)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "launch", "up"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        deadline = time.monotonic() + 180
        while "Ctrl-C stops everything." not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.2)
        yield Running(process, home, output.read_text(), environment)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert processes_with_home(home) == []


def test_where_to_click_is_said_first_and_no_password_is(up: Running) -> None:
    after_start = up.output.partition("Airflow is up after")[2].splitlines()[1:]
    assert next(line for line in after_start if line.strip()).strip() == f"Open {up.link}"
    assert read_secrets(up.home)["password"] not in up.output


def test_without_a_login_nothing_is_shown(up: Running) -> None:
    for path in ("/api/v2/dags", "/api/v2/dags/article_summaries/dagRuns", "/nightpress/batches.json"):
        assert up.ask(path) == 401, path
    assert up.ask("/auth/token/login") == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "0.0.0.0"])
def test_another_host_name_is_refused_even_with_a_login(up: Running, host: str) -> None:
    for path in ("/", "/api/v2/monitor/health", "/auth/link?key=x", "/nightpress/batches"):
        assert up.ask(path, host=host) == 400, path
    assert up.ask("/api/v2/monitor/health", host=f"localhost:{up.port}") == 200


def test_the_link_logs_in_once_then_the_password_does(up: Running, browser: Browser) -> None:
    first = browser.new_context()
    page = first.new_page()
    page.goto(up.link)
    page.goto(f"{up.url}/dags/article_summaries")
    page.get_by_text("article_summaries").first.wait_for()
    assert first.request.get(f"{up.url}/api/v2/dags").status == 200
    second = browser.new_context()
    page = second.new_page()
    page.goto(up.link)
    assert "/auth/login" in page.url
    assert second.request.get(f"{up.url}/api/v2/dags").status == 401
    page.locator("input[name=username]").fill(USER)
    page.locator("input[type=password]").fill(read_secrets(up.home)["password"])
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "/auth/" not in url)
    assert second.request.get(f"{up.url}/api/v2/dags").status == 200
    first.close()
    second.close()


def test_the_offline_api_demands_the_instances_key(up: Running) -> None:
    port = int((up.home / "offline-api.port").read_text())
    key = json.loads((up.home / SECRETS_FILE).read_text())["offline_api_key"]
    for path in ("/v1/messages/batches", "/local/stats"):
        assert up.ask(path, port=port) == 401, path
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    assert up.ask("/v1/messages/batches", port=port, **headers) == 200


def test_no_secret_is_among_the_arguments_that_ps_shows(up: Running) -> None:
    secrets = read_secrets(up.home).values()
    for pid in processes_with_home(up.home):
        arguments = " ".join(psutil.Process(pid).cmdline())
        assert not [secret for secret in secrets if secret in arguments]


def test_home_and_data_are_closed_to_others(up: Running) -> None:
    for folder in (up.home, up.home.parent / "data"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_other_commands_run_beside_it_but_no_second_launcher(up: Running) -> None:
    def launch(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "launch", *words]
        return subprocess.run(
            command, cwd=PROJECT, env=up.environment, capture_output=True, text=True, check=False
        )

    second = launch("run", "--articles", str(PROJECT), "--day", "2026-11-22")
    assert second.returncode == 2
    said = f"already running in {up.home} (nightpress up, process {up.process.pid}"
    assert said in second.stdout + second.stderr
    beside = launch("airflow", "dags", "list", "-o", "plain")
    assert beside.returncode == 0, beside.stderr
    assert "article_summaries" in beside.stdout


def test_ctrl_c_ends_it_and_leaves_nothing(up: Running) -> None:
    os.killpg(up.process.pid, signal.SIGINT)
    assert up.process.wait(60) == 0
    assert "Everything is stopped" in (up.home.parent / "output.txt").read_text()
    assert processes_with_home(up.home) == []
