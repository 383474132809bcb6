"""Printing to the terminal: every text that comes from files or from an API goes through here."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return a text that a terminal shows and does not obey.

    Control characters, direction overrides and lone surrogates become escapes; line feeds and tabs stay.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def say(line: str = "") -> None:
    """Print a line on standard output."""
    _write(printable(line), error=False)


def warn(line: str) -> None:
    """Print a line on standard error."""
    _write(printable(line), error=True)


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
