"""Batches on disk: one SQLite file for their state, and for each a file of its body and one of its results."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from offline_api.billing_meter import Bill
from offline_api.outcomes import Plan

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL, ends_at REAL NOT NULL, expires_at REAL NOT NULL,
    cancel_initiated_at REAL, listed_at REAL NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL, succeeded INTEGER NOT NULL, errored INTEGER NOT NULL,
    canceled INTEGER NOT NULL, expired INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS plans (
    id TEXT PRIMARY KEY, codes BLOB NOT NULL, input_tokens BLOB NOT NULL, output_tokens BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS bills (id TEXT NOT NULL, model TEXT NOT NULL, bill BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS bills_by_id ON bills (id);
CREATE TABLE IF NOT EXISTS billed (id TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
"""


DEFAULT_WORKSPACE = "wrkspc_local"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One batch; the counts are those it will have when it has ended.

    :param listed_at: when lists begin to show it; like all times here, in epoch seconds.
    :param betas: values of the create's ``anthropic-beta`` header, separated by commas.
    :param inference_geo: where its requests run unless they say so themselves.
    :param forced_message: of the errored results that a fault rule asked for; ``forced_code`` is their code.
    """

    ordinal: int = 0
    id: str
    created_at: float
    ends_at: float
    expires_at: float
    cancel_initiated_at: float | None = None
    listed_at: float
    deleted: int = 0
    requests: int
    succeeded: int
    errored: int
    canceled: int
    expired: int
    input_tokens: int = 0
    output_tokens: int = 0
    workspace_id: str = DEFAULT_WORKSPACE
    betas: str = ""
    inference_geo: str = "global"
    forced_message: str = ""
    forced_code: str = ""

    def betas_sent(self) -> tuple[str, ...]:
        """Return the beta headers one by one."""
        return tuple(filter(None, (beta.strip() for beta in self.betas.split(","))))


_FIELDS = Record.__struct_fields__[1:]
_ADDED = {
    "workspace_id": DEFAULT_WORKSPACE,
    "betas": "",
    "inference_geo": "global",
    "forced_message": "",
    "forced_code": "",
}
"""Columns missing in folders of earlier versions, with their default values."""

_bills_decoder = msgspec.json.Decoder(Bill)


class Store:
    """All state of the server.

    :param folder: made when missing; state found there is used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "batches").mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "batches.sqlite", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
        self._add_columns()
        self._sweep()

    def _add_columns(self) -> None:
        known = {row["name"] for row in self._query("PRAGMA table_info(batches)")}
        for name, value in _ADDED.items():
            if name not in known:
                self._query(f"ALTER TABLE batches ADD COLUMN {name} TEXT NOT NULL DEFAULT '{value}'")

    def _sweep(self) -> None:
        """Delete unfinished files of creates and results that a killed server left behind."""
        known = {row["id"] for row in self._query("SELECT id FROM batches WHERE NOT deleted")}
        for path in (self.folder / "batches").iterdir():
            if path.suffix == ".partial" or path.name.partition(".")[0] not in known:
                path.unlink()

    def body_path(self, batch_id: str) -> Path:
        """Return where the body of a create is, byte for byte."""
        return self.folder / "batches" / f"{batch_id}.json"

    def take_body(self, body: Path, batch_id: str) -> None:
        """Move a checked body to its place, durably."""
        target = self.body_path(batch_id)
        _sync(body)
        body.rename(target)
        _sync(target.parent)

    def results_path(self, batch_id: str) -> Path:
        """Return where the results of an ended batch are, once someone has asked for them."""
        return self.folder / "batches" / f"{batch_id}.jsonl"

    def partial_path(self, name: str) -> Path:
        """Return a name for a file that is being written."""
        return self.folder / "batches" / f"{name}.partial"

    def _query(self, sql: str, values: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchall()

    def _records(self, where: str, values: Iterable[Any] = ()) -> list[Record]:
        rows = self._query(f"SELECT ordinal, {', '.join(_FIELDS)} FROM batches {where}", values)  # noqa: S608
        return [Record(**dict(row)) for row in rows]

    def find(self, batch_id: str) -> Record | None:
        """Return a batch unless it was deleted."""
        found = self._records("WHERE id = ? AND NOT deleted", [batch_id])
        return found[0] if found else None

    def page(
        self,
        now: float,
        limit: int,
        *,
        below: int | None = None,
        above: int | None = None,
        workspace_id: str | None = None,
    ) -> list[Record]:
        """Return at most ``limit`` batches next to a place in the list, newest first.

        :param below: only batches older than this ordinal.
        :param above: only batches newer than this ordinal, the nearest ones.
        :param workspace_id: only batches of this workspace.
        """
        where = "WHERE NOT deleted AND listed_at <= ? AND ? IN (workspace_id, '*')"
        shown = [now, workspace_id or "*"]
        if above is not None:
            found = self._records(f"{where} AND ordinal > ? ORDER BY ordinal LIMIT ?", [*shown, above, limit])
            return found[::-1]
        below = below if below is not None else 2**62
        return self._records(f"{where} AND ordinal < ? ORDER BY ordinal DESC LIMIT ?", [*shown, below, limit])

    def all_batches(self) -> list[Record]:
        """Return all batches, deleted ones too: what was billed stays billed."""
        return self._records("ORDER BY ordinal")

    def add(self, record: Record, plan: Plan) -> None:
        """Record an accepted batch; it is on disk when this returns."""
        names, marks = ", ".join(_FIELDS), ", ".join("?" * len(_FIELDS))
        with self._lock, self._transaction():
            self._db.execute(
                f"INSERT INTO batches ({names}) VALUES ({marks})",  # noqa: S608
                [getattr(record, name) for name in _FIELDS],
            )
            self._write_plan(record.id, plan)

    def update(self, record: Record, plan: Plan | None = None) -> None:
        """Replace a batch's state, and its plan if given."""
        changes = ", ".join(f"{name} = ?" for name in _FIELDS)
        values = [getattr(record, name) for name in _FIELDS]
        with self._lock, self._transaction():
            self._db.execute(f"UPDATE batches SET {changes} WHERE id = ?", [*values, record.id])  # noqa: S608
            if plan is not None:
                self._write_plan(record.id, plan)

    def _write_plan(self, batch_id: str, plan: Plan) -> None:
        # The other two columns held tokens in earlier versions.
        self._db.execute(
            "INSERT OR REPLACE INTO plans VALUES (?, ?, ?, ?)", [batch_id, bytes(plan.codes), b"", b""]
        )
        for table in ("bills", "billed"):
            self._db.execute(f"DELETE FROM {table} WHERE id = ?", [batch_id])  # noqa: S608

    def plan(self, batch_id: str) -> Plan:
        """Return what happens to each request of a batch."""
        row = self._query("SELECT * FROM plans WHERE id = ?", [batch_id])[0]
        return Plan(bytearray(row["codes"]))

    def bill(self, batch_id: str) -> dict[str, Bill] | None:
        """Return the bill of a batch by model, or None when there is none yet."""
        with self._lock:
            if not self._query("SELECT id FROM billed WHERE id = ?", [batch_id]):
                return None
            rows = self._query("SELECT model, bill FROM bills WHERE id = ?", [batch_id])
        return {row["model"]: _bills_decoder.decode(row["bill"]) for row in rows}

    def set_bill(self, batch_id: str, bills: dict[str, Bill]) -> None:
        """Store the bill of a batch, replacing an earlier one."""
        with self._lock, self._transaction():
            self._db.execute("DELETE FROM bills WHERE id = ?", [batch_id])
            self._db.executemany(
                "INSERT INTO bills VALUES (?, ?, ?)",
                [(batch_id, model, msgspec.json.encode(bill)) for model, bill in bills.items()],
            )
            self._db.execute("INSERT OR REPLACE INTO billed VALUES (?)", [batch_id])

    def delete(self, record: Record) -> None:
        """Forget a batch's body and results; its bill stays."""
        self.update(msgspec.structs.replace(record, deleted=1))
        for path in (self.body_path(record.id), self.results_path(record.id)):
            path.unlink(missing_ok=True)

    def last_id(self) -> str | None:
        """Return the newest id in the store, also of a deleted batch."""
        rows = self._query("SELECT id FROM batches ORDER BY ordinal DESC LIMIT 1")
        return str(rows[0]["id"]) if rows else None

    def setting(self, name: str) -> float:
        """Return a stored number, 0 when it was never stored."""
        rows = self._query("SELECT value FROM settings WHERE name = ?", [name])
        return float(rows[0]["value"]) if rows else 0.0

    def set(self, name: str, value: float) -> None:
        """Store a number."""
        self._query("INSERT OR REPLACE INTO settings VALUES (?, ?)", [name, value])

    def note(self, name: str) -> bytes | None:
        """Return a stored record, or None."""
        rows = self._query("SELECT value FROM notes WHERE name = ?", [name])
        return bytes(rows[0]["value"]) if rows else None

    def set_note(self, name: str, value: bytes) -> None:
        """Store a record."""
        self._query("INSERT OR REPLACE INTO notes VALUES (?, ?)", [name, value])

    def last_ordinal(self) -> int:
        """Return the highest ordinal ever given to a batch, 0 before the first."""
        rows = self._query("SELECT seq FROM sqlite_sequence WHERE name = 'batches'")
        return int(rows[0]["seq"]) if rows else 0

    def requests_in_progress(self, now: float) -> int:
        """Return how many requests are in progress."""
        rows = self._query("SELECT coalesce(sum(requests), 0) AS total FROM batches WHERE ends_at > ?", [now])
        return int(rows[0]["total"])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock, self._transaction():
            for table in ("batches", "plans", "bills", "billed", "settings", "notes"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608
        self._sweep()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Transaction:
    """BEGIN … COMMIT, or ROLLBACK when the block raises."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.db.execute("ROLLBACK" if kind else "COMMIT")
