"""``nightpress --version``: the versions that a report of a problem should name."""

from __future__ import annotations

import platform
import tomllib
from importlib.metadata import PackageNotFoundError, version

import typer

from message_batches.command.command_settings import find_declaration
from message_batches.command.console import say

_BESIDE = {"Airflow": "apache-airflow-core", "anthropic": "anthropic"}


def version_text() -> str:
    """Return the version of Nightpress and of what it works with; a checkout says that it is one."""
    parts = [f"{name} {found}" for name, package in _BESIDE.items() if (found := _version_of(package))]
    return ", ".join([f"nightpress {_own_version()}", *parts, f"Python {platform.python_version()}"])


def show_version(wanted: bool) -> None:
    """Print the versions and end, if they are asked for."""
    if wanted:
        say(version_text())
        raise typer.Exit


def _own_version() -> str:
    declaration = find_declaration()
    if declaration is None:
        return _version_of("nightpress") or "unknown"
    project = tomllib.loads(declaration.read_text(encoding="utf-8"))["project"]
    return f"{project['version']} (checkout)"


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
