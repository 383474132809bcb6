"""The import contracts hold: a forbidden import of each kind, planted in a copy of the tree, is refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
COPIED = ("include", "plugins", "launch", "dags", "benchmarks", "tests", "pyproject.toml")
ROOTS = {"nightpress": "include", "offline_api": "include", "message_batches": "plugins"}

PLANTED = [
    ("offline_api.store", "nightpress.costs"),
    ("offline_api.store", "message_batches.config"),
    ("offline_api.store", "launch.environment"),
    ("offline_api.store", "airflow"),
    ("nightpress.layout", "launch.environment"),
    ("nightpress.layout", "nightpress.costs"),
    ("nightpress.errors", "nightpress.settings"),
    ("nightpress.outputs.scalar_values", "nightpress.results"),
    ("nightpress.shards.shard", "nightpress.batches.ledger"),
    ("nightpress.results.decode", "nightpress.days"),
    ("nightpress.runs.run", "nightpress.reports"),
    ("nightpress.storage", "offline_api.store"),
    ("nightpress.storage", "message_batches.config"),
    ("nightpress.storage", "airflow"),
    ("nightpress.storage", "dags.translate"),
    ("nightpress.storage", "benchmarks.corpus"),
    ("message_batches.config", "launch.environment"),
    ("message_batches.config", "offline_api.store"),
    ("message_batches.config", "dags.translate"),
    ("message_batches.config", "tests.support.ledgers"),
    ("launch.environment", "benchmarks.corpus"),
    ("launch.environment", "dags.translate"),
    ("launch.environment", "offline_api.store"),
    ("launch.environment", "tests.support.ledgers"),
    ("dags.translate", "launch.environment"),
    ("dags.translate", "benchmarks.corpus"),
    ("dags.translate", "offline_api.store"),
    ("dags.translate", "tests.support.ledgers"),
    ("benchmarks.corpus", "offline_api.store"),
    ("tests.support.ledgers", "tests.unit.test_layout"),
    ("tests.support.ledgers", "benchmarks.corpus"),
    ("tests.support.ledgers", "offline_api.store"),
]


def file_of(tree: Path, module: str) -> Path:
    """Return where a module is, in a copy of the tree."""
    base = tree / ROOTS.get(module.split(".", maxsplit=1)[0], "") / Path(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tree}:{tree / 'include'}:{tree / 'plugins'}",
        "COLUMNS": "500",
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    tree = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "out"))
        else:
            shutil.copy(source, tree / name)
    # These are not packages: without this, the real folder, which is on the path as well, may be read instead.
    for name in ("dags", "benchmarks"):
        (tree / name / "__init__.py").touch()
    yield tree


@pytest.fixture(scope="module")
def told(copy: Path) -> str:
    """Return what is said of a tree with every forbidden import planted."""
    kept = lint(copy)
    assert kept.returncode == 0, kept.stdout[-3000:]
    clean: dict[Path, str] = {}
    for importer, imported in PLANTED:
        path = file_of(copy, importer)
        text = path.read_text()
        clean.setdefault(path, text)
        path.write_text(f"{text}\nimport {imported}\n")
    broken = lint(copy)
    for path, text in clean.items():
        path.write_text(text)
    assert broken.returncode == 1
    return re.sub(r"\s+", " ", broken.stdout)


@pytest.mark.parametrize(("importer", "imported"), PLANTED, ids=lambda name: name)
def test_a_forbidden_import_is_refused(told: str, importer: str, imported: str) -> None:
    assert f"{importer} -> {imported} (l." in told


def test_a_new_stage_of_the_core_must_be_placed(copy: Path) -> None:
    stage = copy / "include" / "nightpress" / "helpers"
    stage.mkdir()
    (stage / "__init__.py").touch()
    try:
        said = lint(copy)
    finally:
        shutil.rmtree(stage)
    assert said.returncode == 1
    assert "helpers" in said.stdout


def test_every_package_of_the_core_is_in_the_contract() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (stages,) = [contract for contract in settings["contracts"] if contract["id"] == "stages"]
    folder = PROJECT / "include" / "nightpress"
    found = {
        path.stem for path in folder.iterdir() if (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert set(stages["layers"]) == found - {"__init__"}
