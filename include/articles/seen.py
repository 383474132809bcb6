"""Remember which ids were read, on disk, so that memory does not grow with the input."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from types import TracebackType


class SeenIds:
    """Ids and what their content was, as digests in a temporary SQLite file.

    16-byte digests of a million ids take about 50 MB on disk and 8 MB of memory.
    """

    def __enter__(self) -> SeenIds:
        self._folder = tempfile.TemporaryDirectory(prefix="nightpress-ids-")
        self._database = sqlite3.connect(f"{self._folder.name}/seen.sqlite", isolation_level=None)
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "cache_size = -8192",
            "locking_mode = EXCLUSIVE",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE seen (id BLOB PRIMARY KEY, content BLOB) WITHOUT ROWID")
        self._database.execute("BEGIN")
        self._execute = self._database.execute
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def add(self, article_id: str, content: str) -> str | None:
        """Remember an article; return why it cannot be sent: ``repeated_id`` or ``duplicate``."""
        key = hashlib.blake2b(article_id.encode(), digest_size=16).digest()
        digest = hashlib.blake2b(content.encode(), digest_size=16).digest()
        added = self._execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, digest))
        if added.rowcount:
            return None
        (earlier,) = self._execute("SELECT content FROM seen WHERE id = ?", (key,)).fetchone()
        return "duplicate" if earlier == digest else "repeated_id"
