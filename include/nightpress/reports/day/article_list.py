"""Every article's title with its answer, in groups that fold, for a day of any size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

from nightpress.reports.day.categories import MOST_VALUES
from nightpress.reports.day.day_report import PipelineDay
from nightpress.reports.day.report_articles import Article, iter_articles
from nightpress.reports.typed_values import Escape, fields_as_html
from nightpress.reports.wording import counted

OPEN_UP_TO = 300
"""A day of so many articles is shown unfolded."""

FOLD = 500
"""Articles in one fold; a larger group has several."""

_IN_MEMORY = 1_000_000
_COPY = 1 << 20


class _Group:
    """The articles of one group, laid out and kept aside: groups come mixed, and a day may not fit memory."""

    def __init__(self, stack: ExitStack) -> None:
        self.file: IO[bytes] = stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - the stack closes it
        self.count = 0
        self.folds: list[tuple[int, int]] = []

    def add(self, html: str) -> None:
        """Add an article."""
        if self.count % FOLD == 0:
            self.folds.append((self.count, self.file.tell()))
        self.file.write(html.encode("utf-8", "replace"))
        self.count += 1

    def iter_folds(self) -> Iterator[tuple[int, int, Iterator[str]]]:
        """Yield for each fold its first and last number and its pieces."""
        ends = [*self.folds[1:], (self.count, self.file.tell())]
        self.file.seek(0)
        for (first, start), (last, end) in zip(self.folds, ends, strict=True):
            yield first + 1, last, self._iter_bytes(end - start)

    def _iter_bytes(self, size: int) -> Iterator[str]:
        # A piece may not end inside a character, so a fold's bytes are joined before they are decoded.
        yield self.file.read(size).decode("utf-8")


def iter_article_list(of: PipelineDay, shown: Escape) -> Iterator[str]:
    """Yield the list, a fold at a time.

    :param shown: makes text safe to show.
    """
    unfolded = " open" if of.today.articles <= OPEN_UP_TO else ""
    with ExitStack() as stack:
        groups: dict[str, _Group] = {}
        for article in iter_articles(of.answers, of.group):
            group = groups.get(article.group)
            if group is None:
                # The file may have been replaced by one with more values since they were counted.
                name = article.group if len(groups) <= MOST_VALUES else next(iter(groups))
                group = groups.setdefault(name, _Group(stack))
            group.add(_lay_out(article, shown))
        for name, group in sorted(groups.items(), key=lambda item: (-item[1].count, item[0])):
            title = name or "All articles"
            for first, last, pieces in group.iter_folds():
                whole = group.count <= FOLD
                about = (
                    counted(group.count, "article") if whole else f"{first:,} – {last:,} of {group.count:,}"
                )
                yield f"<details{unfolded}><summary><bdi>{shown(title)}</bdi><span>{about}</span></summary>\n"
                yield from pieces
                yield "</details>\n"


def _lay_out(article: Article, shown: Escape) -> str:
    lang = f' lang="{shown(article.language)}"' if article.language else ""
    title = shown(article.title) or '<span class="soft">(no title)</span>'
    if article.failure:
        why = f"{article.failure}: {article.message}" if article.message else article.failure
        body = f'<p class="fail" dir="auto">No answer. {shown(why)}</p>'
    elif article.fields:
        body = fields_as_html(article.fields, shown)
    else:
        answer = shown(article.answer.strip()) or '<span class="soft">(an empty answer)</span>'
        body = f'<p dir="auto"{lang}>{answer}{" …" if article.cut else ""}</p>'
    notes = [shown(article.id), *(["cut off at max_tokens"] * article.cut), *(["reused"] * article.reused)]
    return (
        f'<article><h5 dir="auto"{lang}>{title}</h5>{body}<p class="id"><bdi>{notes[0]}</bdi>'
        f"{''.join(' · ' + note for note in notes[1:])}</p></article>\n"
    )


__all__ = ["FOLD", "OPEN_UP_TO", "iter_article_list"]
