"""What the wheel says it needs fits what was tested, and its extras are what the messages name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = {canonicalize_name(found.name): found for found in map(Requirement, SETTINGS["dependencies"])}


def pinned(name: str) -> dict[str, str]:
    lines = (PROJECT / name).read_text().splitlines()
    found = [re.match(r"([A-Za-z0-9_.-]+)(?:\[[a-z,0-9-]*\])?==([^ ;\\]+)", line) for line in lines]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def test_everything_that_a_run_needs_is_a_dependency_in_a_range_that_holds_it() -> None:
    for name, version in pinned("requirements.txt").items():
        assert DEPENDENCIES[name].specifier.contains(version), name
    locked = pinned("requirements.lock")
    for name, requirement in DEPENDENCIES.items():
        if name in locked:
            assert requirement.specifier.contains(locked[name]), name


def test_no_dependency_is_pinned() -> None:
    assert not [found for found in SETTINGS["dependencies"] if "==" in found]


@pytest.mark.parametrize("extra", sorted(SETTINGS["optional-dependencies"]))
def test_extras_hold_the_versions_that_were_tested(extra: str) -> None:
    locked = pinned("requirements-dev.lock")
    for requirement in map(Requirement, SETTINGS["optional-dependencies"][extra]):
        name = canonicalize_name(requirement.name)
        if name == "nightpress":
            assert requirement.extras <= SETTINGS["optional-dependencies"].keys()
        elif name in locked:
            assert requirement.specifier.contains(locked[name]), name


def test_messages_name_extras_that_exist() -> None:
    texts = [
        path.read_text()
        for root in ("include", "plugins", "docs")
        for path in (PROJECT / root).rglob("*.*")
        if path.suffix in {".py", ".md"}
    ]
    named = {
        name.strip()
        for text in texts
        for found in re.findall(r"nightpress\[([a-z0-9, ]+)\]", text)
        for name in found.split(",")
    }
    assert named <= SETTINGS["optional-dependencies"].keys()
