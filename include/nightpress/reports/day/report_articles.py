"""Read the day's articles a piece at a time: for the page, for examples of failures, for rejected rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from nightpress.plain_text import shorten
from nightpress.reports.day.categories import category_of, metadata_columns
from nightpress.reports.stored_days import open_answers
from nightpress.results.answers_schema import output_fields
from nightpress.statuses import MISSING, REFUSED, SUCCEEDED, TRUNCATED
from nightpress.storage import StoragePath

_COLUMNS = [
    "article_id",
    "title",
    "status",
    "text",
    "stop_reason",
    "error_type",
    "error_message",
    "round",
    "reused",
]
MAX_TITLE_CHARS = 300
MAX_ANSWER_CHARS = 20_000
"""Longer titles and answers are cut in the report; the Parquet has the full text."""

MAX_MESSAGE_CHARS = 500

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_ROWS = 2_000
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class ReportArticle:
    """A row of the day as it is shown.

    :param fields: fields of a typed answer by name, in the schema's order; empty for plain text.
    :param group: value of the grouping column; empty without one.
    :param language: BCP 47 tag, or empty.
    :param answer: the text, even if it is truncated.
    :param failure: why there is no answer; empty if there is one.
    """

    id: str
    title: str
    answer: str
    fields: Sequence[tuple[str, Any]]
    group: str
    language: str
    failure: str
    message: str
    cut: bool
    reused: bool
    status: str = ""


@dataclass(slots=True)
class Kind:
    """Failures or rejected rows of one kind, with a few examples."""

    name: str
    count: int
    examples: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """What the API said in the examples."""


def iter_report_articles(path: StoragePath, group: str | None) -> Iterator[ReportArticle]:
    """Yield the articles of a day in order, with only a few in memory at a time."""
    with open_answers(path) as file:
        names = file.schema_arrow.names
        metadata = metadata_columns(file.schema_arrow)
        typed = [field.name for field in output_fields(file.schema_arrow)]
        language = next((name for name in metadata if name.lower() in {"language", "lang"}), None)
        wanted = {*_COLUMNS, *([group] if group else ()), *([language] if language else ()), *typed}
        columns = [name for name in names if name in wanted]
        for batch in file.iter_batches(_ROWS, columns=columns):
            for row in batch.to_pylist():
                status = row.get("status") or MISSING
                failed = status != SUCCEEDED
                # Truncated text is still readable; a truncated typed answer is broken JSON.
                text = row.get("text") if not failed or (status in {TRUNCATED, REFUSED} and not typed) else ""
                tag = row.get(language) if language else None
                yield ReportArticle(
                    id=shorten(row.get("article_id") or "", MAX_TITLE_CHARS),
                    title=shorten(row.get("title") or "", MAX_TITLE_CHARS),
                    answer=shorten((text or "").strip(), MAX_ANSWER_CHARS),
                    fields=[(name, row.get(name)) for name in typed if not failed],
                    group=category_of(row.get(group)) if group else "",
                    language=tag if isinstance(tag, str) and _LANGUAGE.fullmatch(tag) else "",
                    failure=(row.get("error_type") or status) if failed else "",
                    message=shorten(row.get("error_message") or "", MAX_MESSAGE_CHARS) if failed else "",
                    cut=status == TRUNCATED or row.get("stop_reason") == "max_tokens",
                    reused=bool(row.get("reused")),
                    status=status,
                )


def find_examples(path: StoragePath, failed: Sequence[tuple[str, int]]) -> list[Kind]:
    """Return the kinds of failure with their first examples: id and message of the API."""
    kinds = {name: Kind(name, number) for name, number in failed}
    wanted = len(kinds) * _EXAMPLES
    columns = ["article_id", "status", "error_type", "error_message"]
    with open_answers(path) as file:
        for batch in file.iter_batches(_ROWS * 10, columns=columns):
            for row in batch.to_pylist() if kinds else ():
                if row["status"] == SUCCEEDED:
                    continue
                kind = kinds.get(row.get("error_type") or row["status"])
                if kind is not None and len(kind.examples) < _EXAMPLES:
                    article, message = row["article_id"], row.get("error_message")
                    told = f"{article}: {message}" if message else article
                    kind.examples.append(shorten(told, MAX_MESSAGE_CHARS))
                    kind.messages.append(message or "")
                    wanted -= 1
            if wanted <= 0:
                break
    return list(kinds.values())


def read_rejected(path: StoragePath | None) -> list[Kind]:
    """Return why rows were rejected, the most frequent reason first, with the positions of its first rows."""
    if path is None:
        return []
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    try:
        with open_answers(path) as file:
            for batch in file.iter_batches(_ROWS * 10, columns=["article_id", "file", "position", "reason"]):
                for row in batch.to_pylist():
                    counts[row["reason"]] += 1
                    places = examples.setdefault(row["reason"], [])
                    if len(places) < _EXAMPLES:
                        name = row["file"].rsplit("/", 1)[-1]
                        at = "" if row["position"] is None else f", row {row['position']:,}"
                        who = f" ({row['article_id']})" if row["article_id"] else ""
                        places.append(shorten(f"{name}{at}{who}", MAX_MESSAGE_CHARS))
    except (OSError, KeyError, pa.ArrowException):
        return []
    return [Kind(reason, number, examples[reason]) for reason, number in counts.most_common()]
