"""A report as one HTML file: no script, no external resources, written piece by piece.

Its head names the DAG of each pipeline whose articles it shows, so that a server can tell from the file alone
who may read it; a separate record could be older or newer than the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import unescape

import msgspec

from nightpress.plain_text import Html
from nightpress.reports.style_sheet import CSS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HEAD_BYTES = 100_000
"""The record of the DAGs is within the first this many bytes."""

_START = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="nightpress-dags" content="'
_DAGS = re.compile(re.escape(_START.encode()) + rb'([^"<>]*)">')


def iter_document(title: str, body: Iterable[Html], dags: Mapping[str, str]) -> Iterator[Html]:
    """Yield a whole page.

    :param dags: the DAG of each pipeline whose articles are shown, by the pipeline's name; empty if unknown.
    """
    yield Html(_START)
    yield Html(
        '{}"><meta http-equiv="Content-Security-Policy" content="{}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        "<title>{}</title><style>{}</style></head><body><main>"
    ).format(msgspec.json.encode(dict(dags)).decode(), POLICY, title, Html(CSS))
    yield from body
    yield Html("</main></body></html>\n")


def read_dags(head: bytes) -> dict[str, str] | None:
    """Return the DAG of each pipeline of a page; None if the page has no record, as in earlier versions.

    :param head: the first :data:`HEAD_BYTES` of the page.
    """
    found = _DAGS.match(head)
    if found is None:
        return None
    try:
        return msgspec.json.decode(unescape(found[1].decode()), type=dict[str, str])
    except (ValueError, RecursionError):
        return None
