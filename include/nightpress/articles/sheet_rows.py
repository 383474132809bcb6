"""Read rows of spreadsheets (XLSX, XLS, XLSB and ODS) with python-calamine."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from nightpress.articles.byte_streams import read_whole
from nightpress.articles.extras import import_extra
from nightpress.articles.field_names import content_rank, known_name, plain
from nightpress.articles.raw_row import BadRow, FileRows, Row, check_columns
from nightpress.articles.reading_options import FieldMap, Reading, ReadOptions
from nightpress.errors import InputError


def open_sheet(stream: BinaryIO, file: str, reading: Reading) -> FileRows:
    """Open the sheet that ``record_path`` names; without it, the only sheet with a suitable header.

    :raises InputError: the file is damaged, or no sheet or several sheets are suitable.
    :raises ConfigurationError: the package for spreadsheets is not installed.
    """
    calamine = import_extra("python_calamine", file)
    options, report = reading.options, reading.report
    data = read_whole(stream, options.limits, file)
    workbook: Any = None
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = {
            name: workbook.get_sheet_by_name(name).to_python(skip_empty_area=True)
            for name in workbook.sheet_names
        }
    except Exception:  # the parser's message may quote the file
        workbook = None
    if workbook is None:
        raise InputError(f"{file} {_describe(data)}")
    name = _choose(sheets, file, options, reading.fields)
    rows = sheets[name]
    for other, cells in sheets.items():
        if other != name and cells:
            report.skip(f"{file}#{other}", "another sheet of the file; name it with record_path=")
    if options.columns is not None:
        columns, first = list(options.columns), 0
    else:
        columns, first = _header(rows)
    check_columns(file, columns, reading)
    report.detected(file, f"spreadsheet, sheet {name!r}")
    return FileRows(file, _iter_rows(rows, columns, first), columns)


def _choose(sheets: dict[str, list[list[Any]]], file: str, options: ReadOptions, fields: FieldMap) -> str:
    wanted = options.record_path
    if wanted is not None:
        if wanted not in sheets:
            raise InputError(
                f"{file} has no sheet {wanted!r}; it has {len(sheets)}: {', '.join(map(repr, sheets))}"
            )
        return wanted
    filled = [name for name, rows in sheets.items() if rows]
    fitting = [name for name in filled if _fits(_header(sheets[name])[0], fields)]
    if len(filled) == 1 and (options.columns is not None or fitting):
        return filled[0]
    if len(fitting) == 1:
        return fitting[0]
    problem = "several sheets" if fitting else "no sheet"
    raise InputError(
        f"{file} has {problem} whose first row names a column for the content; it has {len(sheets)}: "
        f"{', '.join(map(repr, sheets))}. Say which one it is: record_path='…', and which column: "
        "fields={'content': '…'}"
    )


def _fits(names: Sequence[str], fields: FieldMap) -> bool:
    if fields.content is not None:
        return any(plain(name) == plain(fields.content) for name in names)
    return any(content_rank(name) < content_rank("") for name in names) and any(map(known_name, names))


def _header(rows: list[list[Any]]) -> tuple[list[str], int]:
    """Return the names in the first row that has any, and the index of the first row after it."""
    for number, row in enumerate(rows):
        names = [str(cell).strip() for cell in row]
        if any(names):
            width = max(map(_width, rows[number:]))  # notes beside the table are fields, too
            names = (names + [""] * width)[:width]
            return [name or f"column_{n}" for n, name in enumerate(names, start=1)], number + 1
    return [], len(rows)


def _width(row: list[Any]) -> int:
    """Return the number of cells up to the last one with a value."""
    return next((number for number in range(len(row), 0, -1) if str(row[number - 1]).strip()), 0)


def _iter_rows(rows: list[list[Any]], columns: list[str], first: int) -> Iterator[Row]:
    for number, row in enumerate(rows[first:], start=first + 1):
        if (width := _width(row)) > len(columns):
            yield number, BadRow(width, len(columns))
            continue
        values = [None if cell == "" else cell for cell in row[: len(columns)]]
        if any(value is not None for value in values):
            values += [None] * (len(columns) - len(values))
            yield number, dict(zip(columns, values, strict=True))


def _describe(data: bytes) -> str:
    """Say why a file cannot be opened: some programs export a page or a text under the name of a spreadsheet."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<"):
        return "is HTML or XML, not a spreadsheet; open it in a spreadsheet program and save it as .xlsx"
    if head and b"\0" not in head:
        return "is text, not a spreadsheet; if it is a table, give it the ending .csv or .tsv"
    return "is damaged, locked by a password, or no spreadsheet; save it again"
