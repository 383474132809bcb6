"""The usual names of fields in sources, in lower case and without punctuation."""

from __future__ import annotations

import re
from collections.abc import Iterable

CONTENT_NAMES = (
    "content",
    "text",
    "body",
    "articlebody",
    "articletext",
    "articlecontent",
    "article",
    "fulltext",
    "contenttext",
    "bodytext",
    "maintext",
    "contenthtml",
    "contentmarkdown",
    "bodymarkdown",
    "bodyhtml",
    "bodyplain",
    "storytext",
    "storybody",
    "newstext",
    "newscontent",
    "newsbody",
    "posttext",
    "postcontent",
    "postbody",
    "textcontent",
    "fullcontent",
    "pagetext",
    "pagecontent",
    "cleantext",
    "articlehtml",
    "texthtml",
    "rawcontent",
    "plaintext",
    "rawtext",
    "paragraphs",
    "selftext",
    "document",
    "story",
    "markdown",
    "post",
    "message",
    "review",
    "comment",
    "transcript",
    "bodycontent",
    "cooked",
    "html",
    "reviewtext",
    "reviewstext",
    "reviewbody",
    "inhalt",
    "contenu",
    "texte",
    "texto",
    "contenido",
    "testo",
    "正文",
    "内容",
    "本文",
    "текст",
    "shortdescription",
    "leadparagraph",
    "abstract",
    "abstracttext",
    "abstractinvertedindex",
    "description",
    "summary",
    "excerpt",
)
"""Names of the field with the article's text; the first one that a source has is used."""

DOUBTFUL_CONTENT_NAMES = frozenset(
    {
        "leadparagraph",
        "abstract",
        "abstracttext",
        "abstractinvertedindex",
        "description",
        "summary",
        "excerpt",
        "shortdescription",
        "comment",
        "message",
        "post",
    }
)
"""Of these, names that may mean something shorter than the article; using one gives a warning."""

ID_NAMES = (
    "id",
    "articleid",
    "docid",
    "documentid",
    "postid",
    "storyid",
    "newsid",
    "itemid",
    "messageid",
    "recordid",
    "uuid",
    "guid",
    "pmid",
    "paperid",
    "corpusid",
    "identifier",
)
"""Names of the field that identifies the article."""

LINK_NAMES = ("url", "link", "permalink", "canonicalurl", "articleurl", "weburl", "uri", "doi", "slug")
"""Names of a field that replaces a missing id if its values are unique."""

TITLE_NAMES = ("title", "headline", "heading", "subject", "articletitle", "webtitle", "pagetitle", "hl1")
"""Names of the field with the title."""

TEXT_KEYS = ("rendered", "#text", "text", "plain", "value", "main", "$t", "cdata", "$oid")
"""Keys of an object that only wraps a text."""

WRAPPER_NAMES = (
    "_source",
    "source",
    "fields",
    "attributes",
    "data",
    "article",
    "document",
    "doc",
    "item",
    "record",
)
"""Names of a field whose value is an object that holds the article."""

BESIDE_NAMES = ("sys", "metadata", "meta", "header")
"""Names of an object in a row that holds its id and its title."""

PERSON_NAMES = frozenset(
    {
        "author",
        "authors",
        "user",
        "creator",
        "owner",
        "editor",
        "publisher",
        "journal",
        "journalmeta",
        "back",
        "ack",
        "reflist",
        "source",
        "image",
        "media",
        "comment",
        "comments",
        "category",
        "categories",
        "tag",
        "tags",
    }
)
"""Names of an object beside the article, whose title or text is not the article's."""

ERROR_NAMES = frozenset({"error", "errors", "fault"})
"""Names of an object that a server returns in place of articles."""

METADATA_NAMES = frozenset(
    {
        "date",
        "author",
        "authors",
        "category",
        "categories",
        "lang",
        "language",
        "section",
        "tags",
        "topic",
        "publishedat",
        "published",
        "publishdate",
        "createdat",
        "updatedat",
        "timestamp",
        "label",
        "name",
        "key",
        "country",
        "publication",
        "newspaper",
        "domain",
        "image",
        "score",
        "price",
        "brand",
        "year",
        "month",
        "day",
    }
)
"""Other usual names; they show that a table's first line is a header."""

NO_RANK = len(CONTENT_NAMES)
"""Rank of a name that is not usual for the content."""
_KNOWN = frozenset({*CONTENT_NAMES, *ID_NAMES, *LINK_NAMES, *TITLE_NAMES, *METADATA_NAMES})
_RANKS = {name: rank for rank, name in enumerate(CONTENT_NAMES)}
_PLAIN_NAME = re.compile(r"[A-Za-z_$@#][A-Za-z0-9_.$@#-]{0,39}")
_MAX_SHOWN = 30


def plain(name: str) -> str:
    """Return a name without case, spaces and punctuation: ``Article_Body`` is ``articlebody``."""
    return "".join(character for character in name.casefold() if character.isalnum())


def known_name(name: str) -> bool:
    """Return whether this is a usual name for a field of articles."""
    return plain(name) in _KNOWN


def content_rank(name: str) -> int:
    """Return the rank of a name for the content; smaller is more usual, :data:`NO_RANK` is not usual."""
    return _RANKS.get(plain(name), NO_RANK)


def show_names(names: Iterable[str]) -> str:
    """Return names of fields for messages; text that may be personal data is replaced by its length.

    >>> show_names(["id", "anna@example.org", "Anna was here"])
    'id, <16 characters>, <13 characters>'
    """
    listed = list(names)
    if not listed:
        return "none at all"
    shown = [name if is_plain_name(name) else f"<{len(name):,} characters>" for name in listed[:_MAX_SHOWN]]
    return ", ".join(shown) + (f" and {len(listed) - _MAX_SHOWN:,} more" if len(listed) > _MAX_SHOWN else "")


def is_plain_name(name: str) -> bool:
    """Return whether a name of a field can be shown, because it is hardly a text or personal data."""
    return _PLAIN_NAME.fullmatch(name) is not None and "@" not in name[1:]


def show_path(path: Iterable[str]) -> str:
    """Return a path of keys for messages; a key that may be personal data or a title is replaced by its length.

    >>> show_path(["data", "Anna was here", "text"])
    'data.<13 characters>.text'
    """
    return ".".join(
        key if is_plain_name(key) or known_name(key) else f"<{len(key):,} characters>" for key in path
    )
