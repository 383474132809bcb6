"""A report as one HTML file: no script, nothing from elsewhere, written piece by piece.

Its head carries the DAG of each pipeline whose articles are in it, so that whoever serves the file can tell who may
read it, in one reading of one file: a record beside it could be older or newer than the page.
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
"""The record of the DAGs is within this many bytes of the beginning."""

_START = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="nightpress-dags" content="'
_DAGS = re.compile(re.escape(_START.encode()) + rb'([^"<>]*)">')


def iter_document(title: str, body: Iterable[Html], dags: Mapping[str, str]) -> Iterator[Html]:
    """Yield a whole page.

    :param dags: the DAG of each pipeline whose articles are shown, by the pipeline's name; empty when not known.
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
    """Return what a page says of its pipelines' DAGs; None when it does not say, as pages of earlier versions.

    :param head: the first :data:`HEAD_BYTES` of the page.
    """
    found = _DAGS.match(head)
    if found is None:
        return None
    try:
        return msgspec.json.decode(unescape(found[1].decode()), type=dict[str, str])
    except (ValueError, RecursionError):
        return None
