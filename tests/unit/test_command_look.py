"""``nightpress look`` on every kind of source: what it shows, and that what it says helps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from message_batches.command.main import main
from nightpress.plain_text import for_terminal
from tests.support.look_pictures import LOOKS, draw
from tests.support.source_kinds import READ, REFUSED, WITH_SETTING, Kind

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def arguments(kind: Kind) -> list[str]:
    """Return how a kind's settings are said to the command."""
    given = [part for name, value in kind.fields.items() for part in (f"--{name}", value)]
    for name, value in kind.options.items():
        given += ["-o", f"{name}={','.join(value) if isinstance(value, (list, tuple)) else value}"]
    return given


@pytest.mark.parametrize("kind", [*READ, *WITH_SETTING], ids=lambda kind: kind.name)
def test_a_look_shows_what_would_be_read(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kind.rows is not None
    source = str(kind.write(tmp_path))
    assert main(["look", source, *arguments(kind)]) == 0
    shown = capsys.readouterr().out
    count = len(kind.rows)
    assert re.search(rf"^  rows      {count:,}$", shown, re.MULTILINE)
    assert re.search(rf"^  articles  {count:,}$", shown, re.MULTILINE)
    assert re.search(r"^\d+ file\(s\)", shown)
    assert re.search(r"^read as\n(  \d+ × .+\n)+", shown, re.MULTILINE)
    assert re.search(
        r"^fields\n  content  from '.+'\n  title    from .+\n  id       from .+", shown, re.MULTILINE
    )
    assert "every row was read" in shown
    # The first articles, as they would be sent.
    texts = [for_terminal(row["content"], 400) for row in kind.rows]
    assert sum(f"  {text}\n" in shown for text in texts) == min(count, 3)
    assert all(for_terminal(row["title"]) in shown for row in kind.rows if row["title"])
    assert main(["look", source, *arguments(kind), "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["articles"] == count
    assert all(row["content"][:12] not in printed for row in kind.rows)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_a_look_at_what_is_refused_says_why_and_what_to_do(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["look", str(kind.write(tmp_path))]) == 1
    out, error = capsys.readouterr()
    assert kind.words in out + error
    assert "every row was read" not in out
    assert ("cannot be read" in out) != ("refused:" in error)
    options = [name for name in re.findall(r"\b([a-z_]+)=", kind.words) if name != "fields"]
    assert all(f"-o {name}=…" in out for name in options)
    if "fields=" in kind.words:
        assert "--content NAME" in out


def test_a_remedy_may_be_given_as_the_message_spells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("1;Café;Un café\n2;Thé;Un thé\n".encode("cp1252"))
    options = ["-o", "columns=['id', 'title', 'content']", "-o", "encoding='cp1252'", "-o", "delimiter=;"]
    assert main(["look", str(path), *options]) == 0
    assert "Un café" in capsys.readouterr().out
    assert main(["look", str(path), "-o", "fields={'content': 'x'}"]) != 0
    assert "--content" in capsys.readouterr().err


@pytest.mark.parametrize("name", LOOKS)
def test_the_pictures_show_what_the_command_says_now(name: str) -> None:
    assert (IMAGES / f"{name}.svg").read_text() == draw(name), "make screenshots"
