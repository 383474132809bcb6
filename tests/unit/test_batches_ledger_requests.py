"""What showing a large ledger asks of an object store, counted in requests on S3; and that it shows what is there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from upath import UPath

from nightpress.batches import ledger_snapshot, manual_ledger
from nightpress.batches.ledger import Ledger
from nightpress.layout import DataRoot
from nightpress.overview.ledger_watch import LedgerWatch
from nightpress.store_reads import list_versions
from tests.support.ledgers import entry
from tests.support.s3_server import options

API = "api.anthropic.com"
ENTRIES = 10_050 if os.environ.get("NIGHTPRESS_CLUSTER_SWEEP") else 2_050
BUCKET = "old-ledger"
FOLDER = f"root/ledger/{API}"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def root() -> Iterator[UPath]:
    """A ledger of many entries on S3: filled behind the server's back, which takes a hundredth of the time."""
    pytest.importorskip("s3fs")
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        path = UPath(f"s3://{BUCKET}/root", **options(f"http://{host}:{port}"))
        path.fs.call_s3("create_bucket", Bucket=BUCKET)
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for number in range(ENTRIES):
            data = msgspec.json.encode(entry(number, age=90 * 86_400.0))
            backend.put_object(BUCKET, f"{FOLDER}/{number:064x}.json", data)
        yield path
    finally:
        server.stop()


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count the requests to S3 by operation."""
    import s3fs

    requests: Counter[str] = Counter()
    real = s3fs.S3FileSystem._call_s3

    async def call(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        requests[method] += 1
        return await real(self, method, *args, **kwargs)

    real_pages = s3fs.S3FileSystem._iterdir

    async def pages(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = 0
        async for page in real_pages(self, *args, **kwargs):
            found += 1
            yield page
        requests["list_objects_v2"] += 1 + found // 1_000

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "_call_s3", call)
        patch.setattr(s3fs.S3FileSystem, "_iterdir", pages)
        yield requests


def key(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def with_snapshot(root: UPath) -> UPath:
    """The snapshot that an earlier listing left, of all entries as they were then."""
    folder = root / "ledger" / API
    versions = list_versions(folder)
    snapshot = ledger_snapshot.LedgerSnapshot(folder)
    snapshot._write(
        {
            name: ledger_snapshot._Copy(
                ledger_snapshot._stamp(version), msgspec.json.encode(entry(int(name[:64], 16)))
            )
            for name, version in versions.items()
            if name.endswith(".json")
        }
    )
    return root


def test_a_listing_reads_only_what_the_snapshot_does_not_have(
    with_snapshot: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(with_snapshot / "ledger", API)
    for number in (3, 4, 5):
        ledger.save(entry(number, "submitted"))
    with counted(monkeypatch) as requests:
        found = dict(ledger.scan())
    assert len(found) == ENTRIES
    assert {key(n) for n in range(10)} <= found.keys()
    assert [found[key(n)].batch_id is not None for n in (3, 4, 5)] == [True] * 3  # type: ignore[union-attr]
    # Entries and attempts are listed; the snapshot and the three changed entries are read.
    assert requests.total() < 30, requests
    assert requests["get_object"] <= 4
    # A small file is read by one request, without asking for its size.
    assert not requests["head_object"]


def test_one_shard_is_found_without_reading_the_others(root: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as requests:
        line = manual_ledger.find_ledger_line(DataRoot(root), key(ENTRIES - 1))
    assert line.entry.key == key(ENTRIES - 1)
    assert requests.total() <= 6, requests


def test_the_first_process_on_a_large_ledger_reads_the_snapshot(
    with_snapshot: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = LedgerWatch(DataRoot(with_snapshot), API, limit=50_000)
    with counted(monkeypatch) as requests:
        watch.refresh()
    assert len(watch.rows) == ENTRIES
    assert requests.total() < 40, requests


@pytest.mark.parametrize("damage", [b"", b"no gzip", b"\x1f\x8b\x08\x00broken"])
def test_a_damaged_snapshot_is_as_none(damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_snapshot, "FEW_ENTRIES", 5)
    root = UPath(f"memory://snapshot-{len(damage)}")
    ledger = Ledger(root, API)
    for number in range(12):
        ledger.save(entry(number))
    path = ledger.folder / "changes" / "entries.msgpack.gz"
    path.write_bytes(damage)
    assert {name for name, _ in ledger.scan()} == {key(number) for number in range(12)}
    # And is written again, of what was read.
    before = path.read_bytes()
    assert before != damage
    ledger.save(entry(1, "submitted"))
    ledger.set_aside(key(2), "now")
    found = dict(ledger.scan())
    assert found.keys() == {key(number) for number in range(12) if number != 2}
    assert found[key(1)] == ledger.load(key(1))
    assert path.read_bytes() == before
