"""Printing to the terminal: every text that comes from files or from an API goes through here."""

from __future__ import annotations

import json
import sys
from typing import Any

from nightpress.plain_text import for_terminal_lines


def say(line: str = "") -> None:
    """Print a line on standard output."""
    _write(for_terminal_lines(line), error=False)


def warn(line: str) -> None:
    """Print a line on standard error."""
    _write(for_terminal_lines(line), error=True)


def say_json(value: Any) -> None:
    """Print a value as JSON, for programs; nothing else is then on standard output."""
    _write(json.dumps(value, indent=2, ensure_ascii=True), error=False)


def _write(text: str, *, error: bool) -> None:
    stream = sys.stderr if error else sys.stdout
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def local_path(uri: str) -> str:
    """Return a plain path for a file URL; other URLs stay as they are."""
    return uri.removeprefix("file://")
