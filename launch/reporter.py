"""Where ``nightpress run`` and ``up`` print: a block that rich redraws on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from launch.live_view import MAX_LINES, render_progress
from launch.progress import ShardProgress, changes
from nightpress.plain_text import for_terminal_lines

_LINES_BELOW = 4
"""Lines of a terminal that are kept free for the bar and later output."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Continue without output; rich itself would end the process, and with it the run."""
        self.quiet = True


class Reporter:
    """Prints lines that stay, and on a terminal keeps one live block below them.

    :param stream: (default: standard output).
    :param console: of the terminal; tests pass one that records (default: one for the stream, if it is a terminal).
    """

    def __init__(self, stream: TextIO | None = None, console: Console | None = None) -> None:
        self._stream = stream or sys.stdout
        if console is None and self._stream.isatty():
            console = _Console(file=self._stream, highlight=False, markup=False, emoji=False)
        self._console = None if console is None or console.is_dumb_terminal else console
        self._live: Live | None = None
        self._shards: list[ShardProgress] = []
        self._status = ""

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if self._console is None:
            self._write(f"{line}\n")
        else:
            with self._patience():
                # rich prints above the live block and draws it again.
                self._console.print(Text(for_terminal_lines(line)), soft_wrap=True)

    def status(self, line: str) -> None:
        """Show a line that the next one replaces; without a terminal, print it if it is new."""
        if self._console is not None:
            self._draw(Text(for_terminal_lines(line), style="cyan") if line else None)
        elif line and line != self._status:
            self._write(f"{line}\n")
        self._status = line

    def show(self, shards: Sequence[ShardProgress]) -> None:
        """Show the shards' states; without a terminal, print a line for each that has changed."""
        now = datetime.now(UTC)
        if self._console is not None:
            lines = max(1, min(MAX_LINES, self._console.height - _LINES_BELOW))
            self._draw(render_progress(shards, now, lines=lines))
        else:
            for line in changes(self._shards, shards):
                self._write(f"{now.astimezone():%H:%M:%S} {line}\n")
        self._shards = list(shards)

    def finish(self) -> None:
        """Leave the live block in place; later output is printed below it."""
        if self._live is not None:
            live, self._live = self._live, None
            with self._patience():
                live.stop()

    def _draw(self, block: RenderableType | None) -> None:
        assert self._console is not None
        if block is None:
            if self._live is not None:
                self._live.transient = True
            self.finish()
            return
        with self._patience():
            if self._live is None:
                # Drawn on each change, not by a thread, because of the child processes and signals here.
                self._live = Live(
                    console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
                )
                self._live.start()
            self._live.update(block, refresh=True)

    def _write(self, text: str) -> None:
        with self._patience():
            self._stream.write(for_terminal_lines(text))
            self._stream.flush()

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Continue without output when the reader of the output is gone."""
        try:
            yield
        except (OSError, ValueError):
            self._console = self._live = None
            self._stream = open("/dev/null", "w", encoding="utf-8")  # noqa: PTH123, SIM115
