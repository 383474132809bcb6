"""List every article's title with its answer, in groups that fold, for a day of any size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

from nightpress.advice import label
from nightpress.plain_text import Html
from nightpress.reports.day.categories import MAX_VALUES
from nightpress.reports.day.day_report import PipelineDay
from nightpress.reports.day.report_articles import ReportArticle, iter_report_articles
from nightpress.reports.typed_values import fields_html
from nightpress.reports.wording import counted

OPEN_UP_TO = 300
"""A day of at most this many articles is shown unfolded."""

FOLD = 500
"""Articles per fold; a larger group has several folds."""

_IN_MEMORY = 1_000_000


class _Group:
    """The articles of one group as HTML in a temporary file; groups come mixed, and a day may be large."""

    def __init__(self, stack: ExitStack) -> None:
        self.file: IO[bytes] = stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - the stack closes it
        self.count = 0
        self.folds: list[tuple[int, int]] = []

    def add(self, html: Html) -> None:
        """Add an article."""
        if self.count % FOLD == 0:
            self.folds.append((self.count, self.file.tell()))
        self.file.write(html.encode("utf-8", "replace"))
        self.count += 1

    def iter_folds(self) -> Iterator[tuple[int, int, Html]]:
        """Yield each fold of the list: its first and last number and its articles."""
        ends = [*self.folds[1:], (self.count, self.file.tell())]
        self.file.seek(0)
        for (first, start), (last, end) in zip(self.folds, ends, strict=True):
            # The articles were written by `add`, so this is safe HTML.
            yield first + 1, last, Html(self.file.read(end - start).decode())


def iter_article_list(day: PipelineDay) -> Iterator[Html]:
    """Yield the list, one fold at a time."""
    unfolded = Html(" open") if day.today.articles <= OPEN_UP_TO else ""
    with ExitStack() as stack:
        groups: dict[str, _Group] = {}
        for article in iter_report_articles(day.answers, day.group):
            group = groups.get(article.group)
            if group is None:
                # The file may have been replaced by one with more values since they were counted.
                name = article.group if len(groups) <= MAX_VALUES else next(iter(groups))
                group = groups.setdefault(name, _Group(stack))
            group.add(_article_html(article))
        for name, group in sorted(groups.items(), key=lambda item: (-item[1].count, item[0])):
            for first, last, articles in group.iter_folds():
                whole = group.count <= FOLD
                about = (
                    counted(group.count, "article") if whole else f"{first:,} – {last:,} of {group.count:,}"
                )
                yield Html("<details{}><summary><bdi>{}</bdi><span>{}</span></summary>\n").format(
                    unfolded, name or "All articles", about
                )
                yield articles
                yield Html("</details>\n")


def _article_html(article: ReportArticle) -> Html:
    lang = Html(' lang="%s"') % article.language if article.language else ""
    title = article.title or Html('<span class="soft">(no title)</span>')
    notes = ["cut off"] * article.cut + ["reused"] * article.reused
    about = "".join(f" · {note}" for note in notes)
    return Html('<article><h5 dir="auto"%s>%s</h5>%s<p class="id"><bdi>%s</bdi>%s</p></article>\n') % (
        lang,
        title,
        _answer_html(article, lang),
        article.id,
        about,
    )


def _answer_html(article: ReportArticle, lang: Html | str) -> Html:
    if article.failure:
        kind = label(article.failure)
        why = f"{kind}: {article.message}" if article.message else kind
        failure = Html('<p class="fail" dir="auto">No answer. %s</p>') % why
        kept = (
            Html('<p class="soft" dir="auto"%s>%s …</p>') % (lang, article.answer) if article.answer else ""
        )
        return failure + kept
    if article.fields:
        return fields_html(article.fields)
    answer = article.answer or Html('<span class="soft">(an empty answer)</span>')
    return Html('<p dir="auto"%s>%s%s</p>') % (lang, answer, " …" if article.cut else "")
