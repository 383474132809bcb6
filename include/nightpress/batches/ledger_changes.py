"""What changed in a ledger, day by day: copies of entries under ``<api>/changes/<day of the change>/``.

Only the entries count: code that decides about money reads those. With the copies, code that only shows entries
finds the latest few among a hundred thousand by listing one small folder. A missing copy (the process died, the
store failed) does no harm: the next change of the entry, or a full listing, makes up for it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import msgspec

from nightpress.folders import LedgerFolder
from nightpress.storage import INVALID_JSON, StoragePath, write_atomically
from nightpress.store_reads import read_bytes

log = logging.getLogger(__name__)


class _Size(msgspec.Struct):
    entries: int = 0


class LedgerChanges:
    """The changes of the ledger of one API.

    :param folder: of the API's ledger.
    """

    def __init__(self, folder: StoragePath) -> None:
        self._files = LedgerFolder(folder)

    def note(self, key: str, data: bytes, moment: float) -> None:
        """Keep a copy of an entry that was stored; a failure is logged, since the entry itself is safe."""
        path = self._files.change(day_of(moment), key)
        try:
            write_atomically(path, data)
        except OSError as error:
            log.warning("the change of shard %s was not noted (%s)", key[:16], error)

    def day_folder(self, day: str) -> StoragePath:
        """Return the folder of a day's changes."""
        return self._files.changes(day)

    def read_size(self) -> int:
        """Return how many entries the ledger had when it was last listed in full; 0 when it never was."""
        try:
            return msgspec.json.decode(read_bytes(self._files.size), type=_Size).entries
        except (OSError, *INVALID_JSON):
            return 0

    def note_size(self, entries: int) -> None:
        """Store how many entries the ledger has, so that the next process need not list all of them."""
        try:
            write_atomically(self._files.size, msgspec.json.encode(_Size(entries)))
        except OSError as error:
            log.info("the size of the ledger was not noted (%s)", error)


def day_of(moment: float, days_before: int = 0) -> str:
    """Return the UTC day of a moment, or of one some days before."""
    return (datetime.fromtimestamp(moment, UTC) - timedelta(days=days_before)).date().isoformat()
