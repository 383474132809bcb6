"""An XML element as a row: its attributes, its children's values, and text with its paragraphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightpress.articles.content_text import TextObject

INLINE_TAGS = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "big",
        "bold",
        "br",
        "cite",
        "code",
        "command",
        "del",
        "em",
        "emph",
        "emphasis",
        "ext-link",
        "filename",
        "font",
        "foreignphrase",
        "hi",
        "i",
        "ins",
        "italic",
        "kbd",
        "link",
        "literal",
        "mark",
        "monospace",
        "named-content",
        "named-entity",
        "overline",
        "phrase",
        "q",
        "quote",
        "ref",
        "roman",
        "s",
        "sc",
        "small",
        "span",
        "strike",
        "strong",
        "styled-content",
        "sub",
        "subscript",
        "sup",
        "superscript",
        "tt",
        "u",
        "ulink",
        "underline",
        "uri",
        "var",
        "xref",
    ]
)
"""Tags inside a sentence: DocBook, HTML, JATS and TEI."""

PROSE_TAGS = frozenset(
    [
        "abstracttext",
        "ab",
        "block",
        "blockquote",
        "div",
        "div1",
        "div2",
        "div3",
        "formalpara",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "itemizedlist",
        "l",
        "lg",
        "list",
        "ol",
        "orderedlist",
        "p",
        "para",
        "pre",
        "programlisting",
        "sec",
        "sect1",
        "sect2",
        "sect3",
        "section",
        "simpara",
        "ul",
    ]
)
"""Tags of paragraphs and sections; an element with such children is a text."""

_NAMED_TAGS = frozenset(
    {"field", "str", "int", "long", "float", "double", "bool", "date", "arr", "column", "property"}
)
_BREAK_TAGS = frozenset({"br", "lb", "break"})
_MAX_DEPTH = 100


def bare_tag(tag: str) -> str:
    """Return a tag without its namespace."""
    return tag.rsplit("}", 1)[-1]


def field_name(tag: str, attributes: Mapping[str, str]) -> str:
    """Return the name of a field: its tag, or the attribute ``name`` of tags that say nothing (Solr, mysqldump)."""
    bare = bare_tag(tag)
    return attributes["name"] if bare in _NAMED_TAGS and "name" in attributes else bare


def row_of_element(element: Any) -> dict[str, Any]:
    """Return the attributes and children of an element; a repeated tag gives a list.

    Its own text, or the text of its paragraphs if it has them as children, is the field ``text``.
    """
    row = _fields_of(element, 0)
    if "text" not in row:
        text = (element.text or "").strip()
        prose = [child for child in element if bare_tag(child.tag).lower() in PROSE_TAGS]
        if prose:
            text = "\n\n".join(filter(None, map(text_of_element, prose)))
        if text:
            row["text"] = text
    return row


def _fields_of(element: Any, depth: int) -> dict[str, Any]:
    row: dict[str, Any] = {bare_tag(name): value for name, value in element.attrib.items()}
    for child in element:
        name, value = field_name(child.tag, child.attrib), _value_of(child, depth + 1)
        if name not in row:
            row[name] = value
        elif isinstance(row[name], list):
            row[name].append(value)
        else:
            row[name] = [row[name], value]
    return row


def _value_of(element: Any, depth: int) -> Any:
    """Return the text of an element, or an object if it holds fields.

    Markup inside a sentence is dropped. Of an element without text the attributes are kept: ``<link href="…"/>``.
    """
    if element.tag == "arr":
        return [_value_of(child, depth + 1) for child in element]
    if not len(element):
        text = element.text
        if (
            element.attrib
            and field_name(element.tag, element.attrib) == bare_tag(element.tag)
            and not (text or "").strip()
        ):
            return {bare_tag(name): value for name, value in element.attrib.items()}
        return _labelled(element, text) or None
    tags = {bare_tag(child.tag).lower() for child in element}
    mixed = (element.text or "").strip() or any((child.tail or "").strip() for child in element)
    if (mixed and not tags & PROSE_TAGS) or tags <= INLINE_TAGS or depth > _MAX_DEPTH:
        return _labelled(element, _text_with_breaks(element))
    if mixed:
        return text_of_element(element)
    value = TextObject(_fields_of(element, depth))
    if tags & PROSE_TAGS:
        value.text = text_of_element(element)
    return value


def _text_with_breaks(element: Any) -> str:
    """Return the text in an element and its parts; an empty ``<br/>`` separates words."""
    own = element.text or ("\n" if bare_tag(element.tag).lower() in _BREAK_TAGS else "")
    return own + "".join(_text_with_breaks(child) + (child.tail or "") for child in element)


def _labelled(element: Any, text: str | None) -> str | None:
    """Return a text with its label: PubMed's abstracts have parts such as METHODS."""
    label = element.get("Label")
    return f"{label}: {text}" if label and text and bare_tag(element.tag) == "AbstractText" else text


def text_of_element(element: Any, depth: int = 0) -> str:
    """Return the text of an element, paragraphs separated by blank lines, each with single spaces."""
    blocks: list[str] = []
    sentence = [element.text or ""]
    for child in element:
        if bare_tag(child.tag).lower() in INLINE_TAGS or depth > _MAX_DEPTH:
            sentence.append(_text_with_breaks(child))
        else:
            blocks += ["".join(sentence), text_of_element(child, depth + 1)]
            sentence = []
        sentence.append(child.tail or "")
    blocks.append("".join(sentence))
    inner = ["\n\n".join(" ".join(part.split()) for part in block.split("\n\n")) for block in blocks]
    return _labelled(element, "\n\n".join(part for part in inner if part.strip())) or ""
