"""Read rows of XML: RSS and Atom feeds, WordPress exports, and any file that repeats a tag for each record.

Entities that a file declares are never expanded (defusedxml), so a small file cannot become a large one, and
nothing outside the file is opened.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from nightpress.articles.byte_streams import read_whole
from nightpress.articles.document_rows import text_of_html
from nightpress.articles.extras import import_extra
from nightpress.articles.field_names import NO_RANK, content_rank, known_name
from nightpress.articles.raw_row import FileRows, Row
from nightpress.articles.reading_options import Reading
from nightpress.articles.source_report import SourceReport
from nightpress.errors import InputError

_SAMPLE_ELEMENTS = 2_000
_WORDPRESS = re.compile(r"xmlns:wp=|wordpress\.org/export")
_POSTS = frozenset({"post", "page"})


def open_xml(stream: BinaryIO, start: str, file: str, reading: Reading) -> FileRows:
    """Open an XML file.

    :param stream: the unchanged bytes; the parser reads the encoding from the declaration.
    :param start: its first characters.
    :raises InputError: the file is damaged, declares entities, or it is unclear which tag is a record.
    :raises ConfigurationError: the package for XML or feeds is not installed.
    """
    record = reading.options.record_path
    if record is None and _WORDPRESS.search(start):
        reading.report.detected(file, "WordPress export")
        return FileRows(file, _iter_wordpress(stream, file, reading.report))
    if record is None and re.search(r"<(?:rss|feed|rdf:RDF)[\s>]", start):
        reading.report.detected(file, "feed (RSS or Atom)")
        return FileRows(file, _iter_feed(read_whole(stream, reading.options.limits, file), file))
    if record is None and "<mediawiki" in start:
        reading.report.detected(file, "MediaWiki export")
        return FileRows(file, _iter_mediawiki(stream, file, reading.report))
    if record is None:
        data = read_whole(stream, reading.options.limits, file)
        record = _find_record(data, file)
        stream = io.BytesIO(data)
    reading.report.detected(file, f"XML, a record for each <{record}>")
    return FileRows(file, _iter_records(stream, record, file))


def _elements(stream: BinaryIO, file: str, events: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield events of the parser; errors are reported without its messages, which may quote the file."""
    parser = import_extra("defusedxml.ElementTree", file)
    problem = ""
    try:
        yield from parser.iterparse(stream, events, forbid_dtd=False)
    except Exception as error:
        kind = type(error).__name__
        if kind in ("EntitiesForbidden", "ExternalReferenceForbidden", "DTDForbidden"):
            problem = (
                "declares entities, which are never expanded; write them out, and remove the declarations"
            )
        elif kind == "ParseError":
            line = getattr(error, "position", (0, 0))[0]
            problem = f"is not well-formed XML at line {line:,}: it is damaged or cut off; write it again"
        else:
            raise
    if problem:
        raise InputError(f"{file} {problem}. No article is sent until then")


def _bare(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def _find_record(data: bytes, file: str) -> str:
    """Return the tag that is repeated and holds fields with usual names."""
    counts: Counter[str] = Counter()
    fields: dict[str, set[str]] = {}
    path: list[str] = []
    for number, (event, element) in enumerate(_elements(io.BytesIO(data), file, ("start", "end"))):
        if event == "start":
            path.append(_bare(element.tag))
            continue
        path.pop()
        if path:
            # Stack Exchange writes a record only as attributes.
            alone = not len(element) and any(content_rank(name) < NO_RANK for name in element.attrib)
            counts[_bare(element.tag)] += len(element) > 0 or alone
            if alone:
                fields.setdefault(_bare(element.tag), set()).update(element.attrib)
            fields.setdefault(path[-1], set()).add(_bare(element.tag))
        if number > _SAMPLE_ELEMENTS * 2:
            break
    good = [tag for tag in counts if counts[tag] and any(map(known_name, fields.get(tag, ())))]
    best = max(good, key=lambda tag: counts[tag], default=None)
    if best is None:
        raise InputError(
            f"{file}: it is unclear which tag is an article; say which one is: record_path='item'. No article is "
            "sent until then"
        )
    return best


def _iter_records(stream: BinaryIO, record: str, file: str) -> Iterator[Row]:
    """Yield each element with the record's tag as a dict of its attributes and children."""
    position, depth = 0, 0
    for event, element in _elements(stream, file, ("start", "end")):
        here = _bare(element.tag) == record
        if event == "start":
            depth += here
        elif here:
            depth -= 1
            if not depth:
                position += 1
                yield position, _as_row(element)
                element.clear()
    if not position:
        raise InputError(f"{file} has no element <{record}>; say which one is an article: record_path='…'")


def _as_row(element: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict(element.attrib)
    for child in element:
        name, value = _bare(child.tag), _as_value(child)
        if name not in row:
            row[name] = value
        elif isinstance(row[name], list):
            row[name].append(value)
        else:
            row[name] = [row[name], value]
    text = (element.text or "").strip()
    if text and "text" not in row:
        row["text"] = text
    return row


def _as_value(element: Any) -> Any:
    """Return the text, or an object if there are children; markup inside a text is read as text."""
    if len(element) and not (element.text or "").strip():
        return _as_row(element)
    return "".join(element.itertext()) or None


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
        if _bare(element.tag) != "item":
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


def _iter_feed(data: bytes, file: str) -> Iterator[Row]:
    if b"<!ENTITY" in data.upper().replace(b"\x00", b""):
        raise InputError(
            f"{file} declares entities, which are never expanded; write them out, and remove the declarations. No "
            "article is sent until then"
        )
    feedparser = import_extra("feedparser", file)
    found = feedparser.parse(io.BytesIO(data), sanitize_html=False)
    if found.bozo and not found.entries:
        raise InputError(
            f"{file} is not a feed that can be read: it is damaged, cut off or another kind of XML"
        )
    if found.bozo and type(found.bozo_exception).__name__ == "SAXParseException":
        raise InputError(f"{file} is not well-formed XML: it is damaged or cut off; get it again")
    for position, entry in enumerate(found.entries, start=1):
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
                "tags": [tag.get("term") for tag in entry.get("tags", ())] or None,
            },
        )
