"""A comparison's tables and its sentence, the same for its page, the daily report and Markdown."""

from __future__ import annotations

from collections.abc import Callable

from nightpress.reports.comparison.agreement import Agreement
from nightpress.reports.comparison.comparison_figures import Comparison, VariantFigures
from nightpress.reports.day.day_tables import Table
from nightpress.reports.wording import count, counted, share, usd


def sentence(of: Comparison) -> str:
    """Say in a sentence what was compared and how far the variants agree."""
    names = ", ".join(one.variant for one in of.variants)
    about = f"{counted(of.articles, 'article')}, {counted(len(of.variants), 'variant')}: {names}."
    known = [one for one in of.agreements if one.compared]
    if not known:
        return f"{about} No article was answered by all of them."
    known = [one for one in known if not one.free_text] or known
    best, worst = (choose(known, key=lambda one: one.agreed / one.compared) for choose in (max, min))
    if best is worst:
        return f"{about} All agree on {_in_words(worst)}."
    return f"{about} All agree most on {_in_words(best)}, least on {_in_words(worst)}."


def _in_words(one: Agreement) -> str:
    return f"{one.column} ({share(one.agreed, one.compared)} of {counted(one.compared, 'article')})"


def variants_table(of: Comparison) -> Table:
    """Return the variants' numbers, a column for each."""
    kinds = dict.fromkeys(kind for one in of.variants for kind in one.failed)
    lines: list[tuple[str, Callable[[VariantFigures], str], bool]] = [
        ("Model", lambda one: ", ".join(one.models) or "–", False),
        ("Articles", lambda one: count(one.articles), False),
        ("answered", lambda one: count(one.answered), True),
        ("of them reused", lambda one: count(one.reused), True),
        ("failed", lambda one: count(one.articles - one.answered), True),
    ]
    lines += [(f"\u2013\u00a0{kind}", _failed(kind), True) for kind in kinds]
    if any(one.absent for one in of.variants):
        lines.append(("Not among its articles", lambda one: count(one.absent), False))
    lines += [
        ("Cost of 1,000 articles", lambda one: usd(one.per_thousand_usd), False),
        ("Paid, all runs of the day", lambda one: usd(one.paid_usd), False),
    ]
    if any(one.cache_saved_usd for one in of.variants):
        lines.append(("saved by the prompt cache", lambda one: usd(one.cache_saved_usd), True))
    lines += [
        ("Tokens of an answer, median", lambda one: _whole(one.output_tokens.median), False),
        ("95 of 100 have at most", lambda one: _whole(one.output_tokens.p95), True),
        ("Characters of an answer, median", lambda one: _whole(one.characters.median), False),
        ("95 of 100 have at most", lambda one: _whole(one.characters.p95), True),
    ]
    rows = [[name, *(write(one) for one in of.variants)] for name, write, _ in lines]
    inset = frozenset(place for place, (_, _, inner) in enumerate(lines) if inner)
    return Table(["", *(one.variant for one in of.variants)], rows, inset)


def _failed(kind: str) -> Callable[[VariantFigures], str]:
    return lambda one: count(one.failed.get(kind, 0))


def _whole(number: float | None) -> str:
    return count(None if number is None else round(number))


def agreement_table(of: Comparison) -> Table:
    """Return for each compared column how often all variants have the same value, and every two of them."""
    pairs = list(of.agreements[0].pairs) if len(of.variants) > 2 else []
    headings = ["", "all agree", "articles", *(f"{left} = {right}" for left, right in pairs)]
    rows = [
        [
            one.column,
            share(one.agreed, one.compared),
            count(one.compared),
            *(share(one.pairs[pair][1], one.pairs[pair][0]) for pair in pairs),
        ]
        for one in of.agreements
    ]
    return Table(headings, rows)
