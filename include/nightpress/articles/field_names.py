"""The usual names of fields in sources, in lower case and without punctuation."""

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
"""Names of the field with the article's text; the first one that a source has is used."""

DOUBTFUL_CONTENT_NAMES = frozenset({"abstract", "description", "summary", "comment", "message", "post"})
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
    "identifier",
)
"""Names of the field that identifies the article."""

LINK_NAMES = ("url", "link", "permalink", "canonicalurl", "articleurl", "weburl", "uri", "slug")
"""Names of a field that replaces a missing id if its values are unique."""

TITLE_NAMES = ("title", "headline", "heading", "subject", "articletitle", "webtitle", "pagetitle")
"""Names of the field with the title."""

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
"""Names of a field whose value is an object that holds the article."""

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
