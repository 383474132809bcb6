"""The page of a comparison: cost, length and agreement of the variants, and their answers side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nightpress.advice import label
from nightpress.costs.money import dollars
from nightpress.layout import DataRoot
from nightpress.plain_text import Html, shorten
from nightpress.reports.comparison.agreement import MAX_DIFFERENCES, Difference
from nightpress.reports.comparison.comparison_figures import Comparison, read_comparison
from nightpress.reports.comparison.comparison_tables import agreement_table, sentence, variants_table
from nightpress.reports.html_document import iter_document
from nightpress.reports.stored_days import find_dags
from nightpress.reports.tables import table_html
from nightpress.reports.typed_values import fields_html
from nightpress.reports.wording import OFFLINE, counted, long_day, moment, share
from nightpress.statuses import REFUSED, SUCCEEDED, TRUNCATED
from nightpress.storage import StoragePath, atomic_writer

_MAX_ANSWER_CHARS = 3_000
_MAX_TITLE_CHARS = 300
_MAX_ITEMS = 50


def write_comparison_page(root: DataRoot, name: str, day: str, *, now: datetime | None = None) -> StoragePath:
    """Write ``reports/day=<day>/comparison-<name>.html``, replaced atomically; return its path.

    :param now: time of writing, in UTC.
    :raises ResultsError: the comparison's file is damaged.
    """
    found = read_comparison(root, name, day)
    dags = find_dags(root, day, [variant.pipeline for variant in found.variants])
    path = root.comparison_page(name, day)
    with atomic_writer(path) as stream:
        for part in iter_comparison(found, now or datetime.now(UTC), dags):
            stream.write(part.encode("utf-8", "replace"))
    return path


def iter_comparison(compared: Comparison, written_at: datetime, dags: Mapping[str, str]) -> Iterator[Html]:
    """Yield the page.

    :param dags: the DAG that published each variant's pipeline; empty where unknown.
    """
    title = f"{compared.name} · {compared.day} · Nightpress"
    yield from iter_document(title, _body(compared, written_at), dags)


def _body(compared: Comparison, written_at: datetime) -> Iterator[Html]:
    yield Html('<header><p class="over">Nightpress · comparison · {}</p><h1>{}</h1><p>{}</p>').format(
        long_day(compared.day), compared.name, sentence(compared)
    )
    if compared.offline:
        yield Html('<p class="note" role="note"><strong>Offline.</strong> {}</p>').format(OFFLINE)
    yield Html("</header>\n<h3>The variants</h3>{}\n").format(table_html(variants_table(compared), "plain"))
    yield Html(
        '<p class="soft small">The cost of 1,000 articles is that of these answers at batch prices, also where they '
        "were paid for earlier and reused; it is unknown when an amount is, or nothing was processed. Tokens and "
        "characters are those of answers that tell them.</p>\n"
    )
    yield from _plots(compared)
    yield from _agreement(compared)
    yield from _differences(compared)
    yield Html(
        "<footer>Written {} from comparison.parquet and the receipts of {}. Days are in UTC, amounts in US dollars."
        "</footer>\n"
    ).format(moment(written_at), ", ".join(variant.pipeline for variant in compared.variants))


def _plots(compared: Comparison) -> Iterator[Html]:
    from nightpress.reports.plots import Bar, draw_bars, figure_html

    costs = [(each.variant, each.per_thousand_usd) for each in compared.variants if each.per_thousand_usd]
    agreed = [each for each in compared.agreements if each.agreed]
    if not costs and not agreed:
        return
    yield Html('<div class="plots">')
    if costs:
        text = ", ".join(f"{variant} {dollars(cost)}" for variant, cost in costs)
        bars = [Bar(variant, cost, dollars(cost)) for variant, cost in costs]
        yield figure_html(draw_bars("Cost of 1,000 articles", text, bars))
    if agreed:
        bars = [
            Bar(each.column, each.agreed / each.compared, share(each.agreed, each.compared))
            for each in agreed
        ]
        text = ", ".join(f"{bar.name} {bar.text}" for bar in bars)
        yield figure_html(draw_bars("Articles on which all agree", text, bars[:12]))
    yield Html("</div>\n")


def _agreement(compared: Comparison) -> Iterator[Html]:
    columns = {each.column for each in compared.agreements}
    yield Html("<h3>Agreement</h3>{}\n").format(table_html(agreement_table(compared), "plain"))
    if columns == {"text"}:
        about = (
            "The variants share no typed column, so it is their texts that are compared, letter by letter."
        )
    else:
        about = "The very same value counts, and so does null twice; lists in the same order."
    alone = sorted({name for names in compared.typed.values() for name in names} - columns)
    if alone:
        about += f" Not in all variants with one type, so not compared: {', '.join(alone)}."
    yield Html(
        '<p class="soft small">{} Articles are those that the variants in question answered.</p>\n'
    ).format(about)


def _differences(compared: Comparison) -> Iterator[Html]:
    if not compared.differences:
        yield Html("<h3>Side by side</h3><p>There is no article on which they differ.</p>\n")
        return
    most = "The ones" if len(compared.differences) < MAX_DIFFERENCES else "The ten"
    yield Html(
        '<h3>Side by side</h3><p class="soft small">{} on which they differ most: in more columns, between more '
        "variants, then in length.</p>\n"
    ).format(most)
    for difference in compared.differences:
        yield _difference_html(difference, compared)


def _difference_html(difference: Difference, compared: Comparison) -> Html:
    title = shorten(difference.title, _MAX_TITLE_CHARS) or Html('<span class="soft">(no title)</span>')
    typed = compared.agreements[0].column != "text"
    about = counted(len(difference.columns), "column") if typed else "text"
    note = f"they differ in {about}" if difference.columns else "not all have an answer"
    sides = Html("").join(
        Html('<div class="side"><h4>{}</h4>{}</div>').format(
            variant, _answer_html(row, compared.typed[variant], difference.columns)
        )
        for variant, row in difference.rows.items()
    )
    return Html(
        '<article class="wide"><h5 dir="auto">{}</h5><div class="sides">{}</div>'
        '<p class="id"><bdi>{}</bdi> · {}</p></article>\n'
    ).format(title, sides, shorten(difference.article_id, _MAX_TITLE_CHARS), note)


def _answer_html(row: Mapping[str, Any] | None, typed: Sequence[str], marked: frozenset[str]) -> Html:
    if row is None:
        return Html('<p class="soft">not among its articles</p>')
    text = shorten((row["text"] or "").strip(), _MAX_ANSWER_CHARS)
    if row["status"] != SUCCEEDED:
        kind, status = row["error_type"], label(row["status"])
        why = f"{status}: {kind}" if kind and kind != row["status"] else status
        shown = text if row["status"] in {TRUNCATED, REFUSED} and not typed else ""
        kept = Html('<p class="soft" dir="auto">{} …</p>').format(shown) if shown else ""
        return Html('<p class="fail">No answer. {}</p>{}').format(why, kept)
    if typed:
        return fields_html(((name, _shorten_value(row[name])) for name in typed), marked)
    if not text:
        return Html('<p class="soft">(an empty answer)</p>')
    cut = " …" if row["stop_reason"] == "max_tokens" and not text.endswith("…") else ""
    return Html('<p dir="auto">{}{}</p>').format(text, cut)


def _shorten_value(value: Any) -> Any:
    """Return a typed value whose texts and lists are no longer than a page can show."""
    if isinstance(value, str):
        return shorten(value, _MAX_ANSWER_CHARS)
    if isinstance(value, dict):
        return {name: _shorten_value(item) for name, item in value.items()}
    if isinstance(value, list):
        left = len(value) - _MAX_ITEMS
        shown = [_shorten_value(item) for item in value[:_MAX_ITEMS]]
        return [*shown, f"… and {left:,} more"] if left > 0 else shown
    return value
