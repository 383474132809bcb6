"""The ledger's records: versions, unknown fields, bounds, and names that become files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from nightpress.batches.api_facts import Identity, Listed
from nightpress.batches.ledger import Attempt, Entry, Ledger
from nightpress.batches.ledger_records import SCHEMA_VERSION, Owner, decode, encode
from nightpress.errors import ConfigurationError, LedgerError

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NEW = st.dictionaries(st.text(min_size=1).map(lambda name: f"x_{name}"), JSON, max_size=3)
KEY = "a" * 64


@given(entry=NEW, attempt=NEW, odd=JSON)
def test_fields_of_a_later_release_survive_a_round_trip(
    entry: dict[str, Any], attempt: dict[str, Any], odd: Any
) -> None:
    stored = {"key": KEY, "requests": 3, "bytes": 9, "unknown_fields": odd, **entry}
    stored["attempts"] = [{"number": 1, "at": 1.0, "deadline": 2.0, **attempt}]
    again = encode(decode(Entry, json.dumps(stored).encode(), "x"))
    saved = json.loads(again)
    assert {name: saved[name] for name in stored if name != "attempts"} == {
        name: value for name, value in stored.items() if name != "attempts"
    }
    assert {name: saved["attempts"][0][name] for name in attempt} == attempt
    assert encode(decode(Entry, again, "x")) == again
    for kind, record in ((Attempt, stored["attempts"][0]), (Owner, {"key": KEY, **entry})):
        saved = json.loads(encode(decode(kind, json.dumps(record).encode(), "x")))
        assert {name: saved[name] for name in record} == record


def test_every_step_of_a_shard_keeps_what_a_later_release_wrote(tmp_path: Path) -> None:
    ledger = Ledger(UPath(tmp_path), "api")
    (tmp_path / "api").mkdir()
    path = tmp_path / "api" / f"{KEY}.json"
    path.write_text(json.dumps({"key": KEY, "requests": 3, "bytes": 9, "paid_by": {"who": "them"}}))
    entry = ledger.intend(Entry(key=KEY, requests=3, bytes=9))
    taken = ledger.take_attempt(entry, 1.0, 601.0)
    assert taken is not None
    assert json.loads(path.read_text())["paid_by"] == {"who": "them"}
    found = ledger.load(KEY)
    assert found is not None
    assert len(found.attempts) == 1


@pytest.mark.parametrize("kind", [Entry, Attempt, Owner])
def test_an_older_record_is_read_and_a_newer_one_refused(kind: Any) -> None:
    fields = {"key": KEY, "requests": 3, "bytes": 9, "number": 1, "at": 1.0, "deadline": 2.0}
    assert decode(kind, json.dumps(fields).encode(), "x").schema_version == 1
    newer = json.dumps({**fields, "schema_version": SCHEMA_VERSION + 6, "number": "one"}).encode()
    with pytest.raises(LedgerError, match=rf"version {SCHEMA_VERSION + 6};.* up to {SCHEMA_VERSION}"):
        decode(kind, newer, "x")
    inner = {**fields, "attempts": [{**fields, "schema_version": 9}]}
    with pytest.raises(LedgerError, match="version 9"):
        decode(Entry, json.dumps(inner).encode(), "x")


@pytest.mark.parametrize(
    "damage",
    [
        {"attempts": [{"number": 1, "at": 1e300, "deadline": 1.0}]},
        {"attempts": [{"number": -1, "at": 1.0, "deadline": 1.0}]},
        {"attempts": [{"number": 1, "at": -1.0, "deadline": 1.0}]},
        {"requests": 2**63},
        {"requests": -1},
        {"pipeline": "p" * 2_000_000},
        {"batch_id": "../../x"},
        {"earlier": ["a/b"]},
        {"submitted_at": "0000-00-00T00:00:00Z"},
        {"submitted_at": "2026-11-22T00:00:00"},
        {"by_status": {"succeeded": -1}},
        {"cost_usd": 1e300},
        {"cost_usd": -1},
        {"map_index": 2**70},
        {"schema_version": 0},
        {"schema_version": "new"},
    ],
)
def test_what_is_out_of_bounds_is_damage_with_a_short_message(damage: dict[str, Any]) -> None:
    stored = json.dumps({"key": KEY, "requests": 3, "bytes": 9, **damage}).encode()
    with pytest.raises(LedgerError, match="cannot be read") as caught:
        decode(Entry, stored, "x")
    assert len(str(caught.value)) < 1_000


def test_an_entry_that_could_not_be_read_again_is_never_stored(tmp_path: Path) -> None:
    ledger = Ledger(UPath(tmp_path), "api")
    with pytest.raises(LedgerError):
        ledger.save(Entry(key=KEY, requests=-1, bytes=9))
    assert ledger.load(KEY) is None


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a" * 129, "a\n"])
def test_what_names_a_file_is_checked_where_it_enters(tmp_path: Path, name: str) -> None:
    ledger = Ledger(UPath(tmp_path / "ledger"), "api")
    with pytest.raises(LedgerError, match="invalid shard key"):
        ledger.save(Entry(key=name, requests=1, bytes=1))
    with pytest.raises(LedgerError, match="invalid shard key"):
        ledger.load(name)
    for call in (lambda: ledger.owner(name), lambda: ledger.take_batch(name, KEY)):
        with pytest.raises(ConfigurationError, match="invalid batch id"):
            call()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_organization_and_workspace_are_recorded_with_attempt_and_batch(tmp_path: Path) -> None:
    ledger = Ledger(UPath(tmp_path), "api")
    entry = ledger.intend(Entry(key=KEY, requests=3, bytes=9))
    identity, listed = Identity("org", "wrk"), Listed(5.0, ("msgbatch_0",))
    taken = ledger.take_attempt(entry, 10.0, 610.0, identity=identity, api_now=20.0, listed=listed)
    assert taken is not None
    (attempt,) = taken.attempts
    assert (attempt.organization_id, attempt.workspace_id) == ("org", "wrk")
    assert (attempt.api_at, attempt.api_deadline, attempt.newest_batch_at) == (20.0, 620.0, 5.0)
    assert attempt.listed_before == ("msgbatch_0",)
    assert ledger.take_batch("msgbatch_1", KEY, identity)
    owner = json.loads((tmp_path / "api" / "owners" / "msgbatch_1.json").read_text())
    assert (owner["organization_id"], owner["workspace_id"]) == ("org", "wrk")


def test_a_store_that_reports_its_own_write_as_taken_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply to a conditional put was lost; the driver sent it again and was told that the name is taken."""
    from nightpress.batches import ledger as module

    real = module.create_exclusively

    def lossy(path: UPath, data: bytes) -> bool:
        real(path, data)
        return False

    monkeypatch.setattr(module, "create_exclusively", lossy)
    ledger = Ledger(UPath(tmp_path), "api")
    entry = ledger.intend(Entry(key=KEY, requests=3, bytes=9))
    assert ledger.take_attempt(entry, 1.0, 601.0) is not None
    assert ledger.take_attempt(entry, 1.0, 601.0) is None


def test_of_two_processes_that_a_store_calls_winners_one_may_post(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server looked for the file twice before it wrote it twice; moto does so in one of a thousand races."""
    from nightpress.batches import ledger as module

    ledger = Ledger(UPath(tmp_path), "api")
    entry = ledger.intend(Entry(key=KEY, requests=3, bytes=9))
    others = b'{"number": 1, "at": 1.0, "deadline": 601.0, "token": "other"}'

    def accepts_both(path: UPath, data: bytes) -> bool:
        module.write_atomically(path, data)
        module.write_atomically(path, others)
        return True

    monkeypatch.setattr(module, "create_exclusively", accepts_both)
    assert ledger.take_attempt(entry, 1.0, 601.0) is None
