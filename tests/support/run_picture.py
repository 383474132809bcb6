"""A picture of ``nightpress run`` in a terminal, for the docs: ``python -m tests.support.run_picture FILE``.

The run is a real one, of the sample, on the offline API and an Airflow of its own. Its output is recorded and
drawn by rich as SVG, with this machine's paths, ports and the key of the login link replaced.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from launch.commands import run_instance
from launch.environment import PROJECT
from launch.live_view import render_progress
from launch.progress import ShardProgress
from launch.reporter import Reporter
from launch.run_request import read_request

DAY = "2026-11-22"
COLUMNS = 110
_FONTS = re.compile(r"@font-face\s*\{[^}]*\}\s*")
_REPLACED = (
    (re.compile(r"key=\S+"), "key=…"),
    (re.compile(r"(Offline API at http://127\.0\.0\.1):\d+"), r"\1:46411"),
    (re.compile(r"127\.0\.0\.1:(?!46411)\d+"), "127.0.0.1:8080"),
    (re.compile(r"make_run__[0-9T:.+-]+"), "make_run__…"),
    (re.compile(r"\b\d+ s\b"), "… s"),
)
"""Patterns of text that differs between runs or machines."""


class RecordingReporter(Reporter):
    """Prints as the command does, and records what would stay on the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.progress: list[ShardProgress] = []
        self.block_after = 0

    def say(self, line: str) -> None:
        """Print a line that stays, and record it."""
        super().say(line)
        self.lines += line.split("\n")

    def show(self, shards: Sequence[ShardProgress]) -> None:
        """Show the shards' states, and record the place of the block: below the lines printed so far."""
        super().show(shards)
        self.progress, self.block_after = list(shards), len(self.lines)

    def to_svg(self, folder: str) -> str:
        """Return the output as SVG.

        :param folder: of this run's files; its path is replaced.
        """
        console = Console(
            file=io.StringIO(), record=True, force_terminal=True, width=COLUMNS, highlight=False, markup=False
        )
        console.print(Text(f"$ nightpress run --day {DAY}", style="bold"))
        for number, line in enumerate(self.lines):
            if number == self.block_after:
                console.print(render_progress(self.progress, datetime.now(UTC)))
            console.print(Text(self._without_places(line, folder)), soft_wrap=False)
        # So that a page that shows it loads nothing else.
        return _FONTS.sub("", console.export_svg(title="nightpress run"))

    @staticmethod
    def _without_places(line: str, folder: str) -> str:
        line = line.replace(f"{folder}/", "").replace(f"{PROJECT}/", "")
        for pattern, replacement in _REPLACED:
            line = pattern.sub(replacement, line)
        return line


def main(file: str) -> int:
    """Run the sample's day in a folder of its own, draw it and return the run's exit code."""
    reporter = RecordingReporter()
    with tempfile.TemporaryDirectory(prefix="nightpress-picture-") as folder:
        own = {"NIGHTPRESS_HOME": f"{folder}/airflow", "NIGHTPRESS_ROOT": f"{folder}/data"}
        os.environ |= own | {"ANTHROPIC_API_KEY": ""}
        request = read_request(articles="", day=DAY, model="", limit="", project=PROJECT)
        code = run_instance("run", request, None, reporter)
        if code == 0:
            Path(file).write_text(reporter.to_svg(folder), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
