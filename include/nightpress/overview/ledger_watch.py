"""The ledger's entries as rows, kept up to date by reading only what changed."""

from __future__ import annotations

import msgspec

from nightpress.batches import manual_ledger
from nightpress.batches.ledger import Entry, Ledger
from nightpress.errors import LedgerError
from nightpress.overview.batch_rows import BatchRow, read_damaged, read_row
from nightpress.overview.file_cache import FileCache
from nightpress.storage import StoragePath

_entry = msgspec.json.Decoder(Entry)


class LedgerWatch:
    """The ledger of one API.

    :param root: the ledger's folder.
    :param limit: entries kept in memory at most.
    """

    def __init__(self, root: StoragePath, scope: str, *, limit: int) -> None:
        self._ledger = Ledger(root, scope)
        self._scope = scope
        self._files = FileCache(self._ledger.folder, self._decode, limit=limit)
        self._caught_up: dict[str, BatchRow] = {}

    @property
    def reads(self) -> int:
        """Entries read since the start."""
        return self._files.reads

    @property
    def left_out(self) -> int:
        """Older entries that are not looked at."""
        return self._files.left_out

    @property
    def rows(self) -> list[BatchRow]:
        """A row for each entry."""
        return [self._caught_up.get(row.key, row) for row in self._files.values]

    def refresh(self) -> bool:
        """Look at the ledger; tell whether anything changed.

        :raises OSError: the store cannot be asked.
        """
        changed = self._files.refresh()
        caught_up = self._find_unrecorded()
        changed |= caught_up != self._caught_up
        self._caught_up = caught_up
        return changed

    def _find_unrecorded(self) -> dict[str, BatchRow]:
        """Return rows of shards with POSTs that their entries do not know: dying between two writes does that."""
        pending = [row for row in self._files.values if not row.batch_id and row.requests]
        if not pending:
            return {}
        attempts = self._ledger.count_attempts()
        found = {}
        for row in pending:
            if attempts.get(row.key, 0) > row.attempts:
                try:
                    entry = self._ledger.load(row.key)
                except LedgerError as error:
                    found[row.key] = read_damaged(self._scope, row.key, error, row.touched)
                else:
                    found[row.key] = read_row(self._scope, entry, row.touched) if entry else row
        return found

    def _decode(self, name: str, content: bytes | OSError, modified: float | None) -> BatchRow:
        key = name.removesuffix(".json")
        if isinstance(content, OSError):
            error = LedgerError(f"the ledger entry {self._ledger.folder / name} cannot be read ({content})")
            return read_damaged(self._scope, key, error, modified)
        try:
            return read_row(self._scope, _entry.decode(content), modified)
        except msgspec.MsgspecError as damage:
            error = LedgerError(
                f"the ledger entry {self._ledger.folder / name} cannot be read ({damage}). Nothing is sent until "
                "a person has looked at it."
            )
            return read_damaged(self._scope, key, error, modified)


def open_watches(root: StoragePath, known: dict[str, LedgerWatch], *, limit: int) -> dict[str, LedgerWatch]:
    """Return a watch for each API in the ledger, the known ones as they are."""
    return {
        scope: known.get(scope) or LedgerWatch(root, scope, limit=limit)
        for scope in manual_ledger.scopes(root)
    }
