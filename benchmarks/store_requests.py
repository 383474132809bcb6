"""Requests to an object store by the size of the ledger: ``python -m benchmarks.store_requests [ENTRIES …]``.

Requests are counted, not calculated: the entries are in a store in memory, each with its attempt, 100 of them from the
last days. A listing counts as many requests as S3 needs: one per page of 1,000 names.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.layout import DataRoot
from nightpress.overview.ledger_watch import FULL_LISTING_SECONDS, LedgerWatch
from tests.support.ledgers import NOW, entry
from tests.support.model_api import Clock, ModelApi

API = "api.anthropic.com"
SIZES = (100, 10_050, 20_000, 100_000)
RECENT = 100
_OPERATIONS = ("ls", "cat_file", "pipe_file", "put_file", "rm_file", "info")
_NAMES_A_PAGE = 1_000


class _Counter:
    """Counts the requests to the store in memory."""

    def __init__(self) -> None:
        self.total = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count requests within this block only."""
        self.total = 0
        real = {name: getattr(MemoryFileSystem, name) for name in _OPERATIONS}
        try:
            for name, operation in real.items():
                setattr(MemoryFileSystem, name, self._counted(operation))
            yield
        finally:
            for name, operation in real.items():
                setattr(MemoryFileSystem, name, operation)

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(store: Any, *args: Any, **kwargs: Any) -> Any:
            answer = operation(store, *args, **kwargs)
            self.total += 1 + (len(answer) // _NAMES_A_PAGE if isinstance(answer, list) else 0)
            return answer

        return call


def build(size: int) -> UPath:
    """Make a data root with a ledger of this many entries."""
    root = UPath(f"memory://requests-{size}")
    folder = str((root / "ledger" / API).path)
    for number in range(size - RECENT):
        data = msgspec.json.encode(entry(number, age=90 * 86_400.0))
        root.fs.pipe_file(f"{folder}/{number:064x}.json", data)
        root.fs.pipe_file(f"{folder}/attempts/{number:064x}.1.json", b"{}")
    ledger = Ledger(root / "ledger", API)
    for number in range(RECENT):
        ledger.save(entry(10**8 + number))
    return root


def measure(size: int) -> dict[str, int]:
    """Return the number of requests of each action of people and tasks."""
    # The lists of changes use the days of the real clock.
    root, counter, clock = build(size), _Counter(), Clock(time.time())
    found: dict[str, int] = {}
    # First read by the command and by a page, so that the snapshot exists and the number of entries is known.
    dict(Ledger(root / "ledger", API).scan())
    LedgerWatch(DataRoot(root), API, limit=50_000).refresh()
    with counter.counting():
        _submit(root)
    found["a submit"] = counter.total
    watch = LedgerWatch(DataRoot(root), API, limit=50_000, clock=clock)
    for name in ("first view of the page in a process", "each later view"):
        with counter.counting():
            watch.refresh()
        found[name] = counter.total
    clock.now += FULL_LISTING_SECONDS
    with counter.counting():
        watch.refresh()
    found["full listing, once an hour"] = counter.total
    with counter.counting():
        dict(Ledger(root / "ledger", API).scan())
    found["`nightpress ledger`"] = counter.total
    return found


def _submit(root: UPath) -> None:
    body = root / "runs" / "requests-00000.json"
    data = json.dumps({"requests": [{"custom_id": "a-0", "params": {}}]}).encode()
    body.write_bytes(data)
    api = ModelApi(Clock(NOW))
    intent = Entry(key="f" * 64, requests=1, bytes=len(data), run="night")
    submit_shard(intent, Body(body, len(data)), api, Ledger(DataRoot(root).ledger(), API), api.clock)


def main() -> None:
    """Print the table."""
    sizes = tuple(map(int, sys.argv[1:])) or SIZES
    columns = []
    for size in sizes:
        started = time.process_time()
        columns.append(measure(size))
        print(f"{size:,} entries: {time.process_time() - started:.0f} s of CPU", file=sys.stderr, flush=True)
    print("| | " + " | ".join(f"{size:,} entries" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(f"{column[name]:,}" for column in columns) + " |")


if __name__ == "__main__":
    main()
