"""What is private in Airflow is taken in one module, so that a new version is checked in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from message_batches.page.store_access import StoreAccess, StoreUnreachableError

PROJECT = Path(__file__).resolve().parents[2]
ALLOWED = PROJECT / "plugins" / "message_batches" / "airflow_private.py"
PRIVATE = ("airflow.sdk.execution_time", "airflow._shared")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("airflow.")}


def is_private(name: str) -> bool:
    return name.startswith(PRIVATE) or any(part.startswith("_") for part in name.split("."))


def test_private_names_of_airflow_are_in_one_module() -> None:
    files = [*(PROJECT / "plugins").rglob("*.py"), *(PROJECT / "dags").rglob("*.py")]
    found = {str(path): private for path in files if (private := set(filter(is_private, imports(path))))}
    assert list(found) == [str(ALLOWED)]
    # The test sees them where they are.
    assert "airflow.sdk.definitions._internal.contextmanager.DagContext" in found[str(ALLOWED)]


def test_a_store_that_refuses_is_opened_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An API server that has old credentials must not keep them until it is restarted."""
    from airflow.sdk.io import store as airflow_stores

    from message_batches.page import routes

    monkeypatch.setenv("NIGHTPRESS_ROOT", str(tmp_path))
    before = routes.overview()
    assert routes.overview() is before
    assert airflow_stores._STORE_CACHE

    def refuse() -> None:
        raise PermissionError("InvalidAccessKeyId")

    access = StoreAccess(on_refusal=routes._forget_store)
    with pytest.raises(StoreUnreachableError):
        access.ask(refuse)
    assert not airflow_stores._STORE_CACHE
    assert routes.overview() is not before
