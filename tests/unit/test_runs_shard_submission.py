"""When a shard waits before it is submitted, and what the ledger is told of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from upath import UPath

from nightpress.batches.batch import Batch, RequestCounts
from nightpress.batches.ledger import Attempt, Entry
from nightpress.batches.submission_records import Submitted, Wait
from nightpress.errors import BudgetError, InvalidReferenceError, SubmitLaterError, UnknownOutcomeError
from nightpress.layout import DataRoot
from nightpress.runs.shard_submission import (
    MAX_WAITS_AS_TOLD,
    Sender,
    open_shard,
    send_shard,
    wait_as_told,
    wait_for_room,
)
from nightpress.shards.shard import Shard
from tests.support.model_api import Crash
from tests.support.shard_sender import ShardSender

SHARD = Shard("runs/p/2026-11-22/one/requests-00000.json", 4, 10, "k" * 64)
NOW = 1_000_000.0


def queue(*processing: int) -> list[Batch]:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return [Batch(f"b{n}", "in_progress", at, RequestCounts(count)) for n, count in enumerate(processing)]


@pytest.mark.parametrize(
    ("processing", "limit", "waits"),
    [
        ((), 1, False),
        ((0, 0), 1, False),
        ((3,), 7, False),
        ((3,), 6, True),
        ((2, 1), 6, True),
        ((1,), 3, True),
    ],
)
def test_a_full_queue_is_waited_for(processing: tuple[int, ...], limit: int, waits: bool) -> None:
    wait = wait_for_room(SHARD, queue(*processing), limit, NOW)
    assert (wait is not None) is waits
    if wait is not None:
        assert f"max_requests_in_flight={limit}" in wait.why
        assert wait.until == NOW + 60


@pytest.mark.parametrize(
    ("told", "refusals", "waits"),
    [
        (None, 0, False),
        (30.0, 0, True),
        (30.0, MAX_WAITS_AS_TOLD - 1, True),
        (30.0, MAX_WAITS_AS_TOLD, False),
    ],
)
def test_the_api_is_obeyed_when_it_asks_to_wait_but_not_for_ever(
    told: float | None, refusals: int, waits: bool
) -> None:
    attempts = tuple(Attempt(number=n, at=0, deadline=0, outcome="refused") for n in range(refusals))
    entry = Entry(key="k", requests=4, bytes=10, attempts=attempts)
    wait = wait_as_told(SubmitLaterError("HTTP 429", told), entry, NOW)
    assert (wait.until if wait else None) == (NOW + 30 if waits else None)


@pytest.mark.parametrize(
    "uri",
    [
        "runs/p/2026-11-22/other/requests-00000.json",
        "runs/other/2026-11-22/one/requests-00000.json",
        "runs/p/2026-11-22/requests-00000.json",
        "runs/p/2026-11-22/one/deeper/requests-00000.json",
        "runs/p/yesterday/one/requests-00000.json",
        "ledger/p/2026-11-22/one/requests-00000.json",
        "p/2026-11-22/one/requests-00000.json",
        "requests-00000.json",
        "runs/p/2026-11-22/other/../one/requests-00000.json",
        "runs/p/2026-11-22/%2e%2e/one/requests-00000.json",
        "/elsewhere/runs/p/2026-11-22/other/requests-00000.json",
        "s3://bucket/runs/p/2026-11-22/other/requests-00000.json",
        "file:///etc/requests-00000.json",
        "one/requests-00000.json",
    ],
)
def test_a_shard_of_another_run_is_refused(tmp_path: Path, uri: str) -> None:
    root = DataRoot(UPath(tmp_path / "data"))
    assert open_shard(SHARD.to_reference(), root, "one", "p") == SHARD
    whole = replace(SHARD, uri=str(root.open(SHARD.uri)))
    assert open_shard(whole.to_reference(), root, "one") == whole
    with pytest.raises(InvalidReferenceError, match="below the"):
        open_shard(replace(SHARD, uri=uri).to_reference(), root, "one", "p")


def test_the_intent_says_who_wanted_the_shard_and_for_which_day() -> None:
    entry = Sender("p", "one", "dag", "shard.submit_batch", 3).intent(SHARD)
    assert (entry.pipeline, entry.day, entry.run, entry.round) == ("p", "2026-11-22", "one", 1)
    assert (entry.dag_id, entry.task_id, entry.map_index, entry.uri) == (
        "dag",
        "shard.submit_batch",
        3,
        SHARD.uri,
    )
    assert entry.state == "intended"


@pytest.mark.parametrize("how", ["accept_then_drop", "accept_then_crash", "drop", "crash"])
@pytest.mark.parametrize("round_", [1, 2])
def test_a_shard_that_the_budget_does_not_allow_is_looked_for_and_not_sent(
    tmp_path: Path, how: str, round_: int
) -> None:
    house = ShardSender(tmp_path)
    name = "r2-00000-00000" if round_ == 2 else "00000"
    body = UPath(house.shard.uri)
    uri = str(body.rename(body.parent / f"requests-{name}.json"))
    shard = replace(house.shard, uri=uri)
    root, api, clock = DataRoot(UPath(tmp_path)), house.api, house.clock
    api.plan = [how]

    def send(look_only: bool) -> Submitted | Wait:
        there = Shard.from_reference(replace(shard, look_only=look_only).to_reference())
        return send_shard(there, Sender("p", "one"), api, house.ledger, root, clock)

    def send_when_told(look_only: bool) -> Submitted:
        while isinstance(outcome := send(look_only), Wait):
            clock.now = outcome.until
        return outcome

    with suppress(UnknownOutcomeError, Crash):
        send(False)
    for batch in api.batches:
        batch.ended = True
    if how.startswith("accept"):
        assert send_when_told(True) == Submitted("msgbatch_0000", "adopted")
    else:
        with pytest.raises(
            BudgetError, match="has no batch, and the budget does not allow sending its 3 articles"
        ):
            send_when_told(True)
        with pytest.raises(BudgetError):
            send(True)
    assert api.posts == 1
    assert send_when_told(False).batch_id == "msgbatch_0000"
    assert len(api.batches) == 1
