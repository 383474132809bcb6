"""The ledger's entries as rows, kept up to date by reading only what changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from nightpress.batches import manual_ledger
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.ledger_changes import LedgerChanges, day_of
from nightpress.batches.ledger_records import decode
from nightpress.batches.ledger_snapshot import LedgerSnapshot
from nightpress.errors import LedgerError
from nightpress.layout import DataRoot
from nightpress.overview.batch_rows import BatchRow, read_damaged, read_row
from nightpress.overview.file_cache import FileCache
from nightpress.storage import is_local

LARGE_LEDGER = 2_000
"""An object store's ledger with more entries than this is not listed in full at each look."""

FULL_LISTING_SECONDS = 3_600.0
"""How old the full listing of a large ledger may be; it finds entries whose change was not noted."""

_RECENT_DAYS = 30
_HOT_DAYS = 2
_CHECKED_AT_ONCE = 10


class LedgerWatch:
    """The ledger of one API.

    A large ledger on an object store is shown from the copies of what changed in the last days, so that a look costs
    as little as with few entries. From the second look on, the whole ledger is listed once an hour.

    :param root: the data root.
    :param limit: most entries kept in memory.
    :param clock: epoch seconds.
    """

    def __init__(
        self, root: DataRoot, scope: str, *, limit: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = Ledger(root.ledger(), scope)
        self._scope = scope
        self._limit = limit
        self._clock = clock
        snapshot = None if is_local(root.path) else LedgerSnapshot(self._ledger.folder).read_files
        self._files = FileCache(self._ledger.folder, self._decode, limit=limit, read=snapshot)
        self._caught_up: dict[str, BatchRow] = {}
        self._changes = None if is_local(root.path) else LedgerChanges(self._ledger.folder)
        self._days: dict[str, FileCache[BatchRow | None]] = {}
        self._size: int | None = None
        self._listed_at = 0.0
        self._looks = 0

    @property
    def reads(self) -> int:
        """Entries read since the start."""
        return self._files.reads + sum(files.reads for files in self._days.values())

    @property
    def left_out(self) -> int:
        """Older entries that are not looked at."""
        return max(self._files.left_out, (self._size or 0) - len(self._merged()))

    @property
    def rows(self) -> list[BatchRow]:
        """A row for each entry."""
        return [self._caught_up.get(row.key, row) for row in self._merged().values()]

    def refresh(self) -> bool:
        """Look at the ledger, and return whether anything changed.

        :raises OSError: the store cannot be asked.
        """
        changed = self._refresh_recent() if self._is_large() else self._list_all()
        caught_up = self._find_unrecorded()
        changed |= caught_up != self._caught_up
        self._caught_up = caught_up
        return changed

    def _is_large(self) -> bool:
        if self._changes is None:
            return False
        if self._size is None:
            self._size = self._changes.read_size()
            self._listed_at = self._clock()
        self._looks += 1
        due = self._clock() - self._listed_at >= FULL_LISTING_SECONDS
        return self._size > LARGE_LEDGER and not due

    def _list_all(self) -> bool:
        changed = self._files.refresh()
        if self._changes is not None:
            size = len(self._files.values) + self._files.left_out
            if max(size, self._size or 0) > LARGE_LEDGER and size != self._size:
                self._changes.note_size(size)
            self._size, self._listed_at = size, self._clock()
            if self._days:
                self._days, changed = {}, True
        return changed

    def _refresh_recent(self) -> bool:
        """Read what changed: all of the last days at first, then the newest days only."""
        assert self._changes is not None
        now, changed, rows = self._clock(), False, 0
        for days_before in range(_RECENT_DAYS):
            day = day_of(now, days_before)
            files = self._days.get(day)
            if files is not None and days_before >= _HOT_DAYS:
                break
            if files is None:
                files = FileCache(self._changes.day_folder(day), self._decode_change, limit=self._limit)
                self._days[day] = files
            changed |= files.refresh()
            rows += len(files.values)
            if rows >= min(self._limit, LARGE_LEDGER) and days_before >= _HOT_DAYS - 1:
                break
        return changed

    def _merged(self) -> dict[str, BatchRow]:
        """Return the newest row of each key: of the last full listing, then of each day's changes."""
        rows = {row.key: row for row in self._files.values}
        for day in sorted(self._days):
            for name, row in self._days[day].items():
                key = name.removesuffix(".json")
                if row is None:
                    rows.pop(key, None)
                elif key not in rows or (row.touched or 0.0) >= (rows[key].touched or 0.0):
                    rows[key] = row
        return rows

    def _find_unrecorded(self) -> dict[str, BatchRow]:
        """Return rows of shards with POSTs that their entries lack, because a process died between two writes."""
        pending = [row for row in self._merged().values() if not row.batch_id and row.requests]
        if not pending:
            return {}
        if self._days:
            # The attempts of a large ledger are too many to list: a few entries are read again at each look.
            start = self._looks * _CHECKED_AT_ONCE % len(pending)
            chosen = (pending + pending)[start : start + min(_CHECKED_AT_ONCE, len(pending))]
            kept = {row.key: row for row in pending if row.key in self._caught_up}
            found = {key: self._caught_up[key] for key in kept}
        else:
            attempts = self._ledger.count_attempts()
            chosen = [row for row in pending if attempts.get(row.key, 0) > row.attempts]
            found = {}
        for row in chosen:
            found |= {row.key: self._read_again(row)}
        return found

    def _read_again(self, row: BatchRow) -> BatchRow:
        try:
            entry = self._ledger.load(row.key)
            return read_row(self._scope, entry, row.touched) if entry else row
        except LedgerError as error:
            return read_damaged(self._scope, row.key, error, row.touched)

    def _decode(self, name: str, content: bytes | OSError, modified: float | None) -> BatchRow:
        key, path = name.removesuffix(".json"), self._ledger.folder / name
        try:
            if isinstance(content, OSError):
                raise LedgerError(f"the ledger entry {path} cannot be read ({content})")
            return read_row(self._scope, decode(Entry, content, str(path)), modified)
        except LedgerError as error:
            return read_damaged(self._scope, key, error, modified)

    def _decode_change(self, name: str, content: bytes | OSError, modified: float | None) -> BatchRow | None:
        return None if content == b"{}" else self._decode(name, content, modified)


def open_watches(root: DataRoot, known: dict[str, LedgerWatch], *, limit: int) -> dict[str, LedgerWatch]:
    """Return a watch for each API in the ledger; known watches are reused."""
    return {
        scope: known.get(scope) or LedgerWatch(root, scope, limit=limit)
        for scope in manual_ledger.list_apis(root)
    }
