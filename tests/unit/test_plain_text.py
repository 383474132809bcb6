"""Hostile text in each medium: whatever characters there are, it is shown and does nothing."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from nightpress.plain_text import Html, for_html, for_log, for_markdown, for_svg, for_terminal, shorten

ACTING = [chr(n) for n in (*range(0x20), *range(0x7F, 0xA0))] + [
    "\ud800",
    "\udfff",
    "\ufffe",
    "\uffff",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
    "\U000e0041",
    "\xad",
    "\u180e",
    "\u206a",
    "\u3164",
    "\uffa0",
    "\U0001d173",
    "\U000e0100",
]
ANY_TEXT = st.text(st.characters(codec=None))


@pytest.mark.parametrize("character", ACTING, ids=lambda c: f"U+{ord(c):04X}")
def test_a_character_that_acts_reaches_no_terminal_and_no_log(character: str) -> None:
    for medium in (for_terminal, for_log):
        shown = medium(f"a{character}b")
        assert shown.isprintable()
        assert shown.startswith("a\\")
        assert shown.endswith("b")


@given(ANY_TEXT)
def test_a_terminal_line_is_one_printable_line(text: str) -> None:
    shown = for_terminal(text)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in shown)


@given(ANY_TEXT)
def test_text_in_svg_and_html_is_well_formed_xml(text: str) -> None:
    assert ElementTree.fromstring(f"<p>{for_html(text)}</p>").text is not None or not text
    ElementTree.fromstring(f"<text>{for_html(for_svg(text))}</text>").text  # noqa: B018 - it parses


@given(ANY_TEXT)
def test_html_keeps_every_character_that_can_be_shown(text: str) -> None:
    back = ElementTree.fromstring(f"<p>{for_html(text)}</p>").text or ""
    assert len(back) == len(text.replace("\r\n", "\n"))


@given(ANY_TEXT)
def test_markdown_is_one_line_without_markup(text: str) -> None:
    shown = for_markdown(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert "](" not in shown.replace("\\](", "")


@pytest.mark.parametrize(
    "text", ["1. x", "12) x", "123. x", "123456789) x", "- x", "+ x", "# x", "=== x", "> x"]
)
def test_no_text_begins_a_list_a_heading_or_a_quotation(text: str) -> None:
    start = text.split(maxsplit=1)[0]
    assert not for_markdown(text).startswith(f"{start} ")


def test_what_is_not_markup_is_escaped_by_type() -> None:
    evil = "<script>\x00"
    page = Html("<p title='{}'>{}</p>").format(evil, evil)
    assert page == "<p title='&lt;script&gt;\ufffd'>&lt;script&gt;\ufffd</p>"
    assert Html("<b>%s</b>") % evil == "<b>&lt;script&gt;\ufffd</b>"
    assert Html(", ").join([evil, Markup("<i>x</i>")]) == "&lt;script&gt;\ufffd, <i>x</i>"
    assert Html("<b>") + evil == "<b>&lt;script&gt;\ufffd"
    assert isinstance(Html("<p>{:,}</p>").format(1234), Html)
    assert Html("<p>{:,}</p>").format(1234) == "<p>1,234</p>"


def test_long_text_is_cut() -> None:
    assert for_terminal("x" * 3_000_000).count("x") == 2_000
    assert shorten("word " * 10, 12) == "word word wo …"
    assert shorten("word", 12) == "word"
