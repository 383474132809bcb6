"""Pictures of ``nightpress look`` for the docs: ``python -m tests.support.look_pictures``, a part of make screenshots.

The sources are typical: an Excel export with doubtful rows, and a folder in which one file is damaged.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_WIDTH = 110


def _export(folder: Path) -> list[str]:
    rows = [
        ("Artikel-Nr", "Überschrift", "Text", "Ressort"),
        ("4711", "Die Straße ist frei", "Seit Montag fahren wieder Züge über die Brücke. " * 60, "Lokales"),
        ("4712", "Regen", "Es hat geregnet; die Bäche führen Wasser, die Wiesen sind grün.", "Wetter"),
        ("4713", "Nachtrag", "", "Lokales"),
        ("4712", "Regen", "Es hat geregnet, und es regnet weiter.", "Wetter"),
    ]
    text = "".join(";".join(f'"{value}"' for value in row) + "\r\n" for row in rows)
    (folder / "export.csv").write_bytes(text.encode("cp1252"))
    return ["export.csv", "--id", "Artikel-Nr", "--title", "Überschrift", "--content", "Text"]


def _damaged(folder: Path) -> list[str]:
    news = folder / "news"
    news.mkdir()
    (news / "a.jsonl").write_text('{"_id": 1, "headline": "Rain", "body": "It rained in the night."}\n')
    (news / "b.jsonl").write_text('{"_id": 2, "headline": "Sun", "body": "The sun ca')
    (news / "minutes.docx").write_text("")
    return ["news"]


LOOKS: Mapping[str, Callable[[Path], list[str]]] = {"look": _export, "look-damaged": _damaged}
"""By picture name, a function that makes the source in a folder and returns the arguments."""


def draw(name: str) -> str:
    """Return the picture of a look as SVG."""
    from message_batches.command.main import main

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        arguments = LOOKS[name](Path(folder))
        shown = io.StringIO()
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(shown):
                main(["look", *arguments])
        finally:
            os.chdir(here)
        lines = shown.getvalue().replace(f"{os.path.realpath(folder)}/", "").replace(f"{folder}/", "")
    console = Console(width=_WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ nightpress look {' '.join(arguments)}", style="bold"))
    console.print(Text(lines.rstrip("\n")))
    return console.export_svg(title="nightpress look", unique_id=name)


def main() -> None:
    """Write the pictures."""
    for name in LOOKS:
        (IMAGES / f"{name}.svg").write_text(draw(name))


if __name__ == "__main__":
    main()
