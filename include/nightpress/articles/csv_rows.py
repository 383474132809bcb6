"""Rows of CSV and TSV, with the standard library's parser in its strict form.

Strict, because the lenient one takes a quote that is never closed for text up to the end of the file, and
would send a cut-off article as if it were whole.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from nightpress.articles.article import FieldMap
from nightpress.articles.byte_streams import CountedReader
from nightpress.articles.raw_row import MAX_ROW_CHARS, BadRow, Row, check_columns
from nightpress.errors import InputError
from nightpress.storage import StoragePath

_BLOCK = 1024 * 1024


def iter_csv(
    stream: BinaryIO, path: StoragePath, fields: FieldMap, encoding: str, delimiter: str
) -> Iterator[Row]:
    """Yield each row as a dict by the names of the header line, or as :class:`BadRow`; empty values are None.

    :param encoding: any of Python's; UTF-8 may begin with a byte order mark.
    :raises InputError: naming the line (quotes), the byte (encoding) or the columns that are missing.
    """
    if csv.field_size_limit() < MAX_ROW_CHARS:
        csv.field_size_limit(MAX_ROW_CHARS)
    counted = CountedReader(stream, _BLOCK)
    codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    reader = csv.reader(
        io.TextIOWrapper(counted, encoding=codec, newline=""), delimiter=delimiter, strict=True
    )
    line = 1
    try:
        header = next(reader, None)
        if header is not None:
            check_columns(path, header, fields)
            width = len(header)
            line = reader.line_num + 1
            for values in reader:
                if len(values) == width:
                    yield line, {name: value or None for name, value in zip(header, values, strict=True)}
                elif values:
                    yield line, BadRow(len(values), width)
                line = reader.line_num + 1
        return
    except UnicodeDecodeError as error:
        byte = counted.given_bytes - len(error.object) + error.start
        problem = (
            f"byte {byte:,} (after line {reader.line_num}) is not {encoding}; say what the file is in, e.g. "
            "encoding='cp1252', 'gb18030' or 'utf-16', or save it as UTF-8"
        )
    except UnicodeError:
        problem = f"the file is not {encoding}; say what it is in with encoding=, or save it as UTF-8"
    except csv.Error:
        problem = (
            f"the row that begins on line {line} is not valid CSV: a quote that is not closed or not doubled, "
            "or a stray line break; mend it, or write the file again with a CSV library"
        )
    raise InputError(f"{path}: {problem}. No article is sent until then")
