"""Read rows of XML: RSS and Atom feeds, WordPress exports, and any file that repeats a tag for each record.

Entities that a file declares are never expanded (defusedxml), so a small file cannot become a large one, and
nothing outside the file is opened.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html.entities import name2codepoint
from typing import Any, BinaryIO, cast

from nightpress.articles.byte_streams import SampledStream, read_whole
from nightpress.articles.document_rows import text_of_html
from nightpress.articles.extras import import_extra
from nightpress.articles.raw_row import FileRows, Row
from nightpress.articles.reading_options import Reading
from nightpress.articles.source_report import SourceReport
from nightpress.articles.xml_elements import bare_tag, row_of_element
from nightpress.articles.xml_records import XmlSurvey, find_record
from nightpress.errors import InputError

_SAMPLE_BYTES = 1024 * 1024
_MAX_PARTS, _MAX_DEPTH = 500_000, 200
_DAMAGED = "it is damaged or cut off; write it again"
_PROBLEMS = {
    3: "it is cut off, or has nothing in it; copy it again",
    4: "an & that is not written as &amp;, a < as &lt;, or a control character; write it again with an XML library",
    11: "a name such as &nbsp; that XML does not know; write it as a character, or declare a DOCTYPE",
    27: "a prefix of a tag that is not declared (xmlns:…=); declare it in the first tag",
}
"""What is wrong and what to do, by expat's number of the error."""
_WORDPRESS = re.compile(r"xmlns:wp=|wordpress\.org/export")
_BLOGGER_KIND = "http://schemas.google.com/g/2005#kind"
_POSTS = frozenset({"post", "page"})


def open_xml(sampled: SampledStream, start: str, file: str, reading: Reading) -> FileRows:
    """Open an XML file.

    :param sampled: the unchanged bytes; the parser reads the encoding from the declaration.
    :param start: its first characters.
    :raises InputError: the file is damaged, declares entities, or it is unclear which tag is a record.
    :raises ConfigurationError: the package for XML or feeds is not installed.
    """
    stream = cast(BinaryIO, sampled)
    record = reading.options.record_path
    if record is None and _WORDPRESS.search(start):
        reading.report.detected(file, "WordPress export")
        return FileRows(file, _iter_wordpress(stream, file, reading.report))
    if record is None and re.search(r"<(?:rss|feed|rdf:RDF)[\s>]", start):
        reading.report.detected(file, "feed (RSS or Atom)")
        return FileRows(
            file, _iter_feed(read_whole(stream, reading.options.limits, file), file, reading.report)
        )
    if record is None and "<mediawiki" in start:
        reading.report.detected(file, "MediaWiki export")
        return FileRows(file, _iter_mediawiki(stream, file, reading.report))
    if record is None:
        sampled.extend(_SAMPLE_BYTES)
        record = find_record(_survey(sampled.sample, file), reading.fields.content, file)
    reading.report.detected(file, f"XML, a record for each <{record}>")
    return FileRows(file, _iter_records(stream, record, file))


def _new_parser(file: str, target: Any = None) -> Any:
    """Return a parser that knows HTML's names of characters, such as ``&eacute;``, and expands no other entity."""
    parser = import_extra("defusedxml.ElementTree", file).DefusedXMLParser(target=target, forbid_dtd=False)
    parser.entity.update((name, chr(code)) for name, code in name2codepoint.items())
    return parser


def _elements(stream: BinaryIO, file: str, events: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield events of the parser."""
    with _named_errors(file):
        parser = _new_parser(file)
        yield from import_extra("defusedxml.ElementTree", file).iterparse(stream, events, parser=parser)


@contextmanager
def _named_errors(file: str) -> Iterator[None]:
    """Report the parser's errors without its messages, which may quote the file."""
    problem = ""
    try:
        yield
    except Exception as error:
        kind = type(error).__name__
        if kind in ("EntitiesForbidden", "ExternalReferenceForbidden", "DTDForbidden"):
            problem = (
                "declares entities, which are never expanded; write them out, and remove the declarations"
            )
        elif kind == "ParseError":
            line = getattr(error, "position", (0, 0))[0]
            problem = f"is not well-formed XML at line {line:,}: {_PROBLEMS.get(getattr(error, 'code', 0), _DAMAGED)}"
        else:
            raise
    if problem:
        raise InputError(f"{file} {problem}. No article is sent until then")


def _survey(sample: bytes, file: str) -> XmlSurvey:
    """Return what the beginning of a file holds."""
    survey = XmlSurvey()
    with _named_errors(file):
        parser = _new_parser(file, survey)
        parser.feed(sample)
    return survey


def _iter_records(stream: BinaryIO, record: str, file: str) -> Iterator[Row]:
    """Yield each element with the record's tag as a dict of its attributes and children."""
    position, depth, parts = 0, 0, 0
    around: list[Any] = []
    for event, element in _elements(stream, file, ("start", "end")):
        here = bare_tag(element.tag) == record
        if event == "start":
            parts = parts + 1 if depth else 0
            depth += here
            around.append(element)
            if parts > _MAX_PARTS or len(around) > _MAX_DEPTH:
                raise InputError(
                    f"{file}: an element <{record}> has more than {_MAX_PARTS:,} parts or {_MAX_DEPTH} levels; "
                    "say which tag is one: record_path='…'. No article is sent until then"
                )
            continue
        around.pop()
        depth -= here
        if here and not depth:
            position += 1
            yield position, row_of_element(element)
        if not depth and around:
            del around[-1][:]  # what has been read is forgotten, so that memory stays small
    if not position:
        raise InputError(f"{file} has no element <{record}>; say which one is an article: record_path='…'")


def _iter_mediawiki(stream: BinaryIO, file: str, report: SourceReport) -> Iterator[Row]:
    """Yield pages with their latest text; redirects, talk pages and files are not articles."""
    left_out: Counter[str] = Counter()
    for position, row in _iter_records(stream, "page", file):
        revisions = row.get("revision")
        last = revisions[-1] if isinstance(revisions, list) and revisions else revisions
        revision: dict[str, Any] = last if isinstance(last, dict) else {}
        text = revision.get("text")
        if "redirect" in row or row.get("ns") not in (None, "0"):
            left_out["redirect" if "redirect" in row else f"namespace {row['ns']:.10}"] += 1
            continue
        yield (
            position,
            {
                "id": row.get("id"),
                "title": row.get("title"),
                "content": text.get("text") if isinstance(text, dict) else text,
                "revision_id": revision.get("id"),
                "timestamp": revision.get("timestamp"),
            },
        )
    _tell_left_out(left_out, "pages are not articles", file, report)


def _tell_left_out(left_out: Counter[str], what: str, file: str, report: SourceReport) -> None:
    if left_out:
        shown = ", ".join(f"{count:,} × {kind}" for kind, count in left_out.most_common(10))
        report.warn(
            f"{left_out.total():,} {what} and were left out ({shown}); record_path= reads every element of a tag",
            file,
        )


def _iter_wordpress(stream: BinaryIO, file: str, report: SourceReport) -> Iterator[Row]:
    """Yield posts and pages; other content of an export (attachments, menus, drafts) is not an article."""
    position = 0
    left_out: Counter[str] = Counter()
    for _, element in _elements(stream, file, ("end",)):
        if bare_tag(element.tag) != "item":
            continue
        row: dict[str, Any] = {}
        for child in element:
            namespace, name = child.tag.rsplit("}", 1) if "}" in child.tag else ("", child.tag)
            if name == "encoded":
                name = "content" if "content" in namespace else "excerpt"
            if name == "category":
                row.setdefault(child.get("domain") or "category", []).append(child.text)
            elif not len(child):
                row[name] = child.text
        element.clear()
        position += 1
        if row.get("post_type") in _POSTS and row.get("status") == "publish":
            yield position, _wordpress_row(row)
        else:
            left_out[_kind_of_post(row)] += 1
    _tell_left_out(left_out, "items are no published post or page", file, report)


def _kind_of_post(row: dict[str, Any]) -> str:
    kind, status = str(row.get("post_type") or "item")[:20], str(row.get("status") or "")[:20]
    kind = kind if re.fullmatch(r"\w+", kind) else "item"
    return f"{kind}, {status}" if kind in _POSTS and re.fullmatch(r"\w+", status) else kind


def _wordpress_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row.get("post_id") or row.get("guid"),
        "title": row.get("title"),
        "content": text_of_html(row.get("content") or "") or None,
        "url": row.get("link"),
        "published": row.get("post_date_gmt") or row.get("pubDate"),
        "author": row.get("creator"),
        "category": row.get("category"),
        "tags": row.get("post_tag"),
    }


def _iter_feed(data: bytes, file: str, report: SourceReport) -> Iterator[Row]:
    if b"<!ENTITY" in data.upper().replace(b"\x00", b""):
        raise InputError(
            f"{file} declares entities, which are never expanded; write them out, and remove the declarations. No "
            "article is sent until then"
        )
    feedparser = import_extra("feedparser", file)
    found = None
    with suppress(Exception):  # damaged bytes end it with errors of many kinds
        found = feedparser.parse(io.BytesIO(data), sanitize_html=False)
    if found is None or (found.bozo and not found.entries):
        raise InputError(
            f"{file} is not a feed that can be read: it is damaged, cut off or another kind of XML"
        )
    if found.bozo and type(found.bozo_exception).__name__ == "SAXParseException":
        raise InputError(f"{file} is not well-formed XML: it is damaged or cut off; get it again")
    left_out: Counter[str] = Counter()
    for position, entry in enumerate(found.entries, start=1):
        if (kind := _kind_of_entry(entry)) != "":
            left_out[kind] += 1
            continue
        terms = [tag.get("term") for tag in entry.get("tags", ()) if tag.get("scheme") != _BLOGGER_KIND]
        texts = [part.get("value") for part in entry.get("content", ())] or [entry.get("summary")]
        yield (
            position,
            {
                "id": entry.get("id") or entry.get("link"),
                "title": text_of_html(entry.get("title") or "") or None,
                "content": text_of_html("\n\n".join(filter(None, texts))) or None,
                "url": entry.get("link"),
                "published": entry.get("published") or entry.get("updated"),
                "author": entry.get("author"),
                "tags": terms or None,
            },
        )
    _tell_left_out(left_out, "entries of a Blogger export are no published post or page", file, report)


def _kind_of_entry(entry: Any) -> str:
    """Return what an entry of a Blogger export is; empty for a published post or page, and in any other feed."""
    kinds = [tag.get("term") or "" for tag in entry.get("tags", ()) if tag.get("scheme") == _BLOGGER_KIND]
    kind = str(entry.get("blogger_type") or (kinds[0].rpartition("#")[2] if kinds else "")).lower()
    draft = (
        entry.get("blogger_status", "LIVE") != "LIVE" or entry.get("app_draft", entry.get("draft")) == "yes"
    )
    if not kind or kind in _POSTS:
        return f"{kind}, draft" if kind and draft else ""
    return kind if re.fullmatch(r"\w{1,20}", kind) else "another kind"
