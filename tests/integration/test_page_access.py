"""Who sees what on the Batches page: Airflow's own login and permissions, over a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import sqlalchemy
from airflow.models.dag import DagModel
from upath import UPath

from nightpress.costs.plan import write_plan
from nightpress.layout import DataRoot
from nightpress.plain_text import Html
from nightpress.reports.html_document import iter_document
from tests.support.ledgers import entry, put
from tests.support.plans import make_plan
from tests.support.published_days import answer, publish
from tests.support.running_airflow import AirflowInstance

pytestmark = pytest.mark.airflow

DAGS = Path(__file__).with_name("dags")
PASSWORD = "test-password"
USERS = {"reader": "VIEWER", "editor": "USER", "nobody": "", "shards_of_3_only": "VIEWER", "boss": "ADMIN"}
ROLES = ("reader", "editor", "boss")
RUN = "manual__2026-11-22T00:00:00+00:00"
GUARDED = (
    "/nightpress/",
    "/nightpress/batches",
    "/nightpress/batches.json",
    "/nightpress/batches.json?dag_id=shards_of_3",
    f"/nightpress/plans/shards_of_3/2026-11-22/{RUN}",
    "/nightpress/reports/2026-11-22",
    "/nightpress/comparisons/prompts/2026-11-22",
    "/nightpress/answers/shards_of_3/2026-11-22.csv",
    "/nightpress/answers/shards_of_3/2026-11-22.parquet",
    "/nightpress/receipts/shards_of_3/2026-11-22.json",
)


class Door:
    """An API server that asks for a login."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tokens = {name: self._log_in(name) for name in USERS}

    def _log_in(self, name: str) -> str:
        body = json.dumps({"username": name, "password": PASSWORD}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/auth/token", body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["access_token"])

    def get(self, path: str, user: str = "", accept: str = "application/json") -> tuple[int, str]:
        headers = {"accept": accept}
        if user:
            headers["cookie"] = f"_token={self.tokens[user]}"
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")

    def call(self, method: str, path: str, user: str = "") -> tuple[int, dict[str, Any]]:
        """Return what Airflow's own API answers to a script."""
        headers = {"content-type": "application/json"}
        if user:
            headers["authorization"] = f"Bearer {self.tokens[user]}"
        body = json.dumps({"logical_date": None}).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status), json.loads(answer.read() or b"{}")
        except HTTPError as error:
            with error:
                return error.code, {}

    def pipelines(self, user: str) -> list[str]:
        status, body = self.get("/nightpress/batches.json", user)
        assert status == 200, body
        return sorted(run["pipeline"] for run in json.loads(body)["runs"])


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> AirflowInstance:
    """A database that knows the DAGs, and a data root with two pipelines' batches, a plan and reports."""
    made = AirflowInstance(tmp_path_factory.mktemp("door"), dags=DAGS)
    made._seed_database()
    subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "reserialize"],
        env=made.environment,
        check=True,
        capture_output=True,
    )
    root = UPath(made.data)
    put(
        root,
        entry(1, pipeline="shards_of_3", dag_id="shards_of_3", run=RUN),
        entry(2, pipeline="shards_of_1000", dag_id="shards_of_1000", run=RUN),
        entry(3, pipeline="shards_of_3", dag_id="shards_of_3", day="2026-11-21"),
        entry(4, pipeline="old", dag_id="", day="2026-11-20"),
    )
    folder = DataRoot(root).run_folder("shards_of_3", "2026-11-22", RUN)
    write_plan(make_plan(pipeline="shards_of_3", source="under the budget"), folder)
    for day, dags in (
        ("2026-11-20", {"old": ""}),
        ("2026-11-21", {"shards_of_3": "shards_of_3"}),
        ("2026-11-22", {"shards_of_3": "shards_of_3", "shards_of_1000": "shards_of_1000"}),
    ):
        report = made.data / "reports" / f"day={day}" / "report.html"
        report.parent.mkdir(parents=True)
        report.write_text(document(f"report of {day}", dags))
        report.with_name("comparison-prompts.html").write_text(document(f"comparison of {day}", dags))
    for pipeline in ("shards_of_3", "shards_of_1000"):
        publish(root, [answer(0)], pipeline=pipeline, dag_id=pipeline, receipt={})
    return made


def document(text: str, dags: dict[str, str]) -> str:
    return "".join(iter_document(text, [Html("<h1>{}</h1>").format(text)], dags))


@contextmanager
def opened(made: AirflowInstance, manager: str) -> Iterator[Door]:
    """Start an API server with these users, and an auth manager that asks for a login."""
    passwords = made.home / "passwords.json"
    passwords.write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)))
    plain = type(made.instance).environment(made.instance)
    locked = plain | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in USERS.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__AUTH_MANAGER": manager,
    }
    made.instance.environment = lambda: locked  # type: ignore[method-assign]
    try:
        made.instance.start("api-server")
        made.instance.wait_for_api()
        yield Door(made.api.url)
    finally:
        made.stop()


@pytest.fixture(scope="module")
def simple(instance: AirflowInstance) -> Iterator[Door]:
    manager = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
    with opened(instance, manager) as door:
        yield door


def test_without_a_login_or_a_permission_nothing_is_shown(simple: Door) -> None:
    for path in GUARDED:
        assert simple.get(path)[0] == 401, path
        assert simple.get(path, "nobody")[0] == 403, path
        for role in ROLES:
            status, body = simple.get(path, role)
            assert status == 200, (path, role, body)
    status, body = simple.get("/nightpress/batches", accept="text/html")
    assert (status, "Log in" in body) == (401, True)


def test_who_may_only_read_starts_no_run(simple: Door) -> None:
    runs = "/api/v2/dags/shards_of_3/dagRuns"
    expected = {"": 401, "nobody": 403, "reader": 403, "editor": 200, "boss": 200}
    for user, status in expected.items():
        answered, run = simple.call("POST", runs, user)
        assert answered == status, user
        if status == 200:
            # Nothing is to be seen of it in the other tests.
            assert simple.call("DELETE", f"{runs}/{run['dag_run_id']}", "boss")[0] == 204


def test_who_may_read_all_sees_all(simple: Door) -> None:
    assert simple.pipelines("reader") == ["old", "shards_of_1000", "shards_of_3", "shards_of_3"]
    assert "under the budget" in simple.get(GUARDED[4], "reader")[1]
    assert "report of 2026-11-22" in simple.get(GUARDED[5], "reader")[1]
    assert "comparison of 2026-11-22" in simple.get(GUARDED[6], "reader")[1]
    status, body = simple.get("/nightpress/comparisons/prompts/2026-10-01", "reader")
    assert (status, "no comparison prompts of 2026-10-01" in body) == (404, True)


def test_paths_that_lead_elsewhere_lead_nowhere(simple: Door) -> None:
    for path in (
        "/nightpress/plans/..%2F..%2Fetc/2026-11-22/x",
        "/nightpress/plans/shards_of_3/2026-13-99/x",
        "/nightpress/plans/shards_of_3/2026-11-22/..%2F..%2F..%2F..%2Fetc%2Fpasswd",
        "/nightpress/plans/shards_of_3/2026-11-22/..%2fplan.json",
        "/nightpress/reports/..%2F..%2Fetc",
        "/nightpress/reports/20261122",
        "/nightpress/comparisons/..%2F..%2Fetc/2026-11-22",
        "/nightpress/comparisons/prompts/20261122",
        "/nightpress/answers/..%2F..%2Fetc/2026-11-22.csv",
        "/nightpress/answers/ledger/2026-11-22.csv",
        "/nightpress/static/..%2Fapp.py",
        "/nightpress/static/app.py",
        "/nightpress/nothing",
    ):
        status, body = simple.get(path, "boss")
        assert status == 404, (path, status, body)
        assert "Traceback" not in body


def test_a_user_sees_only_the_runs_of_dags_that_may_be_read(instance: AirflowInstance, simple: Door) -> None:
    instance.stop()
    with opened(instance, "tests.integration.deny_auth.OneDagAuthManager") as door:
        assert door.pipelines("shards_of_3_only") == ["shards_of_3", "shards_of_3"]
        assert door.pipelines("reader") == ["old", "shards_of_1000", "shards_of_3", "shards_of_3"]
        assert door.get("/nightpress/batches.json?dag_id=shards_of_1000", "shards_of_3_only")[0] == 403
        assert door.get(GUARDED[4], "shards_of_3_only")[0] == 200
        assert door.get("/nightpress/plans/shards_of_1000/2026-11-22/x", "shards_of_3_only")[0] == 403
        # The report of a day has the articles of all its pipelines.
        assert door.get("/nightpress/reports/2026-11-21", "shards_of_3_only")[0] == 200
        for day in ("2026-11-22", "2026-11-20"):
            assert door.get(f"/nightpress/reports/{day}", "shards_of_3_only")[0] == 403, day
            assert door.get(f"/nightpress/reports/{day}", "reader")[0] == 200, day
        assert door.get("/nightpress/answers/shards_of_3/2026-11-22.csv", "shards_of_3_only")[0] == 200
        assert door.get("/nightpress/answers/shards_of_1000/2026-11-22.csv", "shards_of_3_only")[0] == 403
        assert door.get("/nightpress/receipts/shards_of_1000/2026-11-22.json", "shards_of_3_only")[0] == 403
        # A comparison has those of its variants.
        assert door.get("/nightpress/comparisons/prompts/2026-11-21", "shards_of_3_only")[0] == 200
        assert door.get("/nightpress/comparisons/prompts/2026-11-22", "shards_of_3_only")[0] == 403
        data: Any = json.loads(door.get("/nightpress/batches.json", "shards_of_3_only")[1])
        assert (data["totals"]["batches"], data["days"]) == (2, ["2026-11-22", "2026-11-21"])
        # Without any DAG, as after `airflow db reset`, it is unclear what belongs to whom: nobody sees anything.
        engine = sqlalchemy.create_engine(f"sqlite:///{instance.database_path}")
        with engine.begin() as connection:
            connection.execute(sqlalchemy.delete(DagModel.__table__))
        engine.dispose()
        for user in ROLES:
            assert door.pipelines(user) == [], user
            for path in GUARDED[4:]:
                assert door.get(path, user)[0] == 403, (user, path)
