"""The page of a comparison: what the variants cost, how long they are, where they agree, and side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nightpress.layout import DataRoot
from nightpress.reports.comparison.agreement import MOST_DIFFERENCES, Difference
from nightpress.reports.comparison.comparison_figures import Comparison, read_comparison
from nightpress.reports.comparison.comparison_tables import agreement_table, sentence, variants_table
from nightpress.reports.day.day_page import iter_document, lay_out_table, shown
from nightpress.reports.day.headline import OFFLINE
from nightpress.reports.typed_values import fields_as_html
from nightpress.reports.wording import counted, long_day, moment, share, usd
from nightpress.storage import StoragePath, atomic_writer

_LONGEST = 3_000


def write_comparison_page(
    root: StoragePath, name: str, day: str, *, now: datetime | None = None
) -> StoragePath:
    """Write ``reports/day=<day>/comparison-<name>.html``, replaced in one step; return where it is.

    :param now: when it is written, in UTC.
    :raises ResultsError: the comparison's file is damaged.
    """
    found = read_comparison(root, name, day)
    path = DataRoot(root).comparison_page(name, day)
    with atomic_writer(path) as stream:
        for part in iter_comparison(found, now or datetime.now(UTC)):
            stream.write(part.encode("utf-8", "replace"))
    return path


def iter_comparison(of: Comparison, written_at: datetime) -> Iterator[str]:
    """Yield the page."""
    yield from iter_document(f"{of.name} · {of.day} · Nightpress", _body(of, written_at))


def _body(of: Comparison, written_at: datetime) -> Iterator[str]:
    yield (
        f'<header><p class="over">Nightpress · comparison · {shown(long_day(of.day))}</p>'
        f"<h1>{shown(of.name)}</h1><p>{shown(sentence(of))}</p>"
    )
    if of.offline:
        yield f'<p class="note" role="note"><strong>Offline.</strong> {shown(OFFLINE)}</p>'
    yield "</header>\n"
    yield f"<h3>The variants</h3>{lay_out_table(variants_table(of), 'plain')}\n"
    yield (
        '<p class="soft small">The cost of 1,000 articles is that of these answers at batch prices, also where they '
        "were paid for earlier and reused. Tokens and characters are those of answers.</p>\n"
    )
    yield from _plots(of)
    yield from _agreement(of)
    yield from _differences(of)
    yield (
        f"<footer>Written {moment(written_at)} from comparison.parquet and the receipts of "
        f"{', '.join(shown(one.pipeline) for one in of.variants)}. Days are in UTC, amounts in US dollars.</footer>\n"
    )


def _plots(of: Comparison) -> Iterator[str]:
    from nightpress.reports.plots import Bar, describe, draw_bars

    costs = [(one.variant, one.per_thousand_usd) for one in of.variants if one.per_thousand_usd]
    agreed = [one for one in of.agreements if one.agreed]
    if not costs and not agreed:
        return
    yield '<div class="plots">'
    if costs:
        text = ", ".join(f"{variant} {usd(cost)}" for variant, cost in costs)
        bars = [Bar(variant, cost, usd(cost)) for variant, cost in costs]
        yield describe(draw_bars("Cost of 1,000 articles", text, bars))
    if agreed:
        shares = [(one.column, one.agreed / one.compared, share(one.agreed, one.compared)) for one in agreed]
        text = ", ".join(f"{column} {told}" for column, _, told in shares)
        yield describe(draw_bars("Articles on which all agree", text, [Bar(*one) for one in shares[:12]]))
    yield "</div>\n"


def _agreement(of: Comparison) -> Iterator[str]:
    compared = {one.column for one in of.agreements}
    yield f"<h3>Agreement</h3>{lay_out_table(agreement_table(of), 'plain')}\n"
    if compared == {"text"}:
        about = (
            "The variants share no typed column, so it is their texts that are compared, letter by letter."
        )
    else:
        about = "The very same value counts, and so does null twice; lists in the same order."
    alone = sorted({name for names in of.typed.values() for name in names} - compared)
    if alone:
        about += f" Not in all variants with one type, so not compared: {', '.join(alone)}."
    yield f'<p class="soft small">{shown(about)} Articles are those that the variants in question answered.</p>\n'


def _differences(of: Comparison) -> Iterator[str]:
    if not of.differences:
        yield "<h3>Side by side</h3><p>There is no article on which they differ.</p>\n"
        return
    most = "The ones" if len(of.differences) < MOST_DIFFERENCES else "The ten"
    yield (
        f'<h3>Side by side</h3><p class="soft small">{most} on which they differ most: in more columns, between more '
        "variants, then in length.</p>\n"
    )
    for one in of.differences:
        yield _lay_out(one, of)


def _lay_out(of: Difference, within: Comparison) -> str:
    title = shown(of.title) or '<span class="soft">(no title)</span>'
    about = counted(len(of.columns), "column") if within.agreements[0].column != "text" else "text"
    note = f"they differ in {about}" if of.columns else "not all have an answer"
    sides = "".join(
        f'<div class="side"><h4>{shown(variant)}</h4>{_answer(row, within.typed[variant], of.columns)}</div>'
        for variant, row in of.rows.items()
    )
    return (
        f'<article class="wide"><h5 dir="auto">{title}</h5><div class="sides">{sides}</div>'
        f'<p class="id"><bdi>{shown(of.article_id)}</bdi> · {note}</p></article>\n'
    )


def _answer(row: Mapping[str, Any] | None, typed: Sequence[str], marked: frozenset[str]) -> str:
    if row is None:
        return '<p class="soft">not among its articles</p>'
    if row["status"] != "succeeded":
        kind = row["error_type"]
        why = f"{row['status']}: {kind}" if kind and kind != row["status"] else row["status"]
        return f'<p class="fail">No answer. {shown(why)}</p>'
    if typed:
        return fields_as_html(((name, row[name]) for name in typed), shown, marked)
    text = (row["text"] or "").strip()
    cut = " …" if len(text) > _LONGEST or row["stop_reason"] == "max_tokens" else ""
    return (
        f'<p dir="auto">{shown(text[:_LONGEST])}{cut}</p>'
        if text
        else '<p class="soft">(an empty answer)</p>'
    )
