"""What a look of the page and a submit cost on an object store, counted in requests, however old the ledger is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.batches.submission_records import Submitted
from nightpress.layout import DataRoot
from nightpress.overview import Overview, Query
from nightpress.overview import ledger_watch as watch_module
from nightpress.overview.ledger_watch import LARGE_LEDGER, LedgerWatch
from tests.support.ledgers import NOW, entry
from tests.support.model_api import Clock, ModelApi

API = "api.anthropic.com"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count what is asked of the store; a listing counts as many requests as S3 would need for it."""
    requests: Counter[str] = Counter()
    with monkeypatch.context() as patch:
        for name in ("ls", "cat_file", "pipe_file", "put_file", "rm_file", "info"):
            real = getattr(MemoryFileSystem, name)

            def call(self: Any, *args: Any, name: str = name, real: Any = real, **kwargs: Any) -> Any:
                requests[name] += 1
                answer = real(self, *args, **kwargs)
                if name == "ls":
                    requests[name] += len(answer) // 1_000
                return answer

            patch.setattr(MemoryFileSystem, name, call)
        yield requests


def build(name: str, old: int, recent: int) -> UPath:
    """A data root whose ledger was begun by an earlier release."""
    root = UPath(f"memory://{name}")
    folder = f"{(root / 'ledger' / API).path}"
    for number in range(old):
        data = msgspec.json.encode(entry(number, age=90 * 86_400.0))
        root.fs.pipe_file(f"{folder}/{number:064x}.json", data)
        root.fs.pipe_file(f"{folder}/attempts/{number:064x}.1.json", b"{}")
    ledger = Ledger(root / "ledger", API)
    for number in range(recent):
        ledger.save(entry(10**8 + number))
    return root


def keys(watch: LedgerWatch) -> set[str]:
    return {row.key for row in watch.rows}


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "LARGE_LEDGER", 500)


def test_a_look_at_a_large_ledger_costs_what_one_at_a_small_one_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert LARGE_LEDGER >= 1_000
    small, large = build("cost-small", 0, 100), build("cost-large", 3_000, 100)
    # The process that finds out how many there are pays for it once.
    LedgerWatch(DataRoot(large), API, limit=50_000).refresh()
    cost = {}
    for name, root in (("small", small), ("large", large)):
        watch = LedgerWatch(DataRoot(root), API, limit=50_000)
        with counted(monkeypatch) as first:
            watch.refresh()
        with counted(monkeypatch) as further:
            watch.refresh()
        assert {f"{10**8 + number:064x}" for number in range(100)} <= keys(watch)
        cost[name] = (first.total(), further.total())
    assert cost["large"][0] <= cost["small"][0] + 35
    assert cost["large"][1] <= cost["small"][1] + 5


def test_a_change_in_a_large_ledger_is_seen_at_the_next_look() -> None:
    root = build("cost-changes", 600, 3)
    LedgerWatch(DataRoot(root), API, limit=50_000).refresh()
    watch, ledger = LedgerWatch(DataRoot(root), API, limit=50_000), Ledger(root / "ledger", API)
    watch.refresh()
    assert watch.left_out == 600
    assert not watch.refresh()
    ledger.save(entry(10**8 + 7, "submitted"))
    ledger.save(entry(10**8, "lost"))
    assert watch.refresh()
    states = {row.key: row.state for row in watch.rows}
    assert states[f"{10**8 + 7:064x}"] == "submitted"
    assert states[f"{10**8:064x}"] == "question"
    ledger.set_aside(f"{10**8:064x}", "now")
    assert watch.refresh()
    assert f"{10**8:064x}" not in keys(watch)


def test_a_large_ledger_is_listed_in_full_once_an_hour() -> None:
    root, clock = build("cost-hour", 600, 3), Clock(NOW)
    LedgerWatch(DataRoot(root), API, limit=50_000).refresh()
    watch = LedgerWatch(DataRoot(root), API, limit=50_000, clock=clock)
    watch.refresh()
    assert len(watch.rows) < 600
    # A damaged entry is in no list of changes.
    UPath(root / "ledger" / API / f"{'d' * 64}.json").write_bytes(b"{")
    clock.now += watch_module.FULL_LISTING_SECONDS
    assert watch.refresh()
    assert len(watch.rows) == 604
    assert watch.left_out == 0
    assert "d" * 64 in keys(watch)


def test_a_post_that_an_entry_does_not_know_is_found_in_a_large_ledger() -> None:
    root = build("cost-unrecorded", 600, 0)
    LedgerWatch(DataRoot(root), API, limit=50_000).refresh()
    ledger, key = Ledger(root / "ledger", API), "e" * 64
    intended = ledger.intend(Entry(key=key, requests=3, bytes=9, pipeline="p", day="2026-11-22"))
    watch = LedgerWatch(DataRoot(root), API, limit=50_000)
    watch.refresh()
    assert [row.state for row in watch.rows if row.key == key] == ["intended"]
    ledger.take_attempt(intended, 1.0, 2.0)
    # The process died before the entry was stored again.
    ledger.save(intended)
    watch.refresh()
    assert [row.state for row in watch.rows if row.key == key] == ["question"]


def test_the_page_shows_a_large_ledger() -> None:
    root = build("cost-page", 600, 2)
    Overview(DataRoot(root), lambda: NOW).answer(Query(), lambda dag, pipeline: True)
    answer = Overview(DataRoot(root), lambda: NOW).answer(Query(), lambda dag, pipeline: True)
    assert answer.left_out == 600
    assert answer.count >= 1


def test_a_submit_costs_the_same_at_any_age_and_lists_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = []
    for name, old in (("submit-young", 0), ("submit-old", 2_000)):
        root = build(name, old, 0)
        body = root / "runs" / "requests-00000.json"
        data = json.dumps({"requests": [{"custom_id": "a-0", "params": {}}]}).encode()
        body.write_bytes(data)
        api = ModelApi(Clock(NOW))
        ledger = Ledger(DataRoot(root).ledger(), API)
        intent = Entry(key="f" * 64, requests=1, bytes=len(data), run="night")
        with counted(monkeypatch) as requests:
            outcome = submit_shard(intent, Body(body, len(data)), api, ledger, api.clock)
        assert isinstance(outcome, Submitted)
        assert requests["ls"] == 0
        cost.append(requests)
        with counted(monkeypatch) as requests:
            assert ledger.batches_of("f" * 64) == [outcome.batch_id]
        assert requests.total() < 10
    assert cost[0] == cost[1]
    assert cost[0].total() < 30
