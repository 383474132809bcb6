"""A comparison's tables and its summary sentence, shared by its page, the daily report and Markdown."""

from __future__ import annotations

from collections.abc import Callable

from nightpress.advice import label
from nightpress.costs.money import dollars, paid_in_words
from nightpress.reports.comparison.agreement import Agreement
from nightpress.reports.comparison.comparison_figures import Comparison, VariantFigures
from nightpress.reports.tables import Table
from nightpress.reports.wording import count, counted, share


def sentence(compared: Comparison) -> str:
    """Say in a sentence what was compared and how far the variants agree."""
    names = ", ".join(each.variant for each in compared.variants)
    about = f"{counted(compared.articles, 'article')}, {counted(len(compared.variants), 'variant')}: {names}."
    known = [each for each in compared.agreements if each.compared]
    if not known:
        return f"{about} No article was answered by all of them."
    known = [each for each in known if not each.free_text] or known
    best, worst = (choose(known, key=lambda each: each.agreed / each.compared) for choose in (max, min))
    if best is worst:
        return f"{about} All agree on {_in_words(worst)}."
    return f"{about} All agree most on {_in_words(best)}, least on {_in_words(worst)}."


def _in_words(each: Agreement) -> str:
    return f"{each.column} ({share(each.agreed, each.compared)} of {counted(each.compared, 'article')})"


def variants_table(compared: Comparison) -> Table:
    """Return the variants' numbers, one column per variant."""
    kinds = dict.fromkeys(kind for each in compared.variants for kind in each.failed)
    lines: list[tuple[str, Callable[[VariantFigures], str], bool]] = [
        ("Model", lambda each: ", ".join(each.models) or "–", False),
        ("Articles", lambda each: count(each.articles), False),
        ("answered", lambda each: count(each.answered), True),
        ("of them reused", lambda each: count(each.reused), True),
        ("failed", lambda each: count(each.articles - each.answered), True),
    ]
    lines += [(f"\u2013\u00a0{label(kind)}", _failed(kind), True) for kind in kinds]
    if any(each.absent for each in compared.variants):
        lines.append(("Not among its articles", lambda each: count(each.absent), False))
    lines += [
        ("Cost of 1,000 articles", lambda each: dollars(each.per_thousand_usd), False),
        (
            "Paid, all runs of the day",
            lambda each: paid_in_words(each.paid_usd, each.known_paid_usd, each.unknown_requests),
            False,
        ),
    ]
    if any(each.cache_saved_usd for each in compared.variants):
        lines.append(("saved by the prompt cache", lambda each: dollars(each.cache_saved_usd), True))
    lines += [
        ("Tokens of an answer, median", lambda each: _whole(each.output_tokens.median), False),
        ("95 of 100 have at most", lambda each: _whole(each.output_tokens.p95), True),
        ("Characters of an answer, median", lambda each: _whole(each.characters.median), False),
        ("95 of 100 have at most", lambda each: _whole(each.characters.p95), True),
    ]
    rows = [[name, *(write(each) for each in compared.variants)] for name, write, _ in lines]
    inset = frozenset(place for place, (_, _, inner) in enumerate(lines) if inner)
    return Table(["", *(each.variant for each in compared.variants)], rows, inset)


def _failed(kind: str) -> Callable[[VariantFigures], str]:
    return lambda each: count(each.failed.get(kind, 0))


def _whole(number: float | None) -> str:
    return count(None if number is None else round(number))


def agreement_table(compared: Comparison) -> Table:
    """Return, for each compared column, how often all variants agree, and each pair of them."""
    pairs = list(compared.agreements[0].pairs) if len(compared.variants) > 2 else []
    headings = ["", "all agree", "articles", *(f"{left} = {right}" for left, right in pairs)]
    rows = [
        [
            each.column,
            share(each.agreed, each.compared),
            count(each.compared),
            *(share(each.pairs[pair][1], each.pairs[pair][0]) for pair in pairs),
        ]
        for each in compared.agreements
    ]
    return Table(headings, rows)
