"""Read a published day as articles: the answers of one pipeline are the input of the next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import time
from typing import Any

import msgspec
import pyarrow as pa

from nightpress.articles.article import Article, ReadStats, Rejected
from nightpress.articles.published_source import Published
from nightpress.errors import InputError
from nightpress.parquet_files import open_parquet
from nightpress.results.answer_columns import with_statuses
from nightpress.results.answers_schema import metadata_fields, output_fields
from nightpress.statuses import SUCCEEDED
from nightpress.storage import StoragePath

_ROWS = 2_000


def iter_published(
    path: StoragePath, source: Published, day: str, stats: ReadStats, limit: int | None = None
) -> Iterator[Article | Rejected]:
    """Yield the answers of a published day as articles; an article without an answer is rejected.

    Their metadata is that of the source, the fields of typed answers, and ``day``. With ``source.whole``, the
    day is one article (none without answers): its id is the day, and ``articles`` counts the answers in it.

    :param path: the published file.
    :param limit: read at most this many articles.
    :raises InputError: the day is not published, cannot be read, or lacks the content column.
    """
    rows = _iter_articles(path, source, day, stats)
    if not source.whole:
        yield from _first(rows, limit)
        return
    texts = [
        f"# {row.title}\n{row.content}" if row.title else row.content
        for row in _first(rows, limit)
        if isinstance(row, Article)
    ]
    if texts:
        about: dict[str, object] = {"day": day, "articles": len(texts)}
        yield Article(day, f"{source.pipeline} {day}", "\n\n".join(texts), about, str(path), 1)


def _first(rows: Iterator[Article | Rejected], limit: int | None) -> Iterator[Article | Rejected]:
    left = math.inf if limit is None else limit
    for row in rows if left > 0 else ():
        yield row
        left -= isinstance(row, Article)
        if left <= 0:
            return


def _iter_articles(
    path: StoragePath, source: Published, day: str, stats: ReadStats
) -> Iterator[Article | Rejected]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_parquet(path))
        except FileNotFoundError:
            raise InputError(
                f"{source.pipeline} has not published {day}: there is no {path}. Run it for that day first."
            ) from None
        except pa.ArrowInvalid:
            raise InputError(
                f"{path} is not a Parquet file; publish the day of {source.pipeline} again"
            ) from None
        columns = _columns(file.schema_arrow, source, path)
        wanted = dict.fromkeys(["article_id", "title", "status", "text", "stop_reason", *columns])
        for batch in file.iter_batches(_ROWS, columns=list(wanted)):
            rows = with_statuses(pa.Table.from_batches([batch]), file.schema_arrow)
            for row in rows.select(["article_id", "title", "status", *columns]).to_pylist():
                stats.rows += 1
                yield _read(row, source, day, str(path), stats.rows)


def _columns(schema: pa.Schema, source: Published, path: StoragePath) -> list[str]:
    own = [column.name for column in (*metadata_fields(schema), *output_fields(schema))]
    if source.content not in ("text", *own):
        raise InputError(
            f"{path} has no column {source.content!r} to read; it has text, {', '.join(own)}. Correct content= of "
            "the source."
        )
    return list(dict.fromkeys([source.content, *own]))


def _read(row: dict[str, Any], source: Published, day: str, file: str, position: int) -> Article | Rejected:
    article_id, title, status = row.pop("article_id"), row.pop("title") or "", row.pop("status")
    content = _plain(row.pop(source.content))
    text = "" if content is None else str(content)
    if status != SUCCEEDED or not text.strip():
        detail = f"{source.pipeline} has no answer: {status}" if status != SUCCEEDED else "it is empty"
        return Rejected(article_id[:200], file, position, "missing_content", detail)
    metadata = {name: _plain(value) for name, value in row.items()} | {"day": day}
    return Article(article_id, title, text, metadata, file, position)


def _plain(value: object) -> object:
    if isinstance(value, (list, dict)):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value) if isinstance(value, time) else value
