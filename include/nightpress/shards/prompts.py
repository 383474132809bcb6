"""A prompt with named fields, filled exactly once.

The text of an article is never interpreted: braces, Jinja, HTML and even ``{content}`` inside an article
reach the API unchanged, because the template is split before any article is read.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from nightpress.articles.article import Article
from nightpress.errors import ConfigurationError

FIELDS = ("id", "title", "content")
_SHOWN_CHARS = 40
_NAME = re.compile(r"[^\W\d][\w -]*")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A prompt such as ``"Summarize in two sentences: {content}"``.

    :param template: text with ``{content}`` and, if wanted, ``{title}``, ``{id}`` and any other field of the
        source, such as ``{brand}``; a literal brace is written twice, as in Python's format strings.
    :param max_content_chars: most characters of each field (the content, the title and the source's own) that are
        sent, counted from its beginning; None sends all of them.
    :raises ConfigurationError: no ``{content}``, an invalid field, or braces that do not match.
    """

    template: str
    max_content_chars: int | None = None
    extra_fields: tuple[str, ...] = field(init=False, repr=False)
    """Names of the source's own fields in the template."""

    names: tuple[str, ...] = field(init=False, repr=False)
    """Names of all fields that are filled in, in the order of the template."""

    _literals: list[str] = field(init=False, repr=False, compare=False)
    """The text around the fields: before the first, an empty place for it, before the second, and so on."""

    _texts: list[Callable[[Article], str]] = field(init=False, repr=False, compare=False)
    """What returns the whole text of each place."""

    _measured: list[tuple[str, Callable[[Article], str]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_content_chars is not None and self.max_content_chars < 1:
            raise ConfigurationError(
                f"max_content_chars is {self.max_content_chars}; it must be 1 or more, or None to send all"
            )
        literals, places = _parse(self.template)
        names = tuple(dict.fromkeys(places))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "extra_fields", tuple(name for name in names if name not in FIELDS))
        object.__setattr__(self, "_literals", literals)
        object.__setattr__(self, "_texts", [_text_of(name) for name in places])
        object.__setattr__(self, "_measured", [(name, _text_of(name)) for name in names])

    def missing_field(self, article: Article) -> str | None:
        """Return the first field that the template names and the article lacks, or None."""
        return next((name for name in self.extra_fields if name not in article.metadata), None)

    def cut_fields(self, article: Article) -> Sequence[tuple[str, int]]:
        """Return each field of an article that is not sent whole, with the number of characters left out."""
        longest = self.max_content_chars
        if longest is None:
            return ()
        return [
            (name, len(whole) - longest)
            for name, text in self._measured
            if len(whole := text(article)) > longest
        ]

    def fill(self, article: Article) -> str:
        """Return the prompt for ``article``, which must have all fields; a null one becomes empty text."""
        longest = self.max_content_chars
        pieces = self._literals.copy()
        pieces[1::2] = [text(article)[:longest] for text in self._texts]
        return "".join(pieces)


def _text_of(name: str) -> Callable[[Article], str]:
    """Return what returns the text of a field; for each article, a call in C is faster than one in Python."""
    if name in FIELDS:
        return attrgetter("article_id" if name == "id" else name)
    return partial(_own_text, name)


def _own_text(name: str, article: Article) -> str:
    value = article.metadata[name]
    return "" if value is None else str(value)


def _parse(template: str) -> tuple[list[str], list[str]]:
    """Return the text around the fields, with an empty piece for each of them, and their names.

    >>> _parse("T={title} {{}} C={content}")
    (['T=', '', ' {} C=', '', ''], ['title', 'content'])
    """
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(
            f"the prompt's braces do not match ({error}); write a literal brace twice: {{{{ or }}}}"
        ) from None
    literals, places = [""], []
    for literal, name, spec, conversion in parsed:
        if name is not None and (not _NAME.fullmatch(name) or spec or conversion):
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            # Unmatched braces may hold half the prompt, which must not go to a log.
            shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"
            raise ConfigurationError(
                f"the prompt has {{{shown}}}, which is not a field; fields are {known} and the source's own by name. "
                "Write a literal brace twice: {{ or }}"
            )
        literals[-1] += literal
        if name is not None:
            places.append(name)
            literals += ["", ""]
    if "content" not in places:
        raise ConfigurationError(
            f"the prompt has no {{content}}, so no article would be sent; fields: {known}"
        )
    return literals, places
