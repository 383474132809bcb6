"""A prompt with named fields, filled exactly once.

The text of an article is never interpreted: braces, Jinja, HTML and even ``{content}`` inside an article
reach the API unchanged, because the template is split before any article is read.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field

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

    _filled: tuple[str, ...] = field(init=False, repr=False)
    _pieces: tuple[tuple[str, str | None], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_content_chars is not None and self.max_content_chars < 1:
            raise ConfigurationError(
                f"max_content_chars is {self.max_content_chars}; it must be 1 or more, or None to send all"
            )
        pieces = _parse(self.template)
        named = dict.fromkeys(name for _, name in pieces if name is not None)
        object.__setattr__(self, "_pieces", pieces)
        object.__setattr__(self, "_filled", tuple(named))
        object.__setattr__(self, "extra_fields", tuple(name for name in named if name not in FIELDS))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all fields that are filled in, in the order of the template."""
        return self._filled

    def missing_field(self, article: Article) -> str | None:
        """Return the first field that the template names and the article lacks, or None."""
        return next((name for name in self.extra_fields if name not in article.metadata), None)

    def cut_fields(self, article: Article) -> Iterator[tuple[str, int]]:
        """Yield each field of an article that is not sent whole, with the number of characters left out."""
        longest = self.max_content_chars
        if longest is None:
            return
        for name in self._filled:
            over = len(self._text(article, name)) - longest
            if over > 0:
                yield name, over

    def _text(self, article: Article, name: str) -> str:
        if name == "content":
            return article.content
        if name == "title":
            return article.title
        if name == "id":
            return article.article_id
        value = article.metadata[name]
        return "" if value is None else str(value)

    def fill(self, article: Article) -> str:
        """Return the prompt for ``article``, which must have all fields; a null one becomes empty text."""
        longest = self.max_content_chars
        values = {name: self._text(article, name)[:longest] for name in self._filled}
        return "".join(
            [literal if name is None else literal + values[name] for literal, name in self._pieces]
        )


def _parse(template: str) -> tuple[tuple[str, str | None], ...]:
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(
            f"the prompt's braces do not match ({error}); write a literal brace twice: {{{{ or }}}}"
        ) from None
    pieces: list[tuple[str, str | None]] = []
    for literal, name, spec, conversion in parsed:
        if name is not None and (not _NAME.fullmatch(name) or spec or conversion):
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            # Unmatched braces may hold half the prompt, which must not go to a log.
            shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"
            raise ConfigurationError(
                f"the prompt has {{{shown}}}, which is not a field; fields are {known} and the source's own by name. "
                "Write a literal brace twice: {{ or }}"
            )
        pieces.append((literal, name))
    if "content" not in {name for _, name in pieces}:
        raise ConfigurationError(
            f"the prompt has no {{content}}, so no article would be sent; fields: {known}"
        )
    return tuple(pieces)
