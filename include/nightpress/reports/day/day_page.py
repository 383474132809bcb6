"""The report as one HTML file: no script, nothing from elsewhere, written piece by piece.

Everything shown goes through :func:`shown`; no template engine sees an article's text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

from nightpress.reports.comparison.comparison_tables import agreement_table, variants_table
from nightpress.reports.comparison.comparison_tables import sentence as sentence_of
from nightpress.reports.day.article_list import iter_article_list
from nightpress.reports.day.day_report import DayReport, PipelineDay
from nightpress.reports.day.day_tables import Table, category_table, numbers_table
from nightpress.reports.day.headline import OFFLINE, money, summary, verdict
from nightpress.reports.day.report_articles import Kind
from nightpress.reports.style_sheet import CSS
from nightpress.reports.wording import count, duration, long_day, moment, share, usd

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def shown(value: object) -> str:
    """Return text that can only be shown: markup in it is text, and control characters are seen."""
    return escape("".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in str(value)))


def iter_page(report: DayReport) -> Iterator[str]:
    """Yield the page of a day."""
    yield from iter_document(f"{report.day} · Nightpress", _body(report))


def iter_document(title: str, body: Iterable[str]) -> Iterator[str]:
    """Yield a whole page around pieces of trusted HTML: no script, nothing from elsewhere."""
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{shown(title)}</title><style>{CSS}</style></head><body><main>"
    )
    yield from body
    yield "</main></body></html>\n"


def _body(report: DayReport) -> Iterator[str]:
    state, sentence = summary(report)
    yield (
        f'<header><p class="over">Nightpress · daily report</p><h1>{shown(long_day(report.day))}</h1>'
        f'<p class="state {state}">{shown(sentence)}</p>'
    )
    if report.offline:
        yield f'<p class="note" role="note"><strong>Offline.</strong> {shown(OFFLINE)}</p>'
    yield "</header>\n"
    yield from _digest(report)
    for one in report.pipelines:
        yield f'<section><h2 id="{shown(one.pipeline)}">{shown(one.pipeline)}</h2>\n'
        for section in SECTIONS:
            yield from section(one)
        yield "</section>\n"
    yield from _comparisons(report)
    yield from _absent(report)
    yield (
        f"<footer>Written {moment(report.written_at)} from the published answers and receipts. "
        "Days are in UTC, amounts in US dollars.</footer>\n"
    )


def _digest(report: DayReport) -> Iterator[str]:
    if report.digest is None:
        return
    yield f"<section><h2>{shown(report.digest.headline)}</h2><p>{shown(report.digest.lead)}</p>"
    if report.digest.themes:
        yield '<ul class="todo">'
        for theme in report.digest.themes:
            number = "" if theme.articles is None else count(theme.articles)
            yield f"<li><b>{number}</b><div><strong>{shown(theme.name)}</strong><br>{shown(theme.gist)}</div></li>"
        yield "</ul>"
    yield "</section>\n"


def _comparisons(report: DayReport) -> Iterator[str]:
    for one in report.comparisons:
        yield f"<section><h2>{shown(one.name)}</h2><p>{shown(sentence_of(one))}</p>\n"
        yield f"{lay_out_table(variants_table(one), 'plain')}<h3>Agreement</h3>"
        yield lay_out_table(agreement_table(one), "plain")
        yield (
            '<p class="soft small">Side by side, with the articles on which they differ most: '
            f"<code>comparison-{shown(one.name)}.html</code> beside this file.</p></section>\n"
        )


def _absent(report: DayReport) -> Iterator[str]:
    if not report.pipelines and not report.absent:
        yield (
            "<p>Nothing was ever run here. Put articles into <code>inbox/day="
            f"{shown(report.day)}/</code> and trigger the DAG <code>article_summaries</code> with this day; the "
            "report is then written anew by itself.</p>\n"
        )
    for one in report.absent:
        yield f"<section><h2>{shown(one.pipeline)}</h2>"
        yield f'<p class="state bad">Not published.</p><p>{shown(one.explain())}</p></section>\n'


def _glance(of: PipelineDay) -> Iterator[str]:
    today = of.today
    yield f"<p>{shown(verdict(of))} {shown(money(of))}</p>"
    if not today.articles and not today.rejected:
        return
    answered = share(today.succeeded, today.articles) + " of articles"
    tiles = [
        ("Answered", count(today.succeeded), answered, ""),
        (
            "Failed",
            count(today.failures),
            "see below" if today.failures else "",
            "bad" * bool(today.failures),
        ),
        ("Rejected", count(today.rejected), "not sent", ""),
        ("Reused", count(today.reused), "paid for earlier", ""),
        ("Paid", usd(today.paid_usd), f"list price {usd(today.list_usd)}", ""),
    ]
    if today.seconds is not None:
        tiles.append(("Took", duration(today.seconds), "submission to last end", ""))
    yield '<dl class="tiles">'
    for name, value, about, kind in tiles:
        yield f'<div class="tile {kind}"><dt>{shown(name)}</dt><dd>{shown(value)}</dd><dd>{shown(about)}</dd></div>'
    yield "</dl>\n"


def _actions(of: PipelineDay) -> Iterator[str]:
    actions = of.actions()
    if not actions:
        return
    yield '<h3>What to do</h3><ul class="todo">'
    for action in actions:
        yield (
            f"<li><b>{count(action.count)}</b><div><strong>{shown(action.what)}</strong><br>"
            f'<span class="soft">{shown(action.remedy)}</span></div></li>'
        )
    yield "</ul>\n"


def _numbers(of: PipelineDay) -> Iterator[str]:
    heading = "The day beside the days before" if of.before else "The day in numbers"
    yield f"<h3>{heading}</h3>{lay_out_table(numbers_table(of))}\n"
    if of.today.models:
        yield (
            f'<p class="soft small">Model: {shown(", ".join(of.today.models))}. Tokens are those of new answers; '
            "what was paid covers all runs of the day.</p>"
        )


def _plots(of: PipelineDay) -> Iterator[str]:
    from nightpress.reports.plots import describe, draw_plots

    plots = draw_plots(of)
    if plots:
        yield '<h3>At a glance</h3><div class="plots">'
        yield from map(describe, plots)
        yield "</div>\n"


def _failures(of: PipelineDay) -> Iterator[str]:
    yield from _kinds("Failures", "the API's message, first examples", of.failures)
    yield from _kinds("Rejected rows", "where, first examples", of.rejected)


def _kinds(title: str, about: str, kinds: Sequence[Kind]) -> Iterator[str]:
    if not kinds:
        return
    yield f'<h3>{title}</h3><div class="scroll"><table class="reasons"><thead><tr><th scope="col">kind</th>'
    yield f'<th scope="col">rows</th><th scope="col">{shown(about)}</th></tr></thead><tbody>'
    for kind in kinds:
        examples = "".join(f"<li dir=auto>{shown(text[:500])}</li>" for text in kind.examples)
        yield f'<tr><th scope="row">{shown(kind.name)}</th><td>{count(kind.count)}</td>'
        yield f"<td><ul>{examples}</ul></td></tr>"
    yield "</tbody></table></div>\n"


def _categories(of: PipelineDay) -> Iterator[str]:
    for table in of.categories:
        yield f"<h3>By <bdi>{shown(table.column)}</bdi></h3>{lay_out_table(category_table(table), 'plain')}\n"


def _articles(of: PipelineDay) -> Iterator[str]:
    if of.today.articles:
        yield "<h3>Articles and answers</h3>\n"
        yield from iter_article_list(of, shown)


def lay_out_table(table: Table, kind: str = "") -> str:
    """Return a table as HTML."""
    head = "".join(f'<th scope="col"><bdi>{shown(name)}</bdi></th>' for name in table.headings)
    rows = []
    for place, (name, *cells) in enumerate(table.rows):
        inset = ' class="in"' if place in table.inset else ""
        values = "".join(f"<td>{shown(cell)}</td>" for cell in cells)
        # A long name may break after its underscores, so that a phone has room for the numbers.
        label = shown(name).replace("_", "_<wbr>")
        rows.append(f'<tr{inset}><th scope="row"><bdi>{label}</bdi></th>{values}</tr>')
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


SECTIONS: tuple[Callable[[PipelineDay], Iterator[str]], ...] = (
    _glance,
    _actions,
    _numbers,
    _plots,
    _failures,
    _categories,
    _articles,
)
"""What a pipeline's section is made of, in order; a new part is one more function."""
