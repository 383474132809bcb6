"""What the reader makes of a source's rows."""

from __future__ import annotations

import msgspec


class Article(msgspec.Struct, frozen=True, gc=False):
    article_id: str
    title: str
    content: str
    metadata: dict[str, object]
    file: str
    position: int


class Rejected(msgspec.Struct, frozen=True, gc=False):
    article_id: str | None
    file: str
    position: int
    reason: str
    detail: str
