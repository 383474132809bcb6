"""Requests made by hand: staged once, checked, exactly one batch, their custom_ids in the results."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import anthropic
import pytest
from upath import UPath

from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Ledger
from nightpress.batches.submission_records import Submitted
from nightpress.errors import InputError
from nightpress.layout import DataRoot
from nightpress.parquet_files import read_parquet
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.runs import given_requests
from nightpress.runs.given_requests import read_requests, stage_requests, task_file_name
from nightpress.runs.shard_submission import Sender, send_shard
from tests.support.offline_api_server import LocalApiServer

FOLDER = "runs/p/2026-11-22/one"


def request(custom_id: Any = "a-1", **changes: Any) -> dict[str, Any]:
    params = {
        "model": "claude-haiku-4-5",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hi there."}],
    }
    return {"custom_id": custom_id, "params": params | changes}


@pytest.mark.parametrize(
    ("requests", "named"),
    [
        ([], "no request"),
        ([request("a b")], "'a b'"),
        ([request("x" * 65)], "1 to 64"),
        ([request("")], "''"),
        ([request(7)], "request 1 has the custom_id 7"),
        ([request("a"), request("b"), request("a")], "request 3 has the custom_id 'a' of another"),
        ([{"custom_id": "a"}], "has no params"),
        ([request("a", messages=[])], "lack messages"),
        ([request("a", model=None, max_tokens=None)], "lack model, max_tokens"),
        ([request("a", max_tokens=0)], "it must be 1 or more"),
        ([request("a", max_tokens=True)], "it must be 1 or more"),
        ([request("a", stream=True)], "a stream"),
        (["x"], "request 1 has the custom_id None"),
    ],
)
def test_what_the_api_would_refuse_is_refused_before_anything_is_sent(
    tmp_path: Path, requests: list[Any], named: str
) -> None:
    root = DataRoot(UPath(tmp_path))
    with pytest.raises(InputError) as caught:
        stage_requests(requests, root.open(FOLDER), root, "t")
    assert named in str(caught.value)
    assert "Hi there" not in str(caught.value)
    assert not list(tmp_path.rglob("given-*.json"))


def test_every_later_try_sends_what_was_staged_first(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    first = stage_requests([request("a")], root.open(FOLDER), root, "t")
    other = [request("b", max_tokens=60)]
    assert stage_requests(other, root.open(FOLDER), root, "t") == first
    assert stage_requests(other, root.open(FOLDER), root, "u").key != first.key
    assert first.uri.startswith(FOLDER)


@pytest.mark.parametrize("kind", ["lines", "list", "body", "one", "gzip"])
def test_requests_are_read_from_the_files_that_people_have(tmp_path: Path, kind: str) -> None:
    wanted = [request("a"), request("b")] if kind != "one" else [request("a")]
    lines = "\n".join(map(json.dumps, wanted)) + "\n\n"
    whole = json.dumps({"requests": wanted} if kind == "body" else wanted)
    text = (whole if kind in {"list", "body"} else lines).encode()
    (tmp_path / "r").write_bytes(gzip.compress(text) if kind == "gzip" else text)
    assert list(read_requests(UPath(tmp_path) / "r")) == wanted


@pytest.mark.parametrize("text", ["{", '{"a": 1}\nx', "7", '"x"'])
def test_what_is_no_file_of_requests_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(InputError, match="nothing was sent"):
        list(read_requests(UPath(tmp_path) / "r"))
    with pytest.raises(InputError, match="there is no"):
        list(read_requests(UPath(tmp_path) / "none"))


def test_names_of_tasks_are_told_apart_and_fit_a_file_name() -> None:
    names = {task_file_name(name, index) for name in ("a.b", "a_b", "A.b", "提交") for index in (-1, 0, 12)}
    assert len(names) == 12
    assert all(name.isascii() and name == name.lower() and "." not in name for name in names)


def test_one_batch_is_paid_and_its_results_have_the_given_ids(server: LocalApiServer, tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    api = MessageBatches(anthropic.Anthropic(api_key="test-key", base_url=server.base_url, max_retries=0))
    ledger = Ledger(root.ledger(), api.scope)
    for _ in range(3):
        shard = stage_requests([request("mine-1"), request("mine-2")], root.open(FOLDER), root, "t")
        sent = send_shard(shard, Sender("p", "one"), api, ledger, root, time.time)
    assert isinstance(sent, Submitted)
    assert server.billing()["batches_accepted"] == 1
    server.advance_clock(2_000)
    provenance = Provenance("p", "2026-11-22", sent.batch_id)
    results = collect_batch(shard, root, provenance, api, ledger)
    rows = read_parquet(root.open(results.uri)).to_pylist()
    assert [(row["article_id"], row["status"]) for row in rows] == [
        ("mine-1", "succeeded"),
        ("mine-2", "succeeded"),
    ]


def test_a_compressed_file_that_is_huge_or_broken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given_requests, "_MAX_UNPACKED", 1_000_000)
    path = UPath(tmp_path / "a.jsonl.gz")
    bomb = gzip.compress(b" " * 50_000_000)
    for content, why in (
        (bomb, "no batch takes them"),
        (bomb[:-9], "no batch takes them"),
        (gzip.compress(b"{}")[:-5], "decompressed"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=why):
            list(read_requests(path))
