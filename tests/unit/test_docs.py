"""What the docs repeat from the code is the same there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nightpress.statuses import STATUSES

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("include/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    missing = [
        target
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_no_page_holds_both_sides_of_a_merge(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|>{7}) .*", page.read_text(encoding="utf-8"), re.MULTILINE) == []


def test_the_glossary_has_every_status_and_no_other() -> None:
    section = (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8").split("## Statuses")[1]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == sorted(
        STATUSES, key=re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE).index
    )
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(STATUSES)


def test_both_readmes_begin_with_the_same_two_commands() -> None:
    commands = [
        re.findall(r"^\$ make (\w+)", (PROJECT / name).read_text(encoding="utf-8"), re.MULTILINE)[:2]
        for name in ("README.md", "README.zh.md")
    ]
    assert commands[0] == commands[1] == ["run", "test"]


def test_the_reference_is_what_the_code_says() -> None:
    from launch.reference import TARGET, write_reference

    assert TARGET.read_text(encoding="utf-8") == write_reference(), "run `make reference`"
