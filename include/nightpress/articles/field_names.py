"""The usual names of fields in sources, lower case and without punctuation."""

from __future__ import annotations

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
    "abstract",
    "description",
    "summary",
)
"""A field that holds the article's text; the first of these that a source has is taken."""

DOUBTFUL_CONTENT_NAMES = frozenset({"abstract", "description", "summary", "comment", "message", "post"})
"""Of these, names that may mean something shorter than the article; they are taken with a warning."""

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
    "identifier",
)
"""A field that identifies the article."""

LINK_NAMES = ("url", "link", "permalink", "canonicalurl", "articleurl", "weburl", "uri", "slug")
"""A field that stands in for an id where its values are unique."""

TITLE_NAMES = ("title", "headline", "heading", "subject", "articletitle", "webtitle", "pagetitle")
"""A field that holds the title."""

TEXT_KEYS = ("rendered", "#text", "text", "plain", "value", "$t", "cdata", "$oid")
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
"""Fields whose object holds the article."""

ERROR_NAMES = frozenset({"error", "errors", "fault"})
"""An object of such a name is what a server says in place of articles."""

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
