from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import pytest
from upath import UPath

from nightpress.articles.article import Article
from nightpress.batches import submission
from nightpress.batches.api_facts import Identity
from nightpress.batches.batch import Batch, BatchPage, OddBatch, RequestCounts
from nightpress.batches.ledger import Entry, Example, Ledger
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


HOURS = [-30.0, -5.0, -0.2, 0.0, 0.2, 5.0, 30.0]


@pytest.mark.parametrize("before", HOURS)
@pytest.mark.parametrize("after", HOURS)
def test_a_clock_that_is_wrong_by_hours_while_a_reply_is_lost_pays_once(
    desk: Desk, before: float, after: float
) -> None:
    """Between the POST and the look the local clock is set, or the task goes on at another machine."""
    desk.api.skew = -before * 3600
    desk.api.listing_delay = SETTLING_SECONDS - 1
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.clock.now += after * 3600
    desk.api.skew -= after * 3600
    for _ in range(60):
        outcome = desk.submit()
        if isinstance(outcome, Submitted):
            break
        if outcome.batch_ids:
            desk.api.batches[0].ended = True
        else:
            desk.clock.now = outcome.until
    assert outcome == Submitted("msgbatch_0000", "adopted")
    assert desk.api.posts == 1


@pytest.mark.parametrize("after", [-5.0, 5.0])
def test_a_post_that_never_arrived_is_sent_again_whatever_the_clock_says(desk: Desk, after: float) -> None:
    desk.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.clock.now += after * 3600
    desk.api.skew -= after * 3600
    assert desk.submit_when_told() == Submitted("msgbatch_0000", "created")
    assert desk.api.posts == 2


def test_a_gateway_whose_date_jumps_does_not_decide_alone(desk: Desk) -> None:
    desk.api.listing_delay = SETTLING_SECONDS - 1
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    visible = desk.api.batches[0].visible
    desk.api.skew = 5 * 3600
    desk.api.batches[0].visible = visible + 5 * 3600
    assert isinstance(desk.submit(), Wait)
    assert desk.api.posts == 1


def test_without_the_apis_time_nothing_is_sent_again(desk: Desk) -> None:
    desk.api.tells_time = False
    desk.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError, match="do not tell its time"):
        desk.submit()
    assert desk.api.posts == 1
    # Told later, it counts from then on.
    desk.api.tells_time = True
    assert desk.submit_when_told() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize(
    ("posted", "seen"),
    [
        (Identity("org_1", "wrkspc_1"), Identity("org_1", "wrkspc_2")),
        (Identity("org_1", "wrkspc_1"), Identity("org_2", "wrkspc_1")),
        (Identity("org_1", "wrkspc_1"), Identity("org_1", None)),
        (Identity("org_1", None), Identity("org_1", "wrkspc_1")),
        (Identity("org_1", "wrkspc_1"), Identity()),
    ],
)
def test_absence_from_the_list_of_another_workspace_proves_nothing(
    desk: Desk, posted: Identity, seen: Identity
) -> None:
    desk.api.identity = posted
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    hidden, desk.api.batches = desk.api.batches, []
    desk.api.identity = seen
    desk.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError) as caught:
        desk.submit()
    assert str(posted) in str(caught.value)
    assert str(seen) in str(caught.value)
    assert desk.api.posts == 1
    # With a key of the first workspace it is found, and by proof alone.
    desk.api.identity, desk.api.batches = posted, hidden
    hidden[0].ended = True
    assert desk.submit() == Submitted("msgbatch_0000", "adopted")
    entry = desk.entry()
    assert (entry.organization_id, entry.workspace_id) == (posted.organization_id, posted.workspace_id)


def test_a_batch_that_is_proved_is_adopted_in_whatever_workspace(desk: Desk) -> None:
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.api.batches[0].ended = True
    desk.api.identity = Identity("org_9", "wrkspc_9")
    assert desk.submit() == Submitted("msgbatch_0000", "adopted")


def test_a_list_that_repeats_its_page_ends_and_proves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    other = Batch("msgbatch_other", "in_progress", request_counts=RequestCounts(processing=9))
    asked: list[str | None] = []

    def repeat(*, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        asked.append(after_id)
        return BatchPage((other,), has_more=True, last_id="msgbatch_other")

    monkeypatch.setattr(desk.api, "list", repeat)
    desk.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError, match="repeats the page"):
        desk.submit()
    assert len(asked) < 5
    assert desk.api.posts == 1


@pytest.mark.parametrize(
    ("odd", "sent_again"),
    [
        (OddBatch(), False),
        (OddBatch(requests=3), False),
        (OddBatch(requests=4), True),
        (OddBatch(type="something_else"), True),
        (OddBatch(created_at=datetime(2020, 1, 1, tzinfo=UTC)), True),
    ],
)
def test_an_element_without_an_id_that_could_be_the_batch_holds_the_post_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, odd: OddBatch, sent_again: bool
) -> None:
    desk.api.put(["foreign"])
    desk.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    page = BatchPage((), has_more=False, odd=(odd,))
    monkeypatch.setattr(desk.api, "list", lambda **_: page)
    desk.clock.now += 90_000
    if sent_again:
        assert isinstance(desk.submit(), Submitted)
    else:
        with pytest.raises(UnknownOutcomeError, match="without a usable id"):
            desk.submit()
    assert desk.api.posts == 1 + sent_again


def test_a_batch_whose_size_and_age_are_not_told_is_a_candidate(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.clock.now += 90_000
    bare = Batch("msgbatch_0000", "in_progress")
    monkeypatch.setattr(desk.api, "list", lambda **_: BatchPage((bare,)))
    outcome = desk.submit()
    assert isinstance(outcome, Wait)
    assert outcome.batch_ids == ("msgbatch_0000",)


@pytest.mark.parametrize("status", [404, 500, 501])
def test_without_a_list_nothing_is_sent_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    desk.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        desk.submit()

    def fail(**_: object) -> BatchPage:
        raise status_error(status)

    monkeypatch.setattr(desk.api, "list", fail)
    desk.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError, match=f"cannot be read.*HTTP {status}"):
        desk.submit()
    assert desk.api.posts == 1


def test_the_first_line_of_a_stream_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "MAX_HEAD_BYTES", 1_000)
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += 100
            yield b"x" * 100

    assert len(submission._first_line(endless())) == 1_000
    assert given <= 1_200
    blank = submission._first_line(iter([b"\n\n", b"  \r\n", b'{"a":', b'1}\n{"b"', b":2}"]))
    assert blank == b'{"a":1}'
    assert submission._first_line(iter([])) == b""


def test_betas_of_the_shard_go_with_its_body(desk: Desk) -> None:
    shard = desk.shard
    intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes, betas=("one-2026",))
    submit_shard(intent, Body(UPath(shard.uri), shard.bytes), desk.api, desk.ledger, desk.clock)
    assert desk.api.betas == ("one-2026",)
    assert desk.entry().betas == ("one-2026",)


@pytest.mark.parametrize(
    ("errors", "message", "again"),
    [
        ({"billing_error": 3}, "", True),
        ({"invalid_request_error": 3}, "Your credit balance is too low to access the Anthropic API.", True),
        ({"invalid_request_error": 3}, "max_tokens: too large", False),
        ({"billing_error": 2, "expired": 1}, "", False),
        ({}, "", False),
    ],
)
def test_a_second_round_that_bought_nothing_for_the_accounts_sake_is_sent_again_in_the_same_run(
    desk: Desk, errors: dict[str, int], message: str, again: bool
) -> None:
    shard = desk.shard
    intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes, run="night", round=2)
    body = Body(UPath(shard.uri), shard.bytes)
    first = submit_shard(intent, body, desk.api, desk.ledger, desk.clock)
    examples = tuple(Example(kind, "a-0", message) for kind in errors)
    dead = msgspec.structs.replace(
        desk.entry(), answered=0, collected_at=datetime.now(UTC), errors=errors, examples=examples
    )
    desk.ledger.save(dead)
    second = submit_shard(intent, body, desk.api, desk.ledger, desk.clock)
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert (second.batch_id != first.batch_id) is again
