"""The text of a content field that is not plain text: paragraphs, rich text of editors, XML, inverted indexes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LEAVES = ("text", "plain_text", "value", "content", "html")
_BRANCHES = (
    "children",
    "content",
    "blocks",
    "root",
    "document",
    "rich_text",
    "paragraphs",
    "components",
    "contents",
    "data",
)
_INLINE = frozenset(
    {
        *("plain", "bold", "italic", "underline", "strikethrough", "spoiler", "code", "pre", "blockquote"),
        *("link", "text_link", "mention", "mention_name", "hashtag", "cashtag", "bot_command"),
        *("email", "phone", "bank_card", "custom_emoji"),
    }
)
"""Types of the parts of a message in Telegram's export, which stand between plain texts."""
_MAX_DEPTH = 40


class TextObject(dict[str, Any]):
    """An object that also has a text of its own, such as an XML element with paragraphs.

    :param text: its text, paragraphs separated by blank lines; empty if it holds fields, not prose.
    """

    text: str = ""


def text_of_content(content: object) -> str | None:
    r"""Return the text of a value, paragraphs separated by blank lines; None if it is no text.

    >>> text_of_content(["One.", None, {"type": "text", "text": "Two."}])
    'One.\n\nTwo.'
    >>> text_of_content([{"type": "paragraph", "children": [{"text": "Rich "}, {"text": "text", "bold": True}]}])
    'Rich text'
    >>> text_of_content({"rain": [0, 2], "and": [1]})
    'rain and rain'
    >>> text_of_content(["See ", {"type": "link", "text": "example.org"}, "."])
    'See example.org.'
    """
    if isinstance(content, str):
        return content
    if isinstance(content, TextObject):
        return content.text or None
    if isinstance(content, Mapping):
        return _text_of_index(content) or _text_of_node(content, 0)
    if not isinstance(content, list) or not content:
        return None
    if any(isinstance(part, str) for part in content) and any(map(_is_inline, content)):
        return "".join(part if isinstance(part, str) else _text_of_node(part, 1) or "" for part in content)
    texts = [
        "" if part is None else _text_of_node(part, 1) if type(part) is dict else text_of_content(part)
        for part in content
    ]
    return None if None in texts else "\n\n".join(text for text in texts if text)


def _text_of_node(node: Any, depth: int) -> str | None:
    """Return the text of a node of rich text, such as Contentful, Sanity, Strapi, Lexical and TipTap write it.

    A node has a text or nodes inside; one with neither (a picture) has an empty text.
    """
    if depth > _MAX_DEPTH:
        return None
    if isinstance(node, str):
        return node
    if isinstance(node, list):
        texts = [_text_of_node(part, depth + 1) for part in node]
        separator = "" if all(map(_is_leaf, node)) else "\n\n"
        return None if None in texts else separator.join(text for text in texts if text)
    if not isinstance(node, Mapping):
        return None
    leaf = next((node[key] for key in _LEAVES if isinstance(node.get(key), str)), None)
    if leaf is not None:
        return str(leaf)
    branch = next((node[key] for key in _BRANCHES if isinstance(node.get(key), (list, Mapping))), None)
    if branch is not None:
        return _text_of_node(branch, depth + 1)
    return "" if depth and {"type", "_type", "nodeType", "__typename"} & node.keys() else None


def _is_inline(part: object) -> bool:
    """Return whether a part of a text is within its lines, as a link or bold words in Telegram's export are."""
    return isinstance(part, Mapping) and part.get("type") in _INLINE and isinstance(part.get("text"), str)


def _is_leaf(node: object) -> bool:
    return isinstance(node, Mapping) and any(isinstance(node.get(key), str) for key in _LEAVES)


def _text_of_index(content: Mapping[Any, Any]) -> str | None:
    """Return the text of an inverted index, which has the places of each word (abstracts of OpenAlex)."""
    words: dict[int, str] = {}
    for word, places in content.items():
        if not isinstance(places, list) or not places or not all(type(place) is int for place in places):
            return None
        words.update(dict.fromkeys(places, str(word)))
    return " ".join(words[place] for place in sorted(words)) or None
