"""The cases in which others pay twice, over real sockets: the meter says that we pay once.

Measured on others: a dropped reply makes the SDK send two batches; provider operators make as many as they
have attempts; a kill after the create, a transient 404 and a new run id are paid for again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.articles.reader import iter_articles
from nightpress.batches.client import MessageBatches
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import Body, submit_shard
from nightpress.batches.submission_records import Submitted, Wait
from nightpress.errors import RequestRefusedError, SubmissionError, SubmitLaterError
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards
from tests.support.offline_api_server import PROJECT, LocalApiServer

DAY = "2026-11-22"
TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("<article>{content}</article>"))


class Night:
    """A server, a ledger and a source; the clock of the protocol is the server's."""

    def __init__(self, server: LocalApiServer, folder: Path) -> None:
        self.server, self.folder, self.root = server, folder, DataRoot(UPath(folder))
        self.offset = 0.0
        client = anthropic.Anthropic(api_key="test-key", base_url=server.base_url)
        self.api = MessageBatches(client, now=self.now, elapsed=self.now)
        self.ledger = Ledger(UPath(folder / "ledger"), self.api.scope)

    def now(self) -> float:
        return time.time() + self.offset

    def read(self, run: str, texts: list[str], per_shard: int = 100) -> list[Shard]:
        source = self.folder / f"{run}.jsonl"
        source.write_text(
            "".join(json.dumps({"id": n, "content": text}) + "\n" for n, text in enumerate(texts))
        )
        limits = ShardLimits(max_requests=per_shard)
        return write_shards(
            iter_articles(UPath(source)), UPath(self.folder / run), TEMPLATE, limits=limits
        ).shards

    def submit(self, shard: Shard, run: str = "one", tries: int = 12) -> Submitted:
        """Submit as the task does with its retries: wait when told to, try again when it may help."""
        intent = Entry(
            key=shard.key, requests=shard.articles, bytes=shard.bytes, pipeline="p", day=DAY, run=run
        )
        for _ in range(tries):
            try:
                outcome = submit_shard(
                    intent, Body(UPath(shard.uri), shard.bytes), self.api, self.ledger, self.now
                )
            except RequestRefusedError:
                raise
            except SubmissionError:
                continue
            if isinstance(outcome, Submitted):
                return outcome
            assert isinstance(outcome, Wait)
            self.pass_time(60 if outcome.batch_ids else max(1.0, outcome.until - self.now()))
        raise AssertionError("still not submitted")

    def pass_time(self, seconds: float) -> None:
        self.offset += seconds
        self.server.advance_clock(seconds)

    def collect(self, shard: Shard, batch_id: str) -> list[dict[str, Any]]:
        self.pass_time(60)
        results = collect_batch(shard, self.root, Provenance("p", DAY, batch_id), self.api, self.ledger)
        rows: list[dict[str, Any]] = pq.read_table(self.root.open(results.uri).path).to_pylist()
        return rows

    def accepted(self) -> int:
        return int(self.server.billing()["batches_accepted"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    with LocalApiServer(tmp_path_factory.mktemp("api"), seconds_per_batch=30) as running:
        yield running


@pytest.fixture
def night(server: LocalApiServer, tmp_path: Path) -> Night:
    server.reset()
    server.request("DELETE", "/local/faults")
    return Night(server, tmp_path)


TEXTS = [f"Article {n} tells its story. It ends here." for n in range(4)]


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "accept_then_drop"},
        {"kind": "error_after_accept", "status": 500},
        {"kind": "error_after_accept", "status": 502},
    ],
    ids=lambda rule: "-".join(str(value) for value in rule.values()),
)
def test_a_reply_that_never_came_is_one_batch(night: Night, rule: dict[str, Any]) -> None:
    (shard,) = night.read("one", TEXTS)
    night.server.faults({"endpoint": "create", "count": 1, **rule})
    outcome = night.submit(shard)
    assert outcome.how == "adopted"
    assert [row["status"] for row in night.collect(shard, outcome.batch_id)] == ["succeeded"] * 4
    assert night.accepted() == 1


def test_a_reply_dropped_while_the_list_is_late_is_one_batch(night: Night) -> None:
    (shard,) = night.read("one", TEXTS)
    night.server.faults(
        {"endpoint": "create", "kind": "late_listing", "seconds": 40, "count": 1},
        {"endpoint": "create", "kind": "accept_then_drop", "count": 1},
    )
    assert night.submit(shard).how == "adopted"
    assert night.accepted() == 1


@pytest.mark.parametrize("status", [429, 529])
def test_refusals_that_pass_are_tried_again_and_nothing_was_made(night: Night, status: int) -> None:
    (shard,) = night.read("one", TEXTS)
    night.server.faults(
        {"endpoint": "create", "kind": "status", "status": status, "retry_after": 3, "count": 1}
    )
    with pytest.raises(SubmitLaterError) as caught:
        submit_shard(
            Entry(key=shard.key, requests=4, bytes=shard.bytes),
            Body(UPath(shard.uri), shard.bytes),
            night.api,
            night.ledger,
            night.now,
        )
    assert caught.value.retry_after_seconds == 3
    assert night.submit(shard).how == "created"
    assert night.accepted() == 1


def test_an_error_that_made_nothing_is_sent_again_once_that_is_certain(night: Night) -> None:
    (shard,) = night.read("one", TEXTS)
    night.server.faults({"endpoint": "create", "kind": "status", "status": 500, "count": 1})
    assert night.submit(shard).how == "created"
    assert night.accepted() == 1


def test_killed_between_the_post_and_its_record(night: Night) -> None:
    """A real SIGKILL of a process whose POST was accepted and whose reply is on its way."""
    (shard,) = night.read("one", TEXTS)
    night.server.faults({"endpoint": "create", "kind": "hang", "when": "after", "seconds": 20, "count": 1})
    program = (
        "import anthropic, sys, time\n"
        "from upath import UPath\n"
        "from nightpress.batches.client import MessageBatches\n"
        "from nightpress.batches.ledger import Entry, Ledger\n"
        "from nightpress.batches.submission import Body, submit_shard\n"
        "url, root, uri, key, size, offset = sys.argv[1:]\n"
        "api = MessageBatches(anthropic.Anthropic(api_key='test-key', base_url=url))\n"
        "submit_shard(Entry(key=key, requests=4, bytes=int(size), pipeline='p', day='2026-11-22', run='one'),\n"
        "    Body(UPath(uri), int(size)), api, Ledger(UPath(root), api.scope), time.time)\n"
    )
    arguments = (
        night.server.base_url,
        str(night.folder / "ledger"),
        shard.uri,
        shard.key,
        str(shard.bytes),
        "0",
    )
    child = subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=PROJECT)
    try:
        wait_until(lambda: night.accepted() == 1)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert night.submit(shard).how == "adopted"
    assert night.accepted() == 1


def test_one_transient_404_is_not_absence(night: Night) -> None:
    (shard,) = night.read("one", TEXTS)
    batch_id = night.submit(shard).batch_id
    night.server.faults({"endpoint": "retrieve", "kind": "not_found", "count": 1})
    with pytest.raises(anthropic.NotFoundError):
        night.api.retrieve(batch_id)
    assert night.submit(shard) == Submitted(batch_id, "attached")
    assert len(night.collect(shard, batch_id)) == 4
    assert night.accepted() == 1


def test_a_new_run_of_the_same_articles_finds_their_batch(night: Night) -> None:
    (first,) = night.read("one", TEXTS)
    (second,) = night.read("two", TEXTS)
    batch_id = night.submit(first).batch_id
    rows = night.collect(first, batch_id)
    assert night.submit(second, run="two") == Submitted(batch_id, "attached")
    assert night.collect(second, batch_id) == rows
    assert night.accepted() == 1


def test_a_changed_row_pays_for_its_own_shard_only(night: Night) -> None:
    texts = [f"Article {n}." for n in range(9)]
    before = {shard.key: night.submit(shard).batch_id for shard in night.read("one", texts, 3)}
    texts[4] = "Article 4 was rewritten."
    after = {shard.key: night.submit(shard, run="two").batch_id for shard in night.read("two", texts, 3)}
    assert len(before.items() & after.items()) == 2
    assert night.accepted() == 4


def test_two_runs_at_the_same_time_make_one_batch(night: Night) -> None:
    (shard,) = night.read("one", TEXTS)
    night.server.faults({"endpoint": "create", "kind": "hang", "when": "after", "seconds": 1, "count": 1})
    outcomes: list[Submitted] = []
    threads = [
        threading.Thread(target=lambda run=run: outcomes.append(night.submit(shard, run))) for run in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({outcome.batch_id for outcome in outcomes}) == 1
    assert night.accepted() == 1


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
