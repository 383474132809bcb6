"""The day's report as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from nightpress.advice import advise, label
from nightpress.costs.money import dollars, paid_in_words
from nightpress.plain_text import Html, shorten
from nightpress.reports.comparison.comparison_tables import agreement_table, variants_table
from nightpress.reports.comparison.comparison_tables import sentence as sentence_of
from nightpress.reports.day.article_list import iter_article_list
from nightpress.reports.day.day_report import DayReport, PipelineDay
from nightpress.reports.day.day_wording import category_table, money, numbers_table, summary, verdict
from nightpress.reports.day.report_articles import Kind
from nightpress.reports.html_document import iter_document
from nightpress.reports.tables import table_html
from nightpress.reports.wording import OFFLINE, count, duration, long_day, moment, share


def iter_page(report: DayReport) -> Iterator[Html]:
    """Yield the page of a day."""
    yield from iter_document(f"{report.day} · Nightpress", _body(report), report.dags)


def _body(report: DayReport) -> Iterator[Html]:
    state, sentence = summary(report)
    yield Html(
        '<header><p class="over">Nightpress · daily report</p><h1>{}</h1><p class="state {}">{}</p>'
    ).format(long_day(report.day), state, sentence)
    if report.offline:
        yield Html('<p class="note" role="note"><strong>Offline.</strong> {}</p>').format(OFFLINE)
    yield Html("</header>\n")
    yield from _digest(report)
    for day in report.pipelines:
        yield Html('<section><h2 id="{0}">{0}</h2>\n').format(day.pipeline)
        for section in SECTIONS:
            yield from section(day)
        yield Html("</section>\n")
    yield from _comparisons(report)
    yield from _absent(report)
    yield Html(
        "<footer>Written {} from the published answers and receipts. "
        "Days are in UTC, amounts in US dollars.</footer>\n"
    ).format(moment(report.written_at))


def _digest(report: DayReport) -> Iterator[Html]:
    if report.digest is None:
        return
    yield Html("<section><h2>{}</h2><p>{}</p>").format(report.digest.headline, report.digest.lead)
    if report.digest.themes:
        yield Html('<ul class="todo">')
        for theme in report.digest.themes:
            number = "" if theme.articles is None else count(theme.articles)
            yield Html("<li><b>{}</b><div><strong>{}</strong><br>{}</div></li>").format(
                number, theme.name, theme.gist
            )
        yield Html("</ul>")
    yield Html("</section>\n")


def _comparisons(report: DayReport) -> Iterator[Html]:
    for compared in report.comparisons:
        yield Html("<section><h2>{}</h2><p>{}</p>\n").format(compared.name, sentence_of(compared))
        yield Html("{}<h3>Agreement</h3>{}").format(
            table_html(variants_table(compared), "plain"), table_html(agreement_table(compared), "plain")
        )
        yield Html(
            '<p class="soft small">Side by side, with the articles on which they differ most: '
            "<code>comparison-{}.html</code> beside this file.</p></section>\n"
        ).format(compared.name)


def _absent(report: DayReport) -> Iterator[Html]:
    if not report.pipelines and not report.absent:
        yield Html(
            "<p>Nothing was run for this day. Put articles into <code>inbox/day={}/</code> and run a pipeline for it; "
            "this report is then written again by itself.</p>\n"
        ).format(report.day)
    for absent in report.absent:
        yield Html('<section><h2>{}</h2><p class="state bad">Not published.</p><p>{}</p></section>\n').format(
            absent.pipeline, absent.explain()
        )


def _glance(day: PipelineDay) -> Iterator[Html]:
    today = day.today
    yield Html("<p>{} {}</p>").format(verdict(day), money(day))
    if not today.articles and not today.rejected:
        return
    answered = share(today.succeeded, today.articles) + " of articles"
    failed = "see below" if today.failures else ""
    tiles = [
        ("Answered", count(today.succeeded), answered, ""),
        ("Failed", count(today.failures), failed, "bad" * bool(today.failures)),
        ("Rejected", count(today.rejected), "not sent", ""),
        ("Reused", count(today.reused), "paid for earlier", ""),
        (
            "Paid",
            paid_in_words(today.paid_usd, today.known_paid_usd, today.unknown_requests),
            f"list price {dollars(today.list_usd)}",
            "",
        ),
    ]
    if today.seconds is not None:
        tiles.append(("Took", duration(today.seconds), "first submission to last end", ""))
    yield Html('<dl class="tiles">')
    for name, value, about, kind in tiles:
        yield Html('<div class="tile {}"><dt>{}</dt><dd>{}</dd><dd>{}</dd></div>').format(
            kind, name, value, about
        )
    yield Html("</dl>\n")


def _actions(day: PipelineDay) -> Iterator[Html]:
    actions = day.actions()
    if not actions:
        return
    yield Html('<h3>What to do</h3><ul class="todo">')
    for action in actions:
        yield Html('<li><b>{}</b><div><strong>{}</strong><br><span class="soft">{}</span></div></li>').format(
            count(action.count), action.what, action.remedy
        )
    yield Html("</ul>\n")


def _numbers(day: PipelineDay) -> Iterator[Html]:
    heading = "The day beside the days before" if day.before else "The day in numbers"
    yield Html("<h3>{}</h3>{}\n").format(heading, table_html(numbers_table(day)))
    if day.today.models:
        yield Html(
            '<p class="soft small">Model: {}. Tokens are those of new answers; what was paid covers all runs of the '
            "day.</p>"
        ).format(", ".join(day.today.models))


def _plots(day: PipelineDay) -> Iterator[Html]:
    from nightpress.reports.day.day_plots import draw_plots
    from nightpress.reports.plots import figure_html

    plots = draw_plots(day)
    if plots:
        yield Html('<h3>At a glance</h3><div class="plots">')
        yield from map(figure_html, plots)
        yield Html("</div>\n")


def _failures(day: PipelineDay) -> Iterator[Html]:
    statuses = day.today.statuses
    billed = {kind.name: advise(kind.name, statuses.get(kind.name, "")).billed for kind in day.failures}
    yield from _kinds("Failures", "the API's message, first examples", day.failures, billed)
    yield from _kinds("Rejected rows", "where, first examples", day.rejected, {})


def _kinds(title: str, about: str, kinds: Sequence[Kind], billed: Mapping[str, str]) -> Iterator[Html]:
    if not kinds:
        return
    yield Html(
        '<h3>{}</h3><div class="scroll"><table class="reasons"><thead><tr><th scope="col">kind</th>'
        '<th scope="col">rows</th><th scope="col">{}</th></tr></thead><tbody>'
    ).format(title, about)
    for kind in kinds:
        examples = Html("").join(Html("<li dir=auto>{}</li>").format(text) for text in kind.examples)
        note = ""
        if kind.name in billed:
            note = Html('<br><span class="soft">{}</span>').format(billed[kind.name])
        yield Html('<tr><th scope="row">{}{}</th><td>{}</td><td><ul>{}</ul></td></tr>').format(
            label(kind.name), note, count(kind.count), examples
        )
    yield Html("</tbody></table></div>\n")


def _categories(day: PipelineDay) -> Iterator[Html]:
    for table in day.categories:
        yield Html("<h3>By <bdi>{}</bdi></h3>{}\n").format(
            shorten(table.column, 80), table_html(category_table(table), "plain")
        )


def _articles(day: PipelineDay) -> Iterator[Html]:
    if day.today.articles:
        yield Html("<h3>Articles and answers</h3>\n")
        yield from iter_article_list(day)


SECTIONS: tuple[Callable[[PipelineDay], Iterator[Html]], ...] = (
    _glance,
    _actions,
    _numbers,
    _plots,
    _failures,
    _categories,
    _articles,
)
"""The parts of a pipeline's section, in order; a new part is one more function."""
