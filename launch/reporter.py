"""Where `nightpress run` and `up` print: a block that is redrawn on a terminal, plain lines anywhere else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from launch.progress import ShardProgress, block, changes


class Reporter:
    """Prints lines, and keeps one live block below them.

    :param stream: (default: standard output).
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._drawn: list[str] = []
        self._shards: list[ShardProgress] = []
        self._status = ""

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._erase()
        self._write(line + "\n")

    def status(self, line: str) -> None:
        """Show a line that the next one replaces; without a terminal it is printed when it is new."""
        if self._live:
            self._draw([line] if line else [])
        elif line and line != self._status:
            self._write(line + "\n")
        self._status = line

    def show(self, shards: Sequence[ShardProgress]) -> None:
        """Show where the shards are."""
        if self._live:
            columns = shutil.get_terminal_size().columns
            self._draw(block(shards, datetime.now(UTC), columns=columns))
        else:
            for line in changes(self._shards, shards):
                self._write(f"{datetime.now():%H:%M:%S} {line}\n")
        self._shards = list(shards)

    def finish(self) -> None:
        """Leave the live block where it is."""
        self._drawn = []

    def _draw(self, lines: list[str]) -> None:
        if lines == self._drawn:
            return
        self._erase()
        self._write("".join(f"{line}\n" for line in lines))
        self._drawn = lines

    def _erase(self) -> None:
        if self._drawn:
            self._write(f"\x1b[{len(self._drawn)}A\x1b[J")
            self._drawn = []

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._stream = open_null()
            self._live = False


def open_null() -> TextIO:
    """Give a stream that forgets: whoever read the output is gone, the run goes on."""
    return open("/dev/null", "w", encoding="utf-8")  # noqa: PTH123
