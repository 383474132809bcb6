"""Tables of a report as rows of text, and how HTML and Markdown lay them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightpress.plain_text import Html, for_html, for_markdown


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings; the first column names the row, all others are numbers.

    :param inset: indices of rows that belong to the row above.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    inset: frozenset[int] = frozenset()


def table_html(table: Table, kind: str = "") -> Html:
    """Return a table as HTML.

    :param kind: CSS class of the table, e.g. ``plain`` for one whose second column is not emphasized.
    """
    head = Html("").join(Html('<th scope="col"><bdi>{}</bdi></th>').format(name) for name in table.headings)
    rows = Html("").join(_row_html(row, inset=place in table.inset) for place, row in enumerate(table.rows))
    return Html(
        '<div class="scroll"><table class="{}"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(kind, head, rows)


def _row_html(row: Sequence[str], *, inset: bool) -> Html:
    name, *cells = row
    # Long names may break after underscores, so that the numbers fit on a phone.
    label = for_html(name).replace("_", Html("_<wbr>"))
    values = Html("").join(Html("<td>{}</td>").format(cell) for cell in cells)
    start = Html('<tr class="in">') if inset else Html("<tr>")
    return Html('{}<th scope="row"><bdi>{}</bdi></th>{}</tr>').format(start, label, values)


def table_markdown(table: Table) -> str:
    """Return a table as Markdown."""
    lines = ["| " + " | ".join(for_markdown(name) for name in table.headings) + " |"]
    lines.append("|" + " --- |" + " ---: |" * (len(table.headings) - 1))
    lines += ["| " + " | ".join(map(for_markdown, row)) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"
