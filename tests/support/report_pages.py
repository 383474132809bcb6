"""Written reports, and content that no report may have."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from upath import UPath

from nightpress.layout import DataRoot
from nightpress.reports.day.write_day_report import write_report
from tests.support.published_days import DAY

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
EVIL = '<script>alert("1")</script><img src=x onerror=alert(2)>\'"--><svg onload=alert(3)>[a](javascript:alert(4))'
# fmt: off
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "h1",
    "h2", "h3", "h4", "h5", "p", "strong", "dl", "dt", "dd", "div", "ul",
    "li", "b", "br", "span", "table", "thead", "tbody", "tr", "th", "td", "figure",
    "figcaption", "details", "summary", "article", "bdi", "wbr", "code", "svg", "desc", "g", "path", "rect",
    "text", "line",
}
# fmt: on
ATTRIBUTES = re.compile(r"on|formaction|src|srcdoc|xlink")


class Page(HTMLParser):
    """A page's elements, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def report(root: UPath, day: str = DAY, **given: Any) -> tuple[str, str]:
    """Write a day's report; return its page and its long Markdown."""
    write_report(DataRoot(root), day, now=NOW, **given)
    html = DataRoot(root).report(day)
    return html.read_text(), html.with_name("report-full.md").read_text()


def message(root: UPath, day: str = DAY, **given: Any) -> str:
    """Write a day's report; return the text of its mail."""
    write_report(DataRoot(root), day, now=NOW, **given)
    return DataRoot(root).report(day).with_name("report.md").read_text()


def check_harmless(html: str) -> Page:
    page = Page(html)
    assert set(page.tags) <= ALLOWED
    assert [pair for pair in page.attributes if ATTRIBUTES.match(pair[0])] == []
    assert [pair for pair in page.attributes if pair[0] == "href" or "javascript:" in pair[1]] == []
    outside = re.findall(r"(?:https?:)?//[^\s\"'<]+|url\([^)]*\)|@import", re.sub(r">[^<]*<", "><", html))
    assert set(outside) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert ("http-equiv", "Content-Security-Policy") in page.attributes
    return page
