r"""Make text from outside (articles, answers, messages of an API, file names, ids) safe to show.

There is one function for each medium, and all text from outside passes through the one for its medium::

    terminal   for_terminal   one line, control characters escaped, shortened
               for_terminal_lines   the same, not shortened, with its line feeds and tabs
    log        for_log        as for_terminal, so that a log entry stays one line
    HTML       for_html       Markup; what is not Markup already is escaped
    SVG        for_svg        only characters that XML allows; a renderer may abort on others
    Markdown   for_markdown   one line in which nothing is markup, a link or a mention

Characters that cannot be shown (C0 and C1 controls, lone surrogates, noncharacters) become U+FFFD in documents, and
an escape such as ``\x1b`` in terminals and logs, where an operator looks for a cause. Marks that change the direction
of writing are part of Arabic or Hebrew text, so documents keep them (and isolate them); terminals and logs escape
them too, because they could make a line look like a different one.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_ACTING = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
_NOT_IN_DOCUMENTS = re.compile(f"[{_ACTING}]")
_NOT_IN_LINES = re.compile(
    f"[{_ACTING}\t\n\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKDOWN_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;", "$": "&#36;"}
_QUERY = re.compile(r"""(\bhttps?://[^\s?'"<>]+\?)[^\s'"<>,;)]+""", re.IGNORECASE)
_NUMBERED = "|".join(rf"(?<=^\d{{{digits}}})[.)]" for digits in range(1, 10))
_MARKDOWN = re.compile(rf"([\\`*_\[\]|~])|([&<>@$])|(:(?=/))|((?<=[wW]{{3}})\.)|(^[#+=-])|({_NUMBERED})")


def for_document(value: object) -> str:
    """Return text with U+FFFD for characters that cannot be shown; line feeds and tabs stay."""
    return _NOT_IN_DOCUMENTS.sub("\ufffd", str(value).replace("\r\n", "\n"))


def for_html(value: object) -> Markup:
    """Return Markup unchanged, and anything else as escaped text."""
    if isinstance(value, Markup):
        return value
    return escape(for_document(value))


class Html(Markup):
    """HTML that is safe to show: a value formatted into it is escaped unless its type is Markup.

    >>> Html("<p>{}</p>").format("<script>")
    Html('<p>&lt;script&gt;</p>')
    """

    __slots__ = ()

    @classmethod
    def escape(cls, s: object, /) -> Html:
        """Return Markup unchanged, and anything else as escaped text."""
        return cls(for_html(s))


def for_svg(value: object) -> str:
    """Return text for an SVG; the renderer escapes markup itself, but may abort on characters that XML forbids."""
    return for_document(value).replace("\n", " ").replace("\t", " ")


def for_terminal(value: object, max_chars: int = 2_000) -> str:
    r"""Return text on one line that cannot move the cursor, change colours or hide a part of itself.

    >>> for_terminal("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'

    :param max_chars: most characters of the text that are shown.
    """
    text = str(value)
    cut = " …" if len(text) > max_chars else ""
    return _NOT_IN_LINES.sub(_to_escape, text[:max_chars]) + cut


def for_terminal_lines(value: object) -> str:
    r"""Return text without control sequences; unlike :func:`for_terminal` it keeps line feeds and tabs.

    >>> for_terminal_lines("a\x1b[31mb\n\tc")
    'a\\x1b[31mb\n\tc'
    """
    return "\n".join(
        "\t".join(_NOT_IN_LINES.sub(_to_escape, part) for part in line.split("\t"))
        for line in str(value).split("\n")
    )


def for_log(value: object, max_chars: int = 2_000) -> str:
    """Return text for a log entry; the result is always one line."""
    return for_terminal(value, max_chars)


def for_markdown(value: object) -> str:
    """Return text on one line in which nothing is markup, a link or a mention."""
    return _MARKDOWN.sub(_to_markdown, " ".join(for_document(value).split()))


def without_queries(text: str) -> str:
    """Return text with the queries of web addresses left out: those of signed downloads hold keys.

    >>> without_queries("https://example.org/a.csv?sig=abc&x=1 is not there")
    'https://example.org/a.csv?… is not there'
    """
    return _QUERY.sub(r"\1…", text)


def shorten(text: str, max_chars: int) -> str:
    """Return at most ``max_chars`` characters of a text, followed by an ellipsis if it was cut."""
    return text if len(text) <= max_chars else text[:max_chars].rstrip() + " …"


def _to_escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    number = ord(character)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def _to_markdown(found: re.Match[str]) -> str:
    if found[4]:
        return "&#46;"
    return _MARKDOWN_ENTITIES.get(found[0]) or f"\\{found[0]}"
