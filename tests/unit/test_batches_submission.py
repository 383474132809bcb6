from __future__ import annotations

from pathlib import Path

import httpx2
import msgspec
import pytest
from upath import UPath

from nightpress.articles.article import Article
from nightpress.batches.ledger import Entry, Ledger
from nightpress.batches.submission import (
    MAX_LOST_ATTEMPTS,
    POST_SECONDS,
    SETTLING_SECONDS,
    UNKNOWN_RECHECK_SECONDS,
    Body,
    Submitted,
    Wait,
    submit_shard,
)
from nightpress.errors import LedgerError, RequestRefusedError, SubmitLaterError, UnknownOutcomeError
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards
from tests.support.model_api import Clock, Crash, ModelApi, status_error

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{content}"))


class Desk:
    """One shard, its ledger and an API, and a way to submit."""

    def __init__(self, folder: Path, articles: int = 3) -> None:
        self.folder = folder
        rows = [Article(str(n), "", f"text {n}", {}, "f", n) for n in range(articles)]
        (self.shard,) = write_shards(rows, UPath(folder / "run"), TEMPLATE, limits=ShardLimits()).shards
        self.clock = Clock()
        self.api = ModelApi(self.clock)
        self.ledger = Ledger(UPath(folder / "ledger"), self.api.scope)

    def submit(self, shard: Shard | None = None) -> Submitted | Wait:
        shard = shard or self.shard
        intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes)
        body = Body(UPath(shard.uri), shard.bytes)
        return submit_shard(intent, body, self.api, self.ledger, self.clock)

    def submit_when_told(self) -> Submitted:
        """Come again whenever told to, until there is a batch."""
        while isinstance(outcome := self.submit(), Wait):
            assert 0 < outcome.until - self.clock() <= UNKNOWN_RECHECK_SECONDS
            self.clock.now = outcome.until
        return outcome

    def entry(self) -> Entry:
        entry = self.ledger.load(self.shard.key)
        assert entry is not None
        return entry


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_shard_is_posted_once_and_found_again_ever_after(desk: Desk) -> None:
    first = desk.submit()
    assert first == Submitted("msgbatch_0000", "created")
    assert desk.submit() == Submitted("msgbatch_0000", "attached")
    assert desk.api.posts == 1
    assert desk.entry().state == "submitted"


@pytest.mark.parametrize("status", [429, 529])
def test_what_may_be_accepted_later_says_so_and_when(desk: Desk, status: int) -> None:
    desk.api.plan = [status_error(status, retry_after="7")]
    with pytest.raises(SubmitLaterError, match=f"no batch exists: HTTP {status}") as caught:
        desk.submit()
    assert caught.value.retry_after_seconds == 7
    assert desk.submit() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_a_refusal_is_final_and_named(desk: Desk, status: int) -> None:
    desk.api.plan = [status_error(status)]
    with pytest.raises(RequestRefusedError, match=rf"HTTP {status} some_error: said \(request req_1\)"):
        desk.submit()
    assert desk.entry().attempts[-1].outcome == "refused"


def test_a_spend_limit_is_not_tried_again(desk: Desk) -> None:
    desk.api.plan = [status_error(429, code="enforced_spend_limit_reached")]
    with pytest.raises(RequestRefusedError, match="429"):
        desk.submit()


def test_an_api_that_is_down_took_nothing(desk: Desk) -> None:
    error = httpx2.ConnectError("Connection refused")
    desk.api.plan = [error]
    with pytest.raises(SubmitLaterError, match="no connection to the API"):
        desk.submit()
    assert desk.submit() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize("status", [500, 502, 504, 408, 409])
def test_a_server_error_may_hide_a_batch(desk: Desk, status: int) -> None:
    desk.api.plan = [status_error(status)]
    with pytest.raises(UnknownOutcomeError, match="a batch may exist"):
        desk.submit()
    assert isinstance(desk.submit(), Wait)
    assert desk.api.posts == 1


def test_a_dropped_reply_is_found_and_proved(desk: Desk) -> None:
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    running = desk.submit()
    assert isinstance(running, Wait)
    assert running.batch_ids == ("msgbatch_0000",)
    desk.api.batches[0].ended = True
    assert desk.submit() == Submitted("msgbatch_0000", "adopted")
    assert desk.entry().adopted
    assert desk.api.posts == 1


def test_killed_between_post_and_record(desk: Desk) -> None:
    desk.api.plan = ["accept_then_crash"]
    with pytest.raises(Crash):
        desk.submit()
    desk.api.batches[0].ended = True
    assert desk.submit() == Submitted("msgbatch_0000", "adopted")


def test_another_batch_of_the_same_size_is_not_adopted(desk: Desk) -> None:
    desk.api.put(["somebody-else-0"] * 3).ended = True
    desk.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.api.put(["somebody-else-1"] * 3).ended = True
    asked = desk.clock()
    assert desk.submit_when_told() == Submitted("msgbatch_0002", "created")
    assert desk.clock() == asked + SETTLING_SECONDS


def test_a_batch_that_is_late_in_the_list_is_waited_for(desk: Desk) -> None:
    desk.api.plan = ["accept_then_drop"]
    desk.api.listing_delay = SETTLING_SECONDS - 1
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    assert isinstance(desk.submit(), Wait)
    desk.clock.now += SETTLING_SECONDS - 1
    desk.api.batches[0].ended = True
    assert desk.submit() == Submitted("msgbatch_0000", "adopted")


def test_a_killed_process_may_still_be_sending_until_its_deadline(desk: Desk) -> None:
    desk.api.plan = ["crash"]
    with pytest.raises(Crash):
        desk.submit()
    asked = desk.clock()
    assert desk.submit_when_told() == Submitted("msgbatch_0000", "created")
    assert desk.clock() == asked + POST_SECONDS + SETTLING_SECONDS


def test_the_batch_of_a_process_that_is_still_sending_is_found_soon(desk: Desk) -> None:
    desk.api.plan = ["crash"]
    with pytest.raises(Crash):
        desk.submit()
    waiting = desk.submit()
    assert isinstance(waiting, Wait)
    assert waiting.until == desk.clock() + UNKNOWN_RECHECK_SECONDS
    desk.ledger.save(msgspec.structs.replace(desk.entry(), batch_id="msgbatch_0000"))
    assert desk.submit() == Submitted("msgbatch_0000", "attached")


def test_a_candidate_is_found_behind_the_first_page_and_with_another_clock(desk: Desk) -> None:
    desk.api.page_size = 2
    desk.api.skew = -200
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    for n in range(7):
        desk.api.put([f"other-{n}"] * 2)
    desk.api.batches[0].ended = True
    assert desk.submit() == Submitted("msgbatch_0000", "adopted")


def test_a_candidate_that_cannot_be_read_stops_everything(desk: Desk) -> None:
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.api.batches[0].ended = True
    desk.api.batches[0].readable = False
    desk.clock.now += 10 * POST_SECONDS
    with pytest.raises(UnknownOutcomeError, match=r"msgbatch_0000 could be .* Nothing is sent"):
        desk.submit()
    assert desk.api.posts == 1


def test_a_batch_of_another_shard_is_no_candidate(desk: Desk) -> None:
    other = desk.api.put([f"{'f' * 16}-0"] * 3)
    assert desk.ledger.take_batch(other.id, "f" * 64)
    desk.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    waiting = desk.submit()
    assert isinstance(waiting, Wait)
    assert waiting.batch_ids == ()


def test_posts_that_vanish_again_and_again_end_with_a_person(desk: Desk) -> None:
    desk.api.plan = ["drop"] * 20
    for _ in range(MAX_LOST_ATTEMPTS):
        with pytest.raises(UnknownOutcomeError, match="a batch may exist"):
            desk.submit()
        desk.clock.now += SETTLING_SECONDS
    with pytest.raises(UnknownOutcomeError, match="until a person has looked"):
        desk.submit()
    assert desk.api.posts == MAX_LOST_ATTEMPTS


def test_two_processes_do_not_both_post(desk: Desk) -> None:
    entry = desk.ledger.intend(Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes))
    assert desk.ledger.take_attempt(entry, desk.clock(), desk.clock() + POST_SECONDS) is not None
    assert desk.ledger.take_attempt(entry, desk.clock(), desk.clock() + POST_SECONDS) is None
    assert isinstance(desk.submit(), Wait)
    assert desk.api.posts == 0


def test_a_body_changed_after_staging_is_not_sent(desk: Desk) -> None:
    UPath(desk.shard.uri).write_bytes(b"{}")
    with pytest.raises(LedgerError, match="changed after it was staged"):
        desk.submit()
    assert desk.api.posts == 0


def test_a_damaged_ledger_entry_stops_everything(desk: Desk) -> None:
    desk.submit()
    (path,) = (desk.folder / "ledger" / desk.api.scope).glob("*.json")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(LedgerError, match="Nothing is sent until a person has"):
        desk.submit()
    assert desk.api.posts == 1


def test_the_ledger_lists_its_entries(desk: Desk) -> None:
    desk.submit()
    (entry,) = desk.ledger.entries()
    assert (entry.key, entry.batch_id, entry.state) == (desk.shard.key, "msgbatch_0000", "submitted")
    assert list(Ledger(UPath(desk.folder / "nowhere"), "x").entries()) == []


def test_a_collected_entry_is_attached_like_any_other(desk: Desk) -> None:
    desk.submit()
    entry = desk.entry()
    desk.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at))
    assert desk.submit() == Submitted("msgbatch_0000", "attached")
    assert desk.entry().state == "collected"


def test_a_batch_that_another_shard_owns_is_never_recorded(desk: Desk) -> None:
    assert desk.ledger.take_batch("msgbatch_0000", "f" * 64)
    with pytest.raises(LedgerError, match=r"msgbatch_0000 belongs to shard ffff.*a person has to look"):
        desk.submit()
    assert desk.entry().batch_id is None
    assert desk.ledger.owner("msgbatch_0000") == "f" * 64


def test_killed_between_the_attempt_and_its_entry(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(entry: Entry) -> Entry:
        raise Crash

    monkeypatch.setattr(desk.ledger, "save", die)
    with pytest.raises(Crash):
        desk.submit()
    monkeypatch.undo()
    assert desk.api.posts == 0
    assert desk.submit_when_told() == Submitted("msgbatch_0000", "created")


def test_a_batch_that_bought_nothing_may_be_sent_again_by_another_run(desk: Desk) -> None:
    desk.submit()
    entry = desk.entry()
    desk.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at, answered=0))
    assert desk.submit() == Submitted("msgbatch_0000", "attached")
    intent = Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes, run="another", round=2)
    body = Body(UPath(desk.shard.uri), desk.shard.bytes)
    outcome = submit_shard(intent, body, desk.api, desk.ledger, desk.clock)
    assert outcome == Submitted("msgbatch_0001", "created")
    assert submit_shard(intent, body, desk.api, desk.ledger, desk.clock) == Submitted(
        "msgbatch_0001", "attached"
    )


def test_a_batch_that_bought_nothing_is_not_taken_for_the_one_that_follows_it(desk: Desk) -> None:
    desk.submit()
    desk.api.batches[0].ended = True
    entry = desk.entry()
    desk.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at, answered=0))
    intent = Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes, run="another", round=2)
    body = Body(UPath(desk.shard.uri), desk.shard.bytes)
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        submit_shard(intent, body, desk.api, desk.ledger, desk.clock)
    waiting = submit_shard(intent, body, desk.api, desk.ledger, desk.clock)
    assert isinstance(waiting, Wait)
    assert waiting.batch_ids == ("msgbatch_0001",)
    desk.api.batches[1].ended = True
    assert submit_shard(intent, body, desk.api, desk.ledger, desk.clock) == Submitted(
        "msgbatch_0001", "adopted"
    )


def test_a_first_round_that_bought_nothing_is_attached_so_that_its_second_round_is_found(desk: Desk) -> None:
    desk.submit()
    entry = desk.entry()
    desk.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at, answered=0))
    intent = Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes, run="another")
    body = Body(UPath(desk.shard.uri), desk.shard.bytes)
    outcome = submit_shard(intent, body, desk.api, desk.ledger, desk.clock)
    assert outcome == Submitted("msgbatch_0000", "attached")
