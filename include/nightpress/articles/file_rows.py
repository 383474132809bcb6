"""Rows of a file, whatever its format.

What a parser says about a bad file may quote the file, so its words are never passed on, nor chained as a
cause: errors name the file, the place, the kind of trouble and the remedy, and are raised after the
``except`` block has been left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import BinaryIO

from nightpress.articles.article import FieldMap
from nightpress.articles.csv_rows import iter_csv
from nightpress.articles.json_rows import iter_json, iter_jsonl
from nightpress.articles.parquet_rows import iter_parquet
from nightpress.articles.raw_row import Row
from nightpress.articles.source_files import format_of, open_file
from nightpress.errors import InputError
from nightpress.storage import StoragePath

log = logging.getLogger(__name__)

_PARQUET_MAGIC = b"PAR1"


def iter_rows(path: StoragePath, fields: FieldMap, encoding: str) -> Iterator[Row]:
    """Yield the rows of a file; an empty file has none, and says so in a warning.

    :param encoding: of CSV and TSV; JSON and JSONL are UTF-8.
    :raises InputError: the file cannot be opened or parsed.
    """
    empty = True
    with open_file(path) as (stream, head):
        if head:
            for row in _parse(stream, head, path, fields, encoding):
                empty = False
                yield row
    if empty:
        log.warning("%s is empty: there are no articles in it", path)


def _parse(
    stream: BinaryIO, head: bytes, path: StoragePath, fields: FieldMap, encoding: str
) -> Iterator[Row]:
    kind = "parquet" if head == _PARQUET_MAGIC else format_of(path)
    match kind:
        case "json":
            return iter_json(stream, path)
        case "jsonl":
            return iter_jsonl(stream, path)
        case "csv":
            return iter_csv(stream, path, fields, encoding, ",")
        case "tsv":
            return iter_csv(stream, path, fields, encoding, "\t")
        case "parquet" if head == _PARQUET_MAGIC:
            return iter_parquet(stream, path, fields)
    raise InputError(f"{path} is not a Parquet file, whatever its name says; write it again, or rename it")
