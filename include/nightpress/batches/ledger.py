"""A durable record per shard of what was intended, submitted and collected; it prevents paying twice.

Under the ledger's folder, per API (batch ids of the offline API mean nothing to the real one)::

    <api>/<shard key>.json                the entry
    <api>/attempts/<shard key>.<n>.json   the right to POST the shard for the n-th time; created exclusively
    <api>/owners/<batch id>.json          which shard a batch belongs to; created exclusively
    <api>/owned/<shard key>/<batch>.json  a batch that the shard may own; written before the owner, for listing
    <api>/changes/<day>/<shard key>.json  on object stores: what changed when, see ``ledger_changes.py``
    <api>/changes/entries.msgpack.gz      on object stores: copies of many entries, see ``ledger_snapshot.py``
    <api>/discarded/<time>-<key>/         entries and attempts that a person set aside

An entry is replaced atomically. An attempt or an owner is created exclusively; which stores can do that is in
:mod:`nightpress.exclusive_create`, and one that cannot is refused before anything is sent.

Two cases remain that only an idempotency key at the API could prevent: a process that is frozen (a
suspended machine) for longer than a POST's deadline and the settling time, between its last look at the
clock and sending the last quarter of a megabyte of a body; and a batch that the API's list shows only
after the settling time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from nightpress.batches.api_facts import Identity, Listed
from nightpress.batches.batch import check_batch_id
from nightpress.batches.ledger_changes import LedgerChanges
from nightpress.batches.ledger_records import (
    Attempt,
    Entry,
    Example,
    Owner,
    Record,
    check_shard_key,
    decode,
    encode,
)
from nightpress.batches.ledger_snapshot import LedgerSnapshot
from nightpress.errors import LedgerError
from nightpress.folders import LedgerFolder
from nightpress.layout import list_names
from nightpress.storage import (
    StoragePath,
    check_exclusive_creates,
    create_exclusively,
    is_local,
    write_atomically,
)
from nightpress.store_reads import list_names_from, list_versions, read_bytes, read_files, trust_no_listing

__all__ = ["Attempt", "Entry", "Example", "Ledger"]

_GAP = 5
"""Attempt numbers in a row that may be missing, since setting aside may have been interrupted."""


class Ledger:
    """The ledger of one API.

    :param ledgers: the folder of all ledgers, see :meth:`nightpress.layout.DataRoot.ledger`.
    :param scope: name of the API, see :func:`nightpress.batches.api_addresses.scope_of`.
    """

    def __init__(self, ledgers: StoragePath, scope: str) -> None:
        self.scope = scope
        self.folder = ledgers / scope
        self.files = LedgerFolder(self.folder)
        trust_no_listing(ledgers)
        # A local disk is listed faster than a second file is written.
        self._changes = None if is_local(ledgers) else LedgerChanges(self.folder)

    @property
    def offline(self) -> bool:
        """True for the ledger of the offline API, which calls no model and bills nothing."""
        return self.scope == "offline"

    def load(self, key: str) -> Entry | None:
        """Return the entry of a shard with all its attempts, or None when there is none.

        :raises LedgerError: the entry exists but cannot be read; nothing may be sent.
        """
        entry = self._read(Entry, self.files.entry(check_shard_key(key)))
        if entry is None:
            return None
        number = len(entry.attempts) + 1
        while found := self._read(Attempt, self.files.attempt(check_shard_key(key), number)):
            entry = msgspec.structs.replace(entry, attempts=(*entry.attempts, found))
            number += 1
        return entry

    def save(self, entry: Entry) -> Entry:
        """Store an entry atomically, and return it."""
        data = self._encode_readable(entry)
        write_atomically(self.files.entry(check_shard_key(entry.key)), data)
        self._note_change(entry.key, data)
        return entry

    def intend(self, entry: Entry) -> Entry:
        """Store the intent to submit a shard, unless its entry exists already; return the stored entry."""
        check_exclusive_creates(self.folder)
        data = self._encode_readable(entry)
        if create_exclusively(self.files.entry(check_shard_key(entry.key)), data):
            self._note_change(entry.key, data)
        stored = self.load(entry.key)
        if stored is None:
            raise LedgerError(
                f"the intent for shard {entry.key[:16]} was stored in {self.folder} and is gone"
            )
        return stored

    def take_attempt(
        self,
        entry: Entry,
        now: float,
        deadline: float,
        *,
        identity: Identity | None = None,
        api_now: float | None = None,
        listed: Listed | None = None,
    ) -> Entry | None:
        """Take the right to POST the shard once more; return None when another process has taken it.

        The right is durable before this returns, so that a process that finds it later knows that a POST may
        have happened between ``now`` and ``deadline``. The token in the file shows who has the right, not the
        store's reply: if a reply is lost, the store may report the file as taken although this process created it,
        and an S3 server that looks first and then writes (moto does) may tell two processes that they created it.

        :param now: this machine's clock, epoch seconds, as is ``deadline``.
        :param identity: whose batches the connection sees.
        :param api_now: the API's clock; None when it is not known.
        :param listed: the batches that the API listed before.
        """
        identity, listed = identity or Identity(), listed or Listed()
        attempt = Attempt(
            number=len(entry.attempts) + 1,
            at=now,
            deadline=deadline,
            token=secrets.token_hex(16),
            api_at=api_now,
            api_deadline=None if api_now is None else api_now + (deadline - now),
            newest_batch_at=listed.newest_at,
            listed_before=listed.ids,
            organization_id=identity.organization_id,
            workspace_id=identity.workspace_id,
        )
        path = self.files.attempt(check_shard_key(entry.key), attempt.number)
        data = encode(attempt)
        # Before it is stored: nothing could remove an attempt that cannot be read.
        decode(Attempt, data, str(path))
        create_exclusively(path, data)
        taken = self._read(Attempt, path)
        if taken is None or taken.token != attempt.token:
            return None
        return self.save(msgspec.structs.replace(entry, attempts=(*entry.attempts, attempt)))

    def take_batch(self, batch_id: str, key: str, identity: Identity | None = None) -> bool:
        """Make ``key`` the owner of a batch; False when another shard owns it."""
        identity = identity or Identity()
        owner = Owner(key, identity.organization_id, identity.workspace_id)
        create_exclusively(
            self.files.owned_batch(check_shard_key(key), check_batch_id(batch_id)), encode(owner)
        )
        create_exclusively(self.files.owner(check_batch_id(batch_id)), encode(owner))
        return self.owner(batch_id) == key

    def owner(self, batch_id: str) -> str | None:
        """Return the key of the shard that a batch belongs to, or None."""
        found = self._read(Owner, self.files.owner(check_batch_id(batch_id)))
        return found.key if found else None

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in no particular order."""
        for _, entry in self.scan():
            if isinstance(entry, LedgerError):
                raise entry
            yield entry

    def scan(self) -> Iterator[tuple[str, Entry | LedgerError]]:
        """Yield every shard key with its entry and all its attempts, or with the error of reading the entry.

        Many files are read at a time, since a ledger may have tens of thousands on an object store; there, copies
        of those that have not changed come from one file, see :mod:`nightpress.batches.ledger_snapshot`.
        """
        attempts = self.count_attempts()
        for name, data in self._read_entries():
            key = name.removesuffix(".json")
            try:
                entry = decode(Entry, data, str(self.folder / name))
                # A process that dies between the two writes of `take_attempt` leaves an attempt that the entry lacks.
                if len(entry.attempts) < attempts.get(key, 0):
                    entry = self.load(key) or entry
                yield key, entry
            except LedgerError as error:
                yield key, error

    def find(self, prefix: str) -> Iterator[tuple[str, Entry | LedgerError]]:
        """Yield the shards whose key begins with a prefix, reading no other entries; see :meth:`scan`."""
        for name in list_names_from(self.folder, prefix):
            if not name.endswith(".json") or name.startswith("."):
                continue
            key = name.removesuffix(".json")
            try:
                if (entry := self.load(key)) is not None:
                    yield key, entry
            except LedgerError as error:
                yield key, error

    def batches_of(self, key: str) -> list[str]:
        """Return the ids of the batches that a shard owns, whatever its entry says."""
        entry = None
        with suppress(LedgerError):
            entry = self.load(key)
        if entry is not None and all(attempt.token for attempt in entry.attempts):
            names = self._list(self.files.owned(check_shard_key(key)))
            return sorted(batch for name in names if self.owner(batch := name.removesuffix(".json")) == key)
        # Earlier releases kept no list of what a shard owns, so all owners are read.
        folder = self.files.owners
        return sorted(
            name.removesuffix(".json")
            for name, data in self._read_all(folder)
            if decode(Owner, data, str(folder / name)).key == key
        )

    def set_aside(self, key: str, stamp: str, seen: Entry | None = None) -> StoragePath:
        """Move a shard's entry and attempts into ``discarded/<stamp>-<key>`` and return that folder.

        The attempts are moved first: after an interruption the entry is still there, knows all of them, and
        can be set aside again. Owners stay, so that the shard's batches never become another shard's.

        :param seen: the entry that a person decided about; None if it cannot be read.
        :raises LedgerError: it has changed since: the shard may be sent at this moment.
        """
        entry, known = None, 0
        with suppress(LedgerError):
            entry = self.load(key)
        if seen is not None:
            check_unchanged(seen, entry)
        if entry is not None:
            with suppress(LedgerError):
                owned = sorted({*entry.earlier, *self.batches_of(key)})
                self.save(msgspec.structs.replace(entry, earlier=tuple(owned)))
            known = len(entry.attempts)
        number = missing = 0
        while number < known or missing < _GAP:
            number += 1
            try:
                taken = self.files.attempt(check_shard_key(key), number)
                _move(taken, self.files.discarded_attempt(stamp, key, number))
            except FileNotFoundError:
                missing += 1
        self._note_change(key, b"{}")
        try:
            _move(self.files.entry(check_shard_key(key)), self.files.discarded_entry(stamp, key))
        except FileNotFoundError:
            raise _changed(key) from None
        return self.files.discarded(stamp, key)

    def discarded_batches(self, key: str) -> list[str]:
        """Return the batches of a shard that a person gave up: none of them is the batch of a later POST."""
        found: list[str] = []
        for entry in self.iter_discarded(f"-{check_shard_key(key)}"):
            found += [*entry.earlier, *filter(None, [entry.batch_id])]
        return found

    def iter_discarded(self, suffix: str = "") -> Iterator[Entry]:
        """Yield the entries that a person set aside, except those that cannot be read.

        :param suffix: of their folders' names, such as ``-<shard key>``; empty yields all.
        """
        for name in list_names(self.files.all_discarded):
            if name.endswith(suffix):
                with suppress(LedgerError):
                    entry = self._read(Entry, self.files.discarded_entry_in(name))
                    if entry is not None:
                        yield entry

    def count_attempts(self) -> dict[str, int]:
        """Return the highest number among each shard's attempt files."""
        highest: dict[str, int] = {}
        for name in self._list(self.files.attempts):
            key, _, number = name.removesuffix(".json").rpartition(".")
            if number.isdigit():
                highest[key] = max(highest.get(key, 0), int(number))
        return highest

    def _note_change(self, key: str, data: bytes) -> None:
        if self._changes is not None:
            self._changes.note(key, data, time.time())

    def _list(self, folder: StoragePath) -> list[str]:
        try:
            found = folder.fs.ls(folder.path, detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)
        return [name for name in names if name.endswith(".json") and not name.startswith(".")]

    def _read_entries(self) -> Iterator[tuple[str, bytes]]:
        if is_local(self.folder):
            yield from self._read_all(self.folder)
            return
        versions = list_versions(self.folder)
        names = [name for name in versions if name.endswith(".json") and not name.startswith(".")]
        for name, content in LedgerSnapshot(self.folder).read_files(names, versions):
            if isinstance(content, OSError):
                raise content
            yield name, content

    def _read_all(self, folder: StoragePath) -> Iterator[tuple[str, bytes]]:
        for name, data in read_files(folder, self._list(folder)):
            if isinstance(data, OSError):
                raise data
            yield name, data

    def _encode_readable(self, entry: Entry) -> bytes:
        """Encode an entry for storing, after a check that it can be read again."""
        data = encode(entry)
        decode(Entry, data, str(self.files.entry(check_shard_key(entry.key))))
        return data

    def _read(self, kind: type[Record], path: StoragePath) -> Record | None:
        try:
            data = read_bytes(path)
        except FileNotFoundError:
            return None
        return decode(kind, data, str(path))


def check_unchanged(seen: Entry, now: Entry | None) -> None:
    """Refuse to change an entry by hand that is not what a person decided about.

    :raises LedgerError: a task has changed it since, or another person.
    """
    if now != seen:
        raise _changed(seen.key)


def _changed(key: str) -> LedgerError:
    return LedgerError(
        f"the entry of shard {key[:16]} was changed or set aside by another process since it was looked at; look at "
        "it again, since it may be sent at this moment",
        code="changed_meanwhile",
    )


def _move(source: StoragePath, target: StoragePath) -> None:
    write_atomically(target, read_bytes(source))
    source.unlink()
