"""The description at /openapi.json is true: what it says is sent, and the answers are what it says."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings

from offline_api.app import ROUTES
from offline_api.openapi import description
from tests.support.batch_requests import items
from tests.support.offline_api_server import LocalApiServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.specs.openapi import checks

HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
SCHEMA = schemathesis.openapi.from_dict(description())
pytestmark = pytest.mark.filterwarnings("ignore")
CHECKS: list[Any] = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


def _described(path: str, method: str) -> Callable[..., None]:
    """Return the test of an operation. Each has a name of its own, since xdist runs one test of each id."""

    @SCHEMA.include(path=path, method=method).parametrize()
    @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def test(case: Any, server: LocalApiServer) -> None:
        changes = case.path in ("/local/faults", "/local/account", "/local/clock")
        tolerated = (checks.negative_data_rejection,) if case.path in LENIENT else ()
        try:
            (case.headers or {}).pop("anthropic-workspace-id", None)  # nearly every text is another's
            response = case.call(base_url=server.base_url, headers={"x-api-key": "k"})
            case.validate_response(response, checks=[check for check in CHECKS if check not in tolerated])
        finally:
            if changes:
                server.reset()

    return cast("Callable[..., None]", test)


for _path, _operations in description()["paths"].items():
    for _method in _operations:
        _name = "_".join(re.findall(r"\w+", f"{_method} {_path}"))
        globals()[f"test_answers_are_as_described_{_name}"] = _described(_path, _method)


LENIENT = ("/local/reset", "/v1/messages/batches/{batch_id}", "/v1/models/{model_id}")
"""Their parameters are texts, of which none is wrong: another name is another thing, which is not there."""


def test_every_route_is_described() -> None:
    shown = {(method, path) for path, operations in description()["paths"].items() for method in operations}
    pages = {"/", "/batches/{batch_id}", "/openapi.json"}
    routed = {
        (method.lower(), route.path)
        for route in ROUTES
        for method in route.methods or ()
        if route.path not in pages and method != "HEAD"
    }
    assert shown == routed


def test_it_is_served_to_everybody(server: LocalApiServer) -> None:
    assert server.get("/openapi.json") == description()


def test_a_whole_life_is_as_described(server: LocalApiServer) -> None:
    """What random data does not reach: batches that exist."""
    batch = server.post("/v1/messages/batches", {"requests": items(3)})
    paths: list[tuple[str, str]] = [
        ("GET", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches/{batch_id}"),
        ("GET", "/local/batches/{batch_id}/requests"),
        ("POST", "/v1/messages/batches/{batch_id}/cancel"),
        ("GET", "/v1/messages/batches/{batch_id}/results"),
        ("GET", "/local/billing"),
        ("DELETE", "/v1/messages/batches/{batch_id}"),
        ("GET", "/v1/models"),
    ]
    for method, path in paths:
        if "cancel" in path or path.endswith("/results"):
            server.advance_clock(0.1 if "cancel" in path else 1000)
        operation = SCHEMA[path][method]
        parameters = {"batch_id": batch["id"]} if "{" in path else {}
        case = operation.Case(path_parameters=parameters)
        response = case.call(base_url=server.base_url, headers=HEADERS)
        assert response.status_code == 200, (path, response.content)
        case.validate_response(response, checks=CHECKS[:4])
