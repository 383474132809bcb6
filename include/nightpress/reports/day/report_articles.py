"""The day's articles, a piece at a time: for the page, for examples of failures, for rejected rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from nightpress.reports.day.categories import label, metadata_columns
from nightpress.reports.stored_days import open_answers
from nightpress.results.answers_schema import output_fields
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
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_ROWS = 2_000
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Article:
    """A row of the day as it is shown.

    :param fields: of a typed answer, by name, in the schema's order; empty for an answer that is plain text.
    :param group: value of the grouping column; empty without one.
    :param language: BCP 47 tag, or empty.
    :param failure: why there is no answer; empty when there is one.
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


@dataclass(slots=True)
class Kind:
    """Failures or rejected rows of one kind, with a few examples."""

    name: str
    count: int
    examples: list[str] = field(default_factory=list)


def iter_articles(path: StoragePath, group: str | None) -> Iterator[Article]:
    """Yield the articles of a day in their order, holding few at a time."""
    with open_answers(path) as file:
        names = file.schema_arrow.names
        metadata = metadata_columns(file.schema_arrow)
        typed = [field.name for field in output_fields(file.schema_arrow)]
        language = next((name for name in metadata if name.lower() in {"language", "lang"}), None)
        wanted = {*_COLUMNS, *([group] if group else ()), *([language] if language else ()), *typed}
        columns = [name for name in names if name in wanted]
        for batch in file.iter_batches(_ROWS, columns=columns):
            for row in batch.to_pylist():
                failed = row.get("status") != "succeeded"
                tag = row.get(language) if language else None
                yield Article(
                    id=row.get("article_id") or "",
                    title=row.get("title") or "",
                    answer=row.get("text") or "",
                    fields=[(name, row.get(name)) for name in typed if not failed],
                    group=label(row.get(group)) if group else "",
                    language=tag if isinstance(tag, str) and _LANGUAGE.fullmatch(tag) else "",
                    failure=(row.get("error_type") or row.get("status") or "missing") if failed else "",
                    message=(row.get("error_message") or "") if failed else "",
                    cut=row.get("stop_reason") == "max_tokens",
                    reused=bool(row.get("reused")),
                )


def find_examples(path: StoragePath, failed: Sequence[tuple[str, int]]) -> list[Kind]:
    """Return the kinds of failure with their first examples: the id, and the API's message."""
    kinds = {name: Kind(name, number) for name, number in failed}
    wanted = len(kinds) * _EXAMPLES
    columns = ["article_id", "status", "error_type", "error_message"]
    with open_answers(path) as file:
        for batch in file.iter_batches(_ROWS * 10, columns=columns):
            for row in batch.to_pylist() if kinds else ():
                if row["status"] == "succeeded":
                    continue
                kind = kinds.get(row.get("error_type") or row["status"])
                if kind is not None and len(kind.examples) < _EXAMPLES:
                    message = row.get("error_message")
                    kind.examples.append(f"{row['article_id']}: {message}" if message else row["article_id"])
                    wanted -= 1
            if wanted <= 0:
                break
    return list(kinds.values())


def read_rejected(path: StoragePath | None) -> list[Kind]:
    """Return why rows were rejected, most first, with the places of the first of each."""
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
                        places.append(f"{name}{at}{who}")
    except (OSError, KeyError, pa.ArrowException):
        return []
    return [Kind(reason, number, examples[reason]) for reason, number in counts.most_common()]
