"""Read Movable Type's export, a text file that TypePad, Hatena, Livedoor and Ameba blogs write, too.

An entry has lines ``TITLE: …``, then parts such as ``BODY:`` between lines of five hyphens; eight hyphens end it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from nightpress.articles.byte_streams import RawStream
from nightpress.articles.raw_row import Row
from nightpress.articles.reading_options import Reading, ReadLimits
from nightpress.errors import InputError

_HEAD = re.compile(r"(?:[A-Z][A-Z ]+: ?.*\r?\n)+-----\r?\n", re.MULTILINE)
_FIELD = re.compile(r"([A-Z][A-Z ]*): ?(.*)")
_NAMES = {"basename": "slug", "unique url": "url", "primary category": "category"}
_TEXTS = ("body", "extended body")


def is_movable_type(start: str) -> bool:
    r"""Return whether a text begins like such an export.

    >>> is_movable_type("TITLE: Rain\nDATE: 11/26/2026 06:00:00 AM\n-----\nBODY:\nIt rained.\n-----\n--------\n")
    True
    """
    head = _HEAD.match(start)
    return head is not None and re.search(r"^(?:TITLE|DATE|AUTHOR):", head[0], re.MULTILINE) is not None


def iter_entries(stream: BinaryIO, file: str, reading: Reading) -> Iterator[Row]:
    """Yield each entry but the drafts, which are counted in the report.

    :raises InputError: the last entry is cut off, or an entry is too long.
    """
    drafts = 0
    for position, lines in enumerate(_iter_entries(stream, file, reading.options.limits), start=1):
        row = _row_of_entry(lines)
        if str(row.get("status", "")).lower() == "draft":
            drafts += 1
        else:
            yield position, row
    if drafts:
        reading.report.warn(f"{drafts:,} drafts were left out", file)


def _iter_entries(stream: BinaryIO, file: str, limits: ReadLimits) -> Iterator[list[str]]:
    lines: list[str] = []
    size, problem = 0, ""
    text = io.TextIOWrapper(io.BufferedReader(RawStream(stream)), encoding="utf-8", newline=None)
    try:
        for line in text:
            if line.rstrip("\n") == "--------":
                yield lines
                lines, size = [], 0
                continue
            lines.append(line)
            size += len(line)
            if size > limits.max_row_bytes:
                problem = f"has an entry longer than {limits.max_row_bytes:,} characters; raise max_row_bytes"
                break
    except UnicodeDecodeError:
        problem = "is not UTF-8, unlike its beginning; say what it is in with encoding="
    if not problem and "".join(lines).strip():
        problem = "does not end its last entry with a line of eight hyphens: it is cut off; export it again"
    if problem:
        raise InputError(f"{file} {problem}. No article is sent until then")


def _row_of_entry(lines: list[str]) -> dict[str, Any]:
    parts = "".join(lines).split("-----\n")
    row: dict[str, Any] = {}
    for line in parts[0].splitlines():
        if (field := _FIELD.fullmatch(line)) is not None and field[2]:
            name = field[1].lower()
            row.setdefault(_NAMES.get(name, name.replace(" ", "_")), field[2])
    texts = []
    for part in parts[1:]:
        name, _, text = part.partition(":\n")
        if name.lower() in _TEXTS and text.strip():
            texts.append(text.strip("\n"))
        elif name.isupper() and name.lower() not in ("comment", "ping") and text.strip():
            row.setdefault(name.lower().replace(" ", "_"), text.strip())
    row["content"] = "\n\n".join(texts) or None
    return row
