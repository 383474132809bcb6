"""Bodies that have been sent are kept compressed, and are the same bytes wherever they are read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from nightpress.days.second_round import judge, write_second_round
from nightpress.errors import LedgerError, ResultsError
from nightpress.layout import DataRoot
from nightpress.runs.shard_submission import Sender, send_shard
from nightpress.settings import ShardLimits
from nightpress.shards import kept_bodies
from nightpress.shards.kept_bodies import DamagedBodyError, pack_body, packed_path, read_body, unpack_body
from tests.support.ended_batches import DAY, EndedBatchApi, EndedShard
from tests.support.result_lines import line
from tests.support.shard_sender import ShardSender

KEY = "a" * 64


@given(content=st.binary(max_size=5_000))
def test_a_body_is_read_as_it_was_staged(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    body = UPath(tmp_path_factory.mktemp("body")) / "requests-00000.json"
    body.write_bytes(content)
    for _ in range(2):
        pack_body(body)
        assert not body.exists()
        assert read_body(body) == content
    body.write_bytes(content)  # killed between the two steps
    pack_body(body)
    assert (body.exists(), read_body(body)) == (False, content)


def test_a_collected_shard_keeps_its_body_compressed(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path, 400)
    body = ended.files.requests
    staged = body.read_bytes()
    ended.collect(EndedBatchApi(ended.lines(), total=400))
    assert not body.exists()
    assert packed_path(body).stat().st_size < len(staged) / 4
    assert read_body(body) == staged
    # A clear of the task collects again, and has nothing to compress.
    ended.collect(EndedBatchApi(ended.lines(), total=400))
    assert read_body(body) == staged


def test_a_body_that_may_have_to_be_sent_is_left_alone(tmp_path: Path) -> None:
    ended = EndedShard(tmp_path)
    with pytest.raises(ValueError, match="no results"):
        ended.collect(EndedBatchApi(ValueError("no results"), total=5))
    assert ended.files.requests.exists()


def test_a_full_disk_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    body = UPath(tmp_path) / "requests-00000.json"
    body.write_bytes(b"{}")

    def full(path: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_bodies, "atomic_writer", full)
    pack_body(body)
    assert body.read_bytes() == b"{}"
    assert "stays uncompressed" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"no zstd at all", None])
def test_a_damaged_one_is_an_error_and_never_other_bytes(tmp_path: Path, damage: bytes | None) -> None:
    ended = EndedShard(tmp_path)
    ended.collect(EndedBatchApi(ended.lines(lambda n, name: line(name, {"type": "expired"})), total=5))
    packed = packed_path(ended.files.requests)
    packed.write_bytes(packed.read_bytes()[:-9] if damage is None else damage)
    chosen = judge([(ended.shard, ended.files.results)])
    with pytest.raises(ResultsError, match=r"requests-00000\.json is not the body that was sent"):
        write_second_round(chosen, [ended.shard], UPath(tmp_path), ShardLimits())
    assert not unpack_body(ended.files.requests, ended.shard.key)
    assert not ended.files.requests.exists()
    if damage != b"":
        with pytest.raises(DamagedBodyError):
            read_body(ended.files.requests)


def test_a_shard_that_is_started_over_is_sent_as_it_was(tmp_path: Path) -> None:
    """Somebody discards what the ledger knows of a collected shard, and submits it once more."""
    sender = ShardSender(tmp_path)
    root = DataRoot(UPath(tmp_path))
    body = root.run_folder("p", DAY, "r") / "requests-00000.json"
    body.parent.mkdir(parents=True)
    staged = UPath(sender.shard.uri).read_bytes()
    body.write_bytes(staged)
    pack_body(body)
    shard = replace(sender.shard, uri=root.reference(body))
    task = Sender("p", "r")
    send_shard(shard, task, sender.api, sender.ledger, root, sender.clock)
    assert body.read_bytes() == staged
    assert len(sender.api.batches) == 1


def test_a_body_of_another_shard_is_never_put_back(tmp_path: Path) -> None:
    sender = ShardSender(tmp_path)
    body = UPath(sender.shard.uri)
    pack_body(body)
    assert not unpack_body(body, KEY)
    assert not body.exists()
    with pytest.raises(LedgerError, match="is gone; nothing was sent"):
        sender.submit()
    assert unpack_body(body, sender.shard.key)
