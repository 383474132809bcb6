"""``nightpress licences``: every package with its licence, and no pretended list of advisories."""

from __future__ import annotations

import json
from email.message import Message

import pytest

from message_batches.command.licences_command import Licence, _find_licence
from message_batches.command.main import main


def test_every_installed_package_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["licences", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = {package["package"]: package["licence"] for package in told["packages"]}
    assert found["apache-airflow-core"] == "Apache-2.0"
    assert {"pandas", "pyarrow", "anthropic", "typer"} <= found.keys()
    assert told["advisories"] is None
    assert "pip-audit" in told["note"]


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "BSD")], ("MIT", "expression")),
        ([("Classifier", "License :: OSI Approved :: MIT License")], ("MIT License", "classifier")),
        ([("Classifier", "License :: OSI Approved"), ("License", "BSD\nlong text")], ("BSD", "field")),
        ([("License", "UNKNOWN")], ("unknown", "none")),
        ([], ("unknown", "none")),
    ],
)
def test_where_a_licence_is_told(fields: list[tuple[str, str]], licence: tuple[str, str]) -> None:
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    assert _find_licence(metadata) == licence


@pytest.mark.parametrize(
    ("licence", "looked_at"), [("MIT", False), ("unknown", True), ("LGPL-2.1", True), ("Apache-2.0", False)]
)
def test_what_needs_a_look(licence: str, looked_at: bool) -> None:
    assert Licence("p", "1", licence, "field").needs_a_look is looked_at
