"""schemathesis against the pages' own OpenAPI description: whatever is asked, no answer is a fault of ours."""

from __future__ import annotations

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from message_batches.page import access, routes
from message_batches.page.airflow_runs import AirflowRuns
from message_batches.page.store_access import StoreAccess
from nightpress.layout import DataRoot
from nightpress.reports.day.write_day_report import write_report
from tests.support.ledgers import entry, put
from tests.support.published_days import DAY, answer, publish
from tests.support.report_pages import NOW

PATHS = (
    "/",
    "/answers/{pipeline}/{day}.{form}",
    "/batches",
    "/batches.json",
    "/comparisons/{name}/{day}",
    "/plans/{pipeline}/{day}/{run}",
    "/receipts/{pipeline}/{day}.json",
    "/reports/{day}",
    "/static/{name}",
)
EXPECTED = {200, 307, 403, 404, 405, 422}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    root = tmp_path_factory.mktemp("root")
    put(UPath(root), entry(1, pipeline="mine", dag_id="a"), entry(2, "lost", pipeline="mine", dag_id="a"))
    publish(UPath(root), [answer(0)], pipeline="mine", dag_id="a")
    write_report(DataRoot(UPath(root)), DAY, now=NOW)
    patch = pytest.MonkeyPatch()
    patch.setenv("NIGHTPRESS_ROOT", f"file://{root}")
    patch.setattr(routes, "store", StoreAccess(patience_seconds=10))
    patch.setattr(routes, "airflow_runs", AirflowRuns(list))
    routes._overview.cache_clear()
    made = routes.build_app()
    made.dependency_overrides[access.guard] = lambda: None
    made.dependency_overrides[access.find_readable] = lambda: access.make_rule({"a"}, {"a", "b"})
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("path", PATHS)
def test_no_request_is_answered_by_a_fault(app: FastAPI, path: str, data: st.DataObject) -> None:
    described = schemathesis.openapi.from_dict(app.openapi())
    described.app = routes.build_pages(app)
    case = data.draw(described[path]["GET"].as_strategy())
    response = case.call()
    assert response.status_code in EXPECTED, response.text[:500]
    assert "Traceback" not in response.text
    assert "content-security-policy" in {name.lower() for name in response.headers}


def test_every_path_is_tried(app: FastAPI) -> None:
    assert set(app.openapi()["paths"]) == set(PATHS)
