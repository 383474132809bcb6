"""Read the rows of a table that has backslash escapes and no quotes, as MySQL and Postgres write it."""

from __future__ import annotations

import re
from collections.abc import Iterator

ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0", "Z": "\x1a"}
"""What stands after the backslash, and what it means; any other character stands for itself."""


def split_escaped(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    r"""Yield the rows of a table without quotes but with backslash escapes, as MySQL and Postgres write it.

    >>> list(split_escaped(iter(["1\ta\\tb\\\n", "c\t\\N\n"]), "\t"))
    [['1', 'a\tb\nc', '\\N']]
    """
    cell = re.compile(rf"(?:[^\\{re.escape(delimiter)}]|\\.)*", re.DOTALL)
    for line in lines:
        row = line
        while (len(row.rstrip("\r\n")) - len(row.rstrip("\r\n").rstrip("\\"))) % 2:
            more = next(lines, None)
            if more is None:
                break
            row += more
        row = row.removesuffix("\n").removesuffix("\r")
        if "\\" not in row:
            yield row.split(delimiter)
            continue
        cells, position = [], 0
        while True:
            match = cell.match(row, position)
            assert match is not None
            cells.append(_unescape(match[0]))
            position = match.end() + 1
            if position > len(row):
                break
        yield cells


def _unescape(cell: str) -> str:
    if "\\" not in cell or cell == "\\N":
        return cell
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), cell, flags=re.DOTALL)
