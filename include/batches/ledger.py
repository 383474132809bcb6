"""What was intended, submitted and collected for each shard: the memory that nothing is paid for twice.

Under the ledger's folder, per API (batch ids of the offline API mean nothing to the real one)::

    <api>/<shard key>.json                the entry
    <api>/attempts/<shard key>.<n>.json   the right to POST the shard for the n-th time; made exclusively
    <api>/owners/<batch id>.json          which shard a batch belongs to; made exclusively

An entry is replaced atomically. An attempt or an owner is created exclusively: by a hard link on a local
disk, by a conditional put on object stores whose fsspec implementation knows ``mode="create"`` (S3,
Google Cloud Storage); elsewhere the check comes just before the put, and two processes within that
moment could both win.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from include.errors import LedgerError
from include.storage import StoragePath, create_exclusively, write_atomically

T = TypeVar("T")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One POST of a shard's body.

    :param at: when the right to POST was taken, epoch seconds.
    :param deadline: after this the body is cut off, so no batch can come of it, epoch seconds.
    :param outcome: ``open`` until known; then ``accepted`` or ``refused``.
    """

    number: int
    at: float
    deadline: float
    outcome: str = "open"
    detail: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one shard.

    :param batch_id: the batch that is, or was, paid for; None while only intended.
    :param adopted: the reply to the POST was never seen; the batch was found and proved.
    :param answered: requests that succeeded or whose result is missing, once collected; 0 means that nothing
        was billed.
    :param raw: where the untouched result stream is kept, once it is.
    :param results: where the shard's Parquet is, once it is.
    """

    key: str
    requests: int
    bytes: int
    pipeline: str = ""
    day: str = ""
    run: str = ""
    uri: str = ""
    attempts: tuple[Attempt, ...] = ()
    batch_id: str | None = None
    adopted: bool = False
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    collected_at: datetime | None = None
    answered: int | None = None
    raw: str | None = None
    results: str | None = None

    @property
    def state(self) -> str:
        """``intended``, ``submitted`` or ``collected``."""
        if self.collected_at is not None:
            return "collected"
        return "submitted" if self.batch_id else "intended"


class _Owner(msgspec.Struct, frozen=True):
    key: str


_entry = msgspec.json.Decoder(Entry)
_attempt = msgspec.json.Decoder(Attempt)
_owner = msgspec.json.Decoder(_Owner)


class Ledger:
    """The ledger of one API.

    :param root: the ledger's folder.
    :param scope: name of the API, see :func:`include.batches.client.scope_of`.
    """

    def __init__(self, root: StoragePath, scope: str) -> None:
        self.folder = root / scope

    def load(self, key: str) -> Entry | None:
        """Return the entry of a shard with all its attempts, or None when nothing was ever intended.

        :raises LedgerError: the entry is there and cannot be read; nothing may be sent.
        """
        entry = self._read(self._entry_path(key), _entry)
        if entry is None:
            return None
        number = len(entry.attempts) + 1
        while found := self._read(self._attempt_path(key, number), _attempt):
            entry = msgspec.structs.replace(entry, attempts=(*entry.attempts, found))
            number += 1
        return entry

    def save(self, entry: Entry) -> Entry:
        """Store an entry, whole."""
        write_atomically(self._entry_path(entry.key), msgspec.json.encode(entry))
        return entry

    def intend(self, entry: Entry) -> Entry:
        """Store the intent to submit a shard, unless its entry is there already; return what is stored."""
        create_exclusively(self._entry_path(entry.key), msgspec.json.encode(entry))
        stored = self.load(entry.key)
        if stored is None:
            raise LedgerError(
                f"the intent for shard {entry.key[:16]} was stored in {self.folder} and is gone"
            )
        return stored

    def take_attempt(self, entry: Entry, now: float, deadline: float) -> Entry | None:
        """Take the right to POST the shard once more; None when someone else has taken it.

        The right is durable before this returns, so that whoever finds it later knows a POST may have
        happened between ``now`` and ``deadline``.
        """
        attempt = Attempt(number=len(entry.attempts) + 1, at=now, deadline=deadline)
        path = self._attempt_path(entry.key, attempt.number)
        if not create_exclusively(path, msgspec.json.encode(attempt)):
            return None
        return self.save(msgspec.structs.replace(entry, attempts=(*entry.attempts, attempt)))

    def take_batch(self, batch_id: str, key: str) -> bool:
        """Make ``key`` the owner of a batch; False when another shard owns it."""
        create_exclusively(self._owner_path(batch_id), msgspec.json.encode(_Owner(key)))
        return self.owner(batch_id) == key

    def owner(self, batch_id: str) -> str | None:
        """Return the key of the shard that a batch belongs to, or None."""
        found = self._read(self._owner_path(batch_id), _owner)
        return found.key if found else None

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in no particular order."""
        if not self.folder.exists():
            return
        for path in self.folder.iterdir():
            if path.suffix == ".json" and not path.name.startswith("."):
                entry = self._read(path, _entry)
                if entry is not None:
                    yield entry

    def _entry_path(self, key: str) -> StoragePath:
        return self.folder / f"{key}.json"

    def _attempt_path(self, key: str, number: int) -> StoragePath:
        return self.folder / "attempts" / f"{key}.{number}.json"

    def _owner_path(self, batch_id: str) -> StoragePath:
        return self.folder / "owners" / f"{batch_id}.json"

    def _read(self, path: StoragePath, decoder: msgspec.json.Decoder[T]) -> T | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise LedgerError(
                f"the ledger entry {path} cannot be read ({error}). Nothing is sent until a person has "
                "looked at it: restore the file, or remove it after making sure that its batch does not exist."
            ) from None
