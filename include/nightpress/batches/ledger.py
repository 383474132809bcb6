"""What was intended, submitted and collected for each shard: the memory that nothing is paid for twice.

Under the ledger's folder, per API (batch ids of the offline API mean nothing to the real one)::

    <api>/<shard key>.json                the entry
    <api>/attempts/<shard key>.<n>.json   the right to POST the shard for the n-th time; made exclusively
    <api>/owners/<batch id>.json          which shard a batch belongs to; made exclusively
    <api>/discarded/<time>-<key>/         entries and attempts that a person set aside

An entry is replaced atomically. An attempt or an owner is created exclusively: by a hard link on a local
disk, by a conditional put on object stores whose fsspec implementation knows ``mode="create"`` (S3,
Google Cloud Storage); elsewhere the check comes just before the put, and two processes within that
moment could both win.

What remains, and cannot be closed without an idempotency key at the API: a process that is frozen (a
suspended machine) for longer than a POST's deadline and the settling time, between its last look at the
clock and sending the last quarter of a megabyte of a body; and a batch that the API's list shows only
after the settling time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from nightpress.errors import LedgerError
from nightpress.storage import StoragePath, create_exclusively, write_atomically

T = TypeVar("T")

_READ_AT_ONCE = 1_000


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


class Example(msgspec.Struct, frozen=True):
    """One request of a kind of failure.

    :param kind: the API's error type, or the status of a request that has none.
    :param message: what the API said, cut short; empty when it said nothing.
    """

    kind: str
    custom_id: str
    message: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one shard.

    :param batch_id: the batch that is, or was, paid for; None while only intended.
    :param adopted: the reply to the POST was never seen; the batch was found and proved.
    :param earlier: batches of the shard that bought nothing; they never count as the outcome of a later POST.
    :param answered: requests that succeeded or whose result is missing, once collected; 0 means that nothing
        was billed.
    :param raw: where the untouched result stream is kept, once it is.
    :param results: where the shard's Parquet is, once it is.
    :param dag_id: of the task that first wanted the shard submitted, with ``task_id`` and ``map_index``; empty
        when it was no task of Airflow.
    :param by_status: requests by status, once collected; they add up to ``requests``.
    :param errors: of those, the ones without an answer, by the API's error type or else the status.
    :param examples: a few requests of each kind in ``errors``.
    :param cost_usd: what the batch cost the run that paid for it; None while, or if, it is not known.
    """

    key: str
    requests: int
    bytes: int
    pipeline: str = ""
    day: str = ""
    run: str = ""
    uri: str = ""
    round: int = 1
    attempts: tuple[Attempt, ...] = ()
    earlier: tuple[str, ...] = ()
    batch_id: str | None = None
    adopted: bool = False
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    collected_at: datetime | None = None
    answered: int | None = None
    raw: str | None = None
    results: str | None = None
    dag_id: str = ""
    task_id: str = ""
    map_index: int = -1
    by_status: dict[str, int] = {}
    errors: dict[str, int] = {}
    examples: tuple[Example, ...] = ()
    cost_usd: float | None = None

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
    :param scope: name of the API, see :func:`nightpress.batches.client.scope_of`.
    """

    def __init__(self, root: StoragePath, scope: str) -> None:
        self.scope = scope
        self.folder = root / scope

    @property
    def offline(self) -> bool:
        """True for the ledger of the offline API, which calls no model and bills nothing."""
        return self.scope == "offline"

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
        for _, entry in self.scan():
            if isinstance(entry, LedgerError):
                raise entry
            yield entry

    def scan(self) -> Iterator[tuple[str, Entry | LedgerError]]:
        """Yield every shard key with its entry and all its attempts, or with why the entry cannot be read.

        Many files are read at a time, since a ledger may have tens of thousands on an object store.
        """
        attempts = self.count_attempts()
        for name, data in self._read_all(self.folder):
            key = name.removesuffix(".json")
            try:
                entry = self._decode(self.folder / name, data, _entry)
                # Dying between the two writes of `take_attempt` leaves an attempt the entry does not know.
                if len(entry.attempts) < attempts.get(key, 0):
                    entry = self.load(key) or entry
                yield key, entry
            except LedgerError as error:
                yield key, error

    def batches_of(self, key: str) -> list[str]:
        """Return the ids of the batches that a shard owns, whatever its entry says."""
        folder = self.folder / "owners"
        return sorted(
            name.removesuffix(".json")
            for name, data in self._read_all(folder)
            if self._decode(folder / name, data, _owner).key == key
        )

    def set_aside(self, key: str, stamp: str) -> StoragePath:
        """Move a shard's entry and attempts into ``discarded/<stamp>-<key>`` and return that folder.

        The attempts go first: whatever is interrupted, an entry that is still there knows all of them, and
        can be set aside again. Owners stay, so that the shard's batches never become another shard's.
        """
        target = self.folder / "discarded" / f"{stamp}-{key}"
        try:
            entry = self.load(key)
            if entry is not None:
                self.save(entry)
        except LedgerError:
            pass
        for name in self._list(self.folder / "attempts"):
            if name.startswith(f"{key}."):
                _move(self.folder / "attempts" / name, target / f"attempt{name.removeprefix(key)}")
        _move(self._entry_path(key), target / "entry.json")
        return target

    def count_attempts(self) -> dict[str, int]:
        """Return the highest number among each shard's attempt files."""
        highest: dict[str, int] = {}
        for name in self._list(self.folder / "attempts"):
            key, _, number = name.removesuffix(".json").rpartition(".")
            if number.isdigit():
                highest[key] = max(highest.get(key, 0), int(number))
        return highest

    def _list(self, folder: StoragePath) -> list[str]:
        try:
            found = folder.fs.ls(folder.path, detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)
        return [name for name in names if name.endswith(".json") and not name.startswith(".")]

    def _read_all(self, folder: StoragePath) -> Iterator[tuple[str, bytes]]:
        names = self._list(folder)
        for start in range(0, len(names), _READ_AT_ONCE):
            chunk = names[start : start + _READ_AT_ONCE]
            paths = [(folder / name).path for name in chunk]
            for name, data in zip(
                chunk, folder.fs.cat_ranges(paths, None, None, on_error="return"), strict=True
            ):
                if isinstance(data, FileNotFoundError):
                    continue
                if isinstance(data, BaseException):
                    raise data
                yield name, data

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
        return self._decode(path, data, decoder)

    def _decode(self, path: StoragePath, data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            return decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise LedgerError(
                f"the ledger entry {path} cannot be read ({error}). Nothing is sent until a person has "
                "looked at it: restore the file, or remove it after making sure that its batch does not exist."
            ) from None


def _move(source: StoragePath, target: StoragePath) -> None:
    write_atomically(target, source.read_bytes())
    source.unlink()
