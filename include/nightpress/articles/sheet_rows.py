"""Read rows of spreadsheets (XLSX, XLS, XLSB and ODS) with python-calamine."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from nightpress.articles.byte_streams import read_whole
from nightpress.articles.extras import import_extra
from nightpress.articles.field_names import content_rank, known_name, plain, show_names
from nightpress.articles.raw_row import BadRow, FileRows, Row, check_columns
from nightpress.articles.reading_options import FieldMap, Reading, ReadOptions
from nightpress.errors import InputError

_EXACT_FLOAT = 2**53
_MAX_ABOVE = 20
"""Rows in which the names of the columns are searched below a title."""


def open_sheet(stream: BinaryIO, file: str, reading: Reading) -> FileRows:
    """Open the sheet that ``record_path`` names; without it, the only sheet with a suitable header.

    :raises InputError: the file is damaged, or no sheet or several sheets are suitable.
    :raises ConfigurationError: the package for spreadsheets is not installed.
    """
    calamine = import_extra("python_calamine", file)
    options, report = reading.options, reading.report
    data = read_whole(stream, options.limits, file)
    sheets = _read_sheets(calamine, data)
    if sheets is None:
        raise InputError(f"{file} {_describe(data)}")
    name = _choose(sheets, file, options, reading.fields)
    sheet = sheets[name]
    for other, another in sheets.items():
        if other != name and another.rows:
            report.skip(f"{file}#{other}", "another sheet of the file; name it with record_path=")
    if options.columns is not None:
        columns, first = list(options.columns), 0
    else:
        columns, first = _header(sheet.rows)
        if options.record_path is not None and not _fits(columns, reading.fields):
            _refuse_lines_above(file, sheet, reading.fields)
    check_columns(file, columns, reading)
    report.detected(file, f"spreadsheet, sheet {name!r}")
    if merged := sheet.merged_columns(columns, first):
        report.warn(
            f"cells are merged over several rows in {show_names(merged)}, and only the first of these rows has the "
            "value; if each row needs it, unmerge the cells and fill them",
            file,
        )
    return FileRows(file, _iter_rows(sheet, columns, first), columns)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The cells of a sheet from its first used row and column on.

    :param top: the number of empty rows above them.
    :param left: the number of empty columns beside them.
    :param merged: the first and the last cell of each merged range, from 0 in the whole sheet.
    """

    rows: list[list[Any]]
    top: int
    left: int
    merged: tuple[tuple[tuple[int, int], tuple[int, int]], ...]

    @classmethod
    def of(cls, sheet: Any) -> _Sheet:
        """Return the cells of a sheet; kinds of files whose merged cells are not known have none."""
        top, left = sheet.start or (0, 0)
        return cls(sheet.to_python(skip_empty_area=True), top, left, tuple(sheet.merged_cell_ranges or ()))

    def merged_columns(self, columns: Sequence[str], first: int) -> list[str]:
        """Return the columns in which a cell is merged over several rows of the table."""
        found: dict[str, None] = {}
        for (start, left), (end, right) in self.merged:
            if end > max(start, self.top + first):
                found.update(dict.fromkeys(columns[max(0, left - self.left) : right - self.left + 1]))
        return list(found)


def _read_sheets(calamine: Any, data: bytes) -> dict[str, _Sheet] | None:
    """Return the sheets by their names; None if the file cannot be read, since the parser may quote it."""
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        return {name: _Sheet.of(workbook.get_sheet_by_name(name)) for name in workbook.sheet_names}
    except Exception:
        return None


def _choose(sheets: Mapping[str, _Sheet], file: str, options: ReadOptions, fields: FieldMap) -> str:
    wanted = options.record_path
    if wanted is not None:
        if wanted not in sheets:
            raise InputError(
                f"{file} has no sheet {wanted!r}; it has {len(sheets)}: {', '.join(map(repr, sheets))}"
            )
        return wanted
    filled = [name for name, sheet in sheets.items() if sheet.rows]
    fitting = [name for name in filled if _fits(_header(sheets[name].rows)[0], fields)]
    if len(filled) == 1 and (options.columns is not None or fitting):
        return filled[0]
    if len(fitting) == 1:
        return fitting[0]
    if len(filled) == 1:
        _refuse_lines_above(file, sheets[filled[0]], fields)
    problem = "several sheets" if fitting else "no sheet"
    raise InputError(
        f"{file} has {problem} whose first row names a column for the content; it has {len(sheets)}: "
        f"{', '.join(map(repr, sheets))}. Say which one it is: record_path='…', and which column: "
        "fields={'content': '…'}"
    )


def _refuse_lines_above(file: str, sheet: _Sheet, fields: FieldMap) -> None:
    """Raise InputError if a later row looks like the names of the columns, as below a title."""
    for number, row in enumerate(sheet.rows[:_MAX_ABOVE], start=sheet.top + 1):
        if _fits([str(cell).strip() for cell in row], fields):
            raise InputError(
                f"{file}: row {number:,} looks like the names of the columns; remove the rows above it. No article is "
                "sent until then"
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


def _iter_rows(sheet: _Sheet, columns: list[str], first: int) -> Iterator[Row]:
    """Yield the rows below the header, with their numbers in the sheet."""
    for number, row in enumerate(sheet.rows[first:], start=sheet.top + first + 1):
        if (width := _width(row)) > len(columns):
            yield number, BadRow(width, len(columns))
            continue
        values = [_value(cell) for cell in row[: len(columns)]]
        if any(value is not None for value in values):
            values += [None] * (len(columns) - len(values))
            yield number, dict(zip(columns, values, strict=True))


def _value(cell: Any) -> Any:
    """Return the value of a cell: a whole number as one, as the program shows it; files know only floats."""
    if type(cell) is float and cell.is_integer() and abs(cell) < _EXACT_FLOAT:
        return int(cell)
    return None if cell == "" else cell


def _describe(data: bytes) -> str:
    """Say why a file cannot be opened: some programs export a page or a text under the name of a spreadsheet."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<"):
        return "is HTML or XML, not a spreadsheet; open it in a spreadsheet program and save it as .xlsx"
    if head and b"\0" not in head:
        return "is text, not a spreadsheet; if it is a table, give it the ending .csv or .tsv"
    return "is damaged, locked by a password, or no spreadsheet; save it again"
