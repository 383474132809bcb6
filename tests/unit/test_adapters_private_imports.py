"""What is private in Airflow is taken in one module, so that a new version is checked in one place."""

from __future__ import annotations

import ast
from pathlib import Path

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
