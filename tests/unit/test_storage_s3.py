"""The ledger's store on S3: who wins a race, what a reply means, and what is never seen stale."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from upath import UPath

from nightpress import exclusive_create, storage, store_reads
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.refusals import BodyNotSentError
from nightpress.batches.streamed_body import StreamedBody
from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot
from nightpress.storage import create_exclusively, open_reader, write_atomically
from nightpress.store_reads import read_bytes
from tests.support.s3_server import options, own_driver, s3_server

PROJECT = Path(__file__).resolve().parents[2]
KEY = "a" * 64

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("s3fs")
    with s3_server(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def root(url: str, request: pytest.FixtureRequest) -> UPath:
    bucket = f"bucket-{abs(hash(request.node.name))}"
    path = UPath(f"s3://{bucket}/root", **options(url))
    path.fs.call_s3("create_bucket", Bucket=bucket)
    return path


def test_one_of_two_creates_wins_and_the_content_stays(root: UPath) -> None:
    assert create_exclusively(root / "claim", b"first")
    assert not create_exclusively(root / "claim", b"second")
    assert read_bytes(root / "claim") == b"first"
    with pytest.raises(FileNotFoundError):
        read_bytes(root / "nothing")


def test_a_large_file_is_uploaded_in_small_parts_few_at_a_time(
    root: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's own parts of 50 MB, ten at a time, took a gigabyte for a file of 600 MB."""
    from s3fs import S3FileSystem

    real, held, peak = S3FileSystem._call_s3, 0, 0

    async def call(self: S3FileSystem, method: str, *args: Any, **given: Any) -> Any:
        nonlocal held, peak
        size = len(given.get("Body", b""))
        held, peak = held + size, max(peak, held + size)
        try:
            return await real(self, method, *args, **given)
        finally:
            held -= size

    monkeypatch.setattr(S3FileSystem, "_call_s3", call)
    part, count = storage._PART_BYTES, storage._PARTS_AT_ONCE
    data = os.urandom(1 << 20) * (part * (count + 1) // (1 << 20))
    write_atomically(root / "large", data)
    assert read_bytes(root / "large") == data
    assert part <= peak <= part * count <= 64 * 2**20
    # S3 takes no more than 10,000 parts.
    assert storage._in_small_parts(S3FileSystem, 10**12)["chunksize"] * 10_000 >= 10**12


def test_a_file_is_read_in_small_blocks(root: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own blocks of 50 MB are held several times in each open file."""
    from s3fs import S3FileSystem

    real, asked = S3FileSystem._call_s3, []

    async def call(self: S3FileSystem, method: str, *args: Any, **given: Any) -> Any:
        if method == "get_object":
            first, last = given["Range"].removeprefix("bytes=").split("-")
            asked.append(int(last) - int(first) + 1)
        return await real(self, method, *args, **given)

    write_atomically(root / "large", os.urandom(1 << 20) * 20)
    monkeypatch.setattr(S3FileSystem, "_call_s3", call)
    with open_reader(root / "large") as stream:
        assert sum(len(piece) for piece in iter(lambda: stream.read(1 << 20), b"")) == 20 << 20
    assert max(asked) <= 10 << 20
    assert sum(asked) < 22 << 20
    asked.clear()
    with open_reader(root / "large", block_bytes=1_000) as stream:
        stream.seek(15 << 20)
        assert len(stream.read(1_000)) == 1_000
    assert sum(asked) <= 2_000
    asked.clear()
    assert sum(map(len, StreamedBody(root / "large", 10.0, lambda: 0.0, lambda: 0.0))) == 20 << 20
    assert max(asked) <= 10 << 20


def test_every_reader_reads_in_small_blocks() -> None:
    opened = {
        path.name
        for folder in ("include/nightpress", "plugins")
        for path in (PROJECT / folder).rglob("*.py")
        if '.open("rb"' in path.read_text() and "block_size" not in path.read_text()
    }
    assert opened == set()


RACE = """
import sys
from upath import UPath
from nightpress.storage import create_exclusively
from tests.support.s3_server import options
root = UPath(sys.argv[1], **options(sys.argv[2]))
print(sum(create_exclusively(root / f"claim-{n}", sys.argv[3].encode()) for n in range(int(sys.argv[4]))))
"""


def test_two_processes_share_the_wins_of_many_races(root: UPath, url: str) -> None:
    races = 25
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}"}
    command = [sys.executable, "-W", "ignore", "-c", RACE, str(root), url]
    both = [
        subprocess.Popen([*command, name, str(races)], stdout=subprocess.PIPE, env=environment)
        for name in ("one", "two")
    ]
    try:
        assert sum(int(process.communicate(timeout=400)[0]) for process in both) == races
    finally:
        for process in both:
            process.kill()
            process.wait()


def test_a_412_without_a_condition_means_taken(root: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SeaweedFS answers: s3fs then raises OSError 22 instead of FileExistsError."""
    import s3fs.core

    real = s3fs.core.translate_boto_error

    def bare(error: Any, *args: Any, **kwargs: Any) -> BaseException:
        if getattr(error, "response", None):
            error.response["Error"].pop("Condition", None)
        found: BaseException = real(error, *args, **kwargs)
        return found

    monkeypatch.setattr(s3fs.core, "translate_boto_error", bare)
    assert create_exclusively(root / "claim", b"first")
    with pytest.raises(OSError) as caught:
        root.fs.pipe_file((root / "claim").path, b"x", mode="create")
    assert caught.value.errno == errno.EINVAL
    assert not create_exclusively(root / "claim", b"second")


def test_another_error_22_is_an_error(root: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "InvalidArgument")

    monkeypatch.setattr(root.fs, "pipe_file", fail)
    with pytest.raises(OSError, match="InvalidArgument"):
        create_exclusively(root / "claim", b"x")


def test_a_server_that_ignores_the_condition_is_refused_unless_the_risk_is_taken(
    root: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = root.fs.pipe_file
    monkeypatch.setattr(exclusive_create, "_asked", {})
    storage.check_exclusive_creates(root)
    assert root.fs.find(root.path) == []
    monkeypatch.setattr(root.fs, "pipe_file", lambda path, data, mode="overwrite": real(path, data))
    # Asked once a process.
    storage.check_exclusive_creates(root)
    monkeypatch.setattr(exclusive_create, "_asked", {})
    ledger = Ledger(root / "ledger", "api")
    with pytest.raises(ConfigurationError, match="NIGHTPRESS_ALLOW_UNSAFE_STORE=1"):
        ledger.intend(Entry(key=KEY, requests=1, bytes=1))
    assert ledger.load(KEY) is None
    monkeypatch.setenv("NIGHTPRESS_ALLOW_UNSAFE_STORE", "1")
    ledger.intend(Entry(key=KEY, requests=1, bytes=1))


class LookingFirst(fsspec.AbstractFileSystem):  # type: ignore[misc]
    protocol = "looking-first"


def test_a_driver_without_a_conditional_create_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="cannot create a file only if it is absent"):
        exclusive_create.check_exclusive_create(LookingFirst(), "bucket/root")
    monkeypatch.setenv("NIGHTPRESS_ALLOW_UNSAFE_STORE", "1")
    exclusive_create.check_exclusive_create(LookingFirst(), "bucket/root")


def test_what_another_process_writes_is_seen_at_once(root: UPath, url: str) -> None:
    """A long-lived process has listed the folder; another one, with a driver of its own, adds to it."""
    layout = DataRoot(root)
    other = UPath(str(root), **own_driver(url))
    write_atomically(root / "day" / "a.json", b"1")
    assert [path.name for path in (layout.path / "day").iterdir()] == ["a.json"]
    write_atomically(other / "day" / "b.json", b"22")
    assert sorted(path.name for path in (layout.path / "day").iterdir()) == ["a.json", "b.json"]
    assert (layout.path / "day" / "b.json").exists()
    write_atomically(other / "day" / "a.json", b"longer than before")
    assert read_bytes(layout.path / "day" / "a.json") == b"longer than before"


def test_a_body_that_the_store_stops_giving_was_not_sent(
    root: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    import aiohttp
    import botocore.exceptions

    path = root / "requests-00000.json"
    write_atomically(path, b"x" * 1_000)
    whole = b"".join(StreamedBody(path, 10.0, lambda: 0.0, lambda: 0.0))
    assert whole == b"x" * 1_000
    for error in (
        aiohttp.ClientPayloadError("cut"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="x"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="x"),
        TimeoutError("slow"),
    ):

        def fail(*_: object, error: Exception = error, **__: object) -> bytes:
            raise error

        monkeypatch.setattr(type(root.fs), "_cat_file", fail)
        monkeypatch.setattr(type(root.fs), "_call_s3", fail)
        with pytest.raises(BodyNotSentError, match=type(error).__name__):
            b"".join(StreamedBody(path, 10.0, lambda: 0.0, lambda: 0.0))


def test_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs")
    import botocore.exceptions

    path = UPath("s3://bucket/root", **options("http://127.0.0.1:9"))

    async def fail(*_: object, **__: object) -> None:
        raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    monkeypatch.setattr(type(path.fs), "_call_s3", fail)
    for call in (
        lambda: read_bytes(path / "x"),
        lambda: create_exclusively(path / "x", b""),
        lambda: write_atomically(path / "x", b""),
        lambda: store_reads.list_versions(path),
    ):
        with pytest.raises(OSError, match=r"s3://bucket/root.*does not answer"):
            call()
