"""Read files that are one article each: Markdown with front matter, plain text, HTML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from html import unescape
from typing import Any, BinaryIO

from nightpress.articles.byte_streams import read_whole
from nightpress.articles.extras import import_extra
from nightpress.articles.raw_row import FileRows, Row
from nightpress.articles.reading_options import ReadLimits
from nightpress.errors import InputError

_HEADING = re.compile(r"^#[ \t]+(\S.*)$", re.MULTILINE)
_TOML = re.compile(r"\s*\+\+\+[ \t]*\r?\n(.*?\n)?\+\+\+[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_MAX_VALUES = 10_000
"""Most values in front matter, with aliases expanded; real front matter has far fewer."""
_BLOCKS = frozenset(
    {
        "p",
        "div",
        "br",
        "li",
        "ul",
        "ol",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "tr",
        "table",
        "blockquote",
        "pre",
        "section",
        "article",
        "header",
        "footer",
        "figure",
        "figcaption",
        "hr",
        "dd",
        "dt",
        "dl",
    }
)
_UNSEEN = frozenset({"script", "style", "template", "noscript", "head"})


def open_document(stream: BinaryIO, kind: str, file: str, name: str, limits: ReadLimits) -> FileRows:
    """Open a file that is one article; its id is its path below the source, without the suffix.

    :param stream: UTF-8 without a byte order mark.
    :param kind: markdown, text or html.
    :param name: the path below the source.
    :raises InputError: the file is not UTF-8, or its front matter is not YAML.
    :raises ConfigurationError: the package for front matter or HTML is not installed.
    """
    text: str | None = None
    with suppress(UnicodeDecodeError):
        text = read_whole(stream, limits, file).decode()
    if text is None:
        raise InputError(f"{file} is not UTF-8, unlike its beginning; say what it is in with encoding=")
    row = _READERS[kind](text, file)
    stem = re.sub(
        r"(\.(md|markdown|txt|text|html?|gz|gzip|zst|zstd|bz2|xz))+$", "", name, flags=re.IGNORECASE
    )
    row.setdefault("id", stem)
    return FileRows(file, _single(row))


def _single(row: dict[str, Any]) -> Iterator[Row]:
    yield 1, row


def _text(text: str, _file: str) -> dict[str, Any]:
    return {"title": None, "content": text}


def _markdown(text: str, file: str) -> dict[str, Any]:
    if not text.lstrip().startswith(("---", "+++", "{")):
        return {"title": _first_heading(text), "content": text}
    found: tuple[Mapping[str, Any], str] | None = None
    line: int | None = None
    toml = _TOML.match(text)
    parse = _parse_toml if toml else partial(_parse_front_matter, import_extra("frontmatter", file))
    try:
        found = parse(text)
    except Exception as error:  # the parser's message may quote the file
        found, line = None, _line_of(error, text)
    if found is not None and not _has_at_most(found[0], _MAX_VALUES):
        raise InputError(f"{file}: its front matter has more than {_MAX_VALUES:,} values; shorten it")
    if found is None:
        mark = "+++" if toml else "---"
        place = f"at line {line:,}" if line else f"between the first two {mark}"
        raise InputError(
            f"{file}: its front matter cannot be parsed; fix it {place} (a value with a colon, a quote or a bracket "
            "needs quotes around it). No article is sent until then"
        )
    fields, content = dict(found[0]), found[1]
    if not fields and _has_words_before(text, content):
        return {"title": _first_heading(text), "content": text}  # its first line is a rule, not front matter
    title = fields.pop("title", None) or _first_heading(content)
    if "content" in fields:
        fields["source_content"] = fields.pop("content")  # it is no part of the text, and is not lost
    return {**fields, "title": None if title is None else str(title), "content": content}


def _line_of(error: Exception, text: str) -> int | None:
    """Return the line of the file at which a parser of YAML, TOML or JSON stopped; None if it does not say so.

    YAML is parsed from the end of the first ``---``, JSON from its brace, and TOML from the line below ``+++``.
    """
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark is not None else getattr(error, "lineno", None)
    if line is None and (said := re.search(r"at line (\d+), column", str(error))):
        line = int(said[1])
    if line is None:
        return None
    before = text[: len(text) - len(text.lstrip())].count("\n")
    return before + int(line) + isinstance(error, tomllib.TOMLDecodeError)


def _has_words_before(text: str, content: str) -> bool:
    """Return whether the part before the content is more than the marks around empty front matter."""
    before = text.strip()[: -len(content) or None]
    return bool(before.strip("-+{}; \t\r\n"))


def _parse_toml(text: str) -> tuple[Mapping[str, Any], str]:
    match = _TOML.match(text)
    assert match is not None
    return tomllib.loads((match[1] or "").replace("\r\n", "\n")), text[match.end() :].strip()


def _parse_front_matter(package: Any, text: str) -> tuple[Mapping[str, Any], str]:
    handler = package.detect_format(text, package.handlers)
    if type(handler) is package.YAMLHandler:
        handler = package.YAMLHandler()
        handler.load = partial(handler.load, Loader=_as_written(package.default_handlers.SafeLoader))
    found: tuple[Mapping[str, Any], str] = package.parse(text, handler=handler)
    return found


@cache
def _as_written(loader: Any) -> Any:
    """Return a YAML loader that converts a number or a truth value only if it reads the same afterwards.

    YAML 1.1 makes 83 of ``0123``, 750 of ``12:30``, 1.1 of ``1.10`` and True of ``on``: wrong ids and titles.
    """
    ours: Any = type("AsWritten", (loader,), {})
    for kind in ("int", "float", "bool"):
        convert = getattr(loader, f"construct_yaml_{kind}")

        def construct(own: Any, node: Any, convert: Any = convert) -> Any:
            value = convert(own, node)
            return value if str(value).lower() == node.value.lower() else own.construct_scalar(node)

        ours.add_constructor(f"tag:yaml.org,2002:{kind}", construct)
    return ours


def _first_heading(text: str) -> str | None:
    match = _HEADING.search(text)
    if match is None:
        return None
    title = match[1].rstrip()
    return title.rstrip("#").rstrip() or title


def _has_at_most(value: object, limit: int) -> bool:
    """Return whether a value has at most ``limit`` parts; YAML aliases can expand a few bytes endlessly."""
    waiting, count = [value], 0
    while waiting and count <= limit:
        part = waiting.pop()
        count += 1
        inner = (
            part.values()
            if isinstance(part, Mapping)
            else part
            if isinstance(part, (list, tuple, set))
            else ()
        )
        waiting.extend(inner)
    return count <= limit


def _html(text: str, file: str) -> dict[str, Any]:
    trafilatura = import_extra("trafilatura", file)
    found = trafilatura.bare_extraction(text, include_comments=False, with_metadata=True)
    fields = {} if found is None else found.as_dict()
    about = {name: fields.get(name) for name in ("author", "date", "url", "sitename", "language")}
    kept = {name: value for name, value in about.items() if value}
    title, content = fields.get("title"), fields.get("text") or ""
    if title and content.startswith(f"{title}\n"):
        content = content[len(title) :].lstrip("\n")  # drop the page's heading, which is the title
    return {**kept, "title": title, "content": content or None}


_READERS = {"markdown": _markdown, "text": _text, "html": _html}


_TOKEN = re.compile(
    r"""<!--.*?(?:-->|\Z)|<[!?][^>]*+(?:>|\Z)|<(?P<end>/?)(?P<tag>[a-zA-Z][^\s/>]*)(?:"[^"]*"|'[^']*'|[^>])*+(?:>|\Z)""",
    re.DOTALL,
)
"""A comment, a declaration or a tag. Each match ends at its end or at the end of the text; Python's own
parser searches for a missing end again and again."""


def text_of_html(text: str) -> str:
    r"""Return the text of a piece of HTML, such as the content of a feed's entry; other text unchanged.

    >>> text_of_html("<p>One &amp; two</p><p>Three</p>")
    'One & two\n\nThree'
    >>> text_of_html("1 < 2")
    '1 < 2'
    """
    if not (re.search(r"</?[a-zA-Z]", text) and ">" in text) and not re.search(r"&#?\w+;", text):
        return text
    lines = [line.strip() for line in "".join(_iter_seen(text)).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _iter_seen(text: str) -> Iterator[str]:
    """Yield the visible text of HTML, with a line break at the end of each block."""
    hidden, position = 0, 0
    while (token := _TOKEN.search(text, position)) is not None:
        if not hidden:
            yield unescape(text[position : token.start()])
        position = token.end()
        tag = (token["tag"] or "").lower()
        if tag in _BLOCKS:
            yield "\n"
        if tag in _UNSEEN:
            hidden = max(0, hidden - 1 if token["end"] else hidden + 1)
        if tag in ("script", "style") and not token["end"]:
            end = re.compile(f"</{tag}", re.IGNORECASE).search(text, position)
            position = end.start() if end else len(text)
    if not hidden:
        yield unescape(text[position:])
