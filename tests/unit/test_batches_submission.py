from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import pytest
from upath import UPath

from nightpress.batches import candidates
from nightpress.batches.api_facts import Identity, Listed
from nightpress.batches.batch import Batch, BatchPage, OddBatch, RequestCounts
from nightpress.batches.ledger import Entry, Example, Ledger
from nightpress.batches.streamed_body import POST_SECONDS
from nightpress.batches.submission import MAX_LOST_ATTEMPTS, Body, submit_shard
from nightpress.batches.submission_records import Submitted, Wait
from nightpress.batches.unknown_outcome import SETTLING_SECONDS, UNKNOWN_RECHECK_SECONDS
from nightpress.errors import LedgerError, RequestRefusedError, SubmitLaterError, UnknownOutcomeError
from tests.support.model_api import Crash, status_error
from tests.support.shard_sender import ShardSender


@pytest.fixture
def sender(tmp_path: Path) -> ShardSender:
    return ShardSender(tmp_path)


def test_a_shard_is_posted_once_and_found_again_ever_after(sender: ShardSender) -> None:
    first = sender.submit()
    assert first == Submitted("msgbatch_0000", "created")
    assert sender.submit() == Submitted("msgbatch_0000", "attached")
    assert sender.api.posts == 1
    assert sender.entry().state == "submitted"


@pytest.mark.parametrize("status", [429, 529])
def test_what_may_be_accepted_later_says_so_and_when(sender: ShardSender, status: int) -> None:
    sender.api.plan = [status_error(status, retry_after="7")]
    with pytest.raises(SubmitLaterError, match=f"no batch exists: HTTP {status}") as caught:
        sender.submit()
    assert caught.value.retry_after_seconds == 7
    assert sender.submit() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_a_refusal_is_final_and_named(sender: ShardSender, status: int) -> None:
    sender.api.plan = [status_error(status)]
    with pytest.raises(RequestRefusedError, match=rf"HTTP {status} some_error: said \(request req_1\)"):
        sender.submit()
    assert sender.entry().attempts[-1].outcome == "refused"


def test_a_spend_limit_is_not_tried_again(sender: ShardSender) -> None:
    sender.api.plan = [status_error(429, code="enforced_spend_limit_reached")]
    with pytest.raises(RequestRefusedError, match="429"):
        sender.submit()


def test_an_api_that_is_down_took_nothing(sender: ShardSender) -> None:
    error = httpx2.ConnectError("Connection refused")
    sender.api.plan = [error]
    with pytest.raises(SubmitLaterError, match="no connection to the API"):
        sender.submit()
    assert sender.submit() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize("status", [500, 502, 504, 408, 409])
def test_a_server_error_may_hide_a_batch(sender: ShardSender, status: int) -> None:
    sender.api.plan = [status_error(status)]
    with pytest.raises(UnknownOutcomeError, match="a batch may exist"):
        sender.submit()
    assert isinstance(sender.submit(), Wait)
    assert sender.api.posts == 1


def test_a_dropped_reply_is_found_and_proved(sender: ShardSender) -> None:
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    running = sender.submit()
    assert isinstance(running, Wait)
    assert running.batch_ids == ("msgbatch_0000",)
    sender.api.batches[0].ended = True
    assert sender.submit() == Submitted("msgbatch_0000", "adopted")
    assert sender.entry().adopted
    assert sender.api.posts == 1


def test_killed_between_post_and_record(sender: ShardSender) -> None:
    sender.api.plan = ["accept_then_crash"]
    with pytest.raises(Crash):
        sender.submit()
    sender.api.batches[0].ended = True
    assert sender.submit() == Submitted("msgbatch_0000", "adopted")


def test_another_batch_of_the_same_size_is_not_adopted(sender: ShardSender) -> None:
    sender.api.put(["somebody-else-0"] * 3).ended = True
    sender.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.api.put(["somebody-else-1"] * 3).ended = True
    asked = sender.clock()
    assert sender.submit_when_told() == Submitted("msgbatch_0002", "created")
    assert sender.clock() == asked + SETTLING_SECONDS


def test_a_batch_that_is_late_in_the_list_is_waited_for(sender: ShardSender) -> None:
    sender.api.plan = ["accept_then_drop"]
    sender.api.listing_delay = SETTLING_SECONDS - 1
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    assert isinstance(sender.submit(), Wait)
    sender.clock.now += SETTLING_SECONDS - 1
    sender.api.batches[0].ended = True
    assert sender.submit() == Submitted("msgbatch_0000", "adopted")


def test_a_killed_process_may_still_be_sending_until_its_deadline(sender: ShardSender) -> None:
    sender.api.plan = ["crash"]
    with pytest.raises(Crash):
        sender.submit()
    asked = sender.clock()
    assert sender.submit_when_told() == Submitted("msgbatch_0000", "created")
    assert sender.clock() == asked + POST_SECONDS + SETTLING_SECONDS


def test_the_batch_of_a_process_that_is_still_sending_is_found_soon(sender: ShardSender) -> None:
    sender.api.plan = ["crash"]
    with pytest.raises(Crash):
        sender.submit()
    waiting = sender.submit()
    assert isinstance(waiting, Wait)
    assert waiting.until == sender.clock() + UNKNOWN_RECHECK_SECONDS
    sender.ledger.save(msgspec.structs.replace(sender.entry(), batch_id="msgbatch_0000"))
    assert sender.submit() == Submitted("msgbatch_0000", "attached")


def test_a_candidate_is_found_behind_the_first_page_and_with_another_clock(sender: ShardSender) -> None:
    sender.api.page_size = 2
    sender.api.skew = -200
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    for n in range(7):
        sender.api.put([f"other-{n}"] * 2)
    sender.api.batches[0].ended = True
    assert sender.submit() == Submitted("msgbatch_0000", "adopted")


def test_a_candidate_that_cannot_be_read_stops_everything(sender: ShardSender) -> None:
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.api.batches[0].ended = True
    sender.api.batches[0].readable = False
    sender.clock.now += 10 * POST_SECONDS
    with pytest.raises(UnknownOutcomeError, match=r"msgbatch_0000 could be .* Nothing is sent"):
        sender.submit()
    assert sender.api.posts == 1


def test_a_batch_of_another_shard_is_no_candidate(sender: ShardSender) -> None:
    sender.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    # It came after the POST: what was listed before it is not a candidate anyway.
    other = sender.api.put([f"{'f' * 16}-0"] * 3)
    assert sender.ledger.take_batch(other.id, "f" * 64)
    waiting = sender.submit()
    assert isinstance(waiting, Wait)
    assert waiting.batch_ids == ()


def test_posts_that_vanish_again_and_again_end_with_a_person(sender: ShardSender) -> None:
    sender.api.plan = ["drop"] * 20
    for _ in range(MAX_LOST_ATTEMPTS):
        with pytest.raises(UnknownOutcomeError, match="a batch may exist"):
            sender.submit()
        sender.clock.now += SETTLING_SECONDS
    with pytest.raises(UnknownOutcomeError, match="until a person has looked"):
        sender.submit()
    assert sender.api.posts == MAX_LOST_ATTEMPTS


def test_two_processes_do_not_both_post(sender: ShardSender) -> None:
    entry = sender.ledger.intend(Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes))
    assert sender.ledger.take_attempt(entry, sender.clock(), sender.clock() + POST_SECONDS) is not None
    assert sender.ledger.take_attempt(entry, sender.clock(), sender.clock() + POST_SECONDS) is None
    assert isinstance(sender.submit(), Wait)
    assert sender.api.posts == 0


def test_a_body_changed_after_staging_is_not_sent(sender: ShardSender) -> None:
    UPath(sender.shard.uri).write_bytes(b"{}")
    with pytest.raises(LedgerError, match="changed after it was staged"):
        sender.submit()
    assert sender.api.posts == 0


def test_a_damaged_ledger_entry_stops_everything(sender: ShardSender) -> None:
    sender.submit()
    (path,) = (sender.folder / "ledger" / sender.api.scope).glob("*.json")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(LedgerError, match="Nothing is sent until a person has"):
        sender.submit()
    assert sender.api.posts == 1


def test_the_ledger_lists_its_entries(sender: ShardSender) -> None:
    sender.submit()
    (entry,) = sender.ledger.entries()
    assert (entry.key, entry.batch_id, entry.state) == (sender.shard.key, "msgbatch_0000", "submitted")
    assert list(Ledger(UPath(sender.folder / "nowhere"), "x").entries()) == []


def test_a_collected_entry_is_attached_like_any_other(sender: ShardSender) -> None:
    sender.submit()
    entry = sender.entry()
    sender.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at))
    assert sender.submit() == Submitted("msgbatch_0000", "attached")
    assert sender.entry().state == "collected"


def test_a_batch_that_another_shard_owns_is_never_recorded(sender: ShardSender) -> None:
    assert sender.ledger.take_batch("msgbatch_0000", "f" * 64)
    with pytest.raises(LedgerError, match=r"msgbatch_0000 belongs to shard ffff.*a person has to look"):
        sender.submit()
    assert sender.entry().batch_id is None
    assert sender.ledger.owner("msgbatch_0000") == "f" * 64


def test_killed_between_the_attempt_and_its_entry(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(entry: Entry) -> Entry:
        raise Crash

    monkeypatch.setattr(sender.ledger, "save", die)
    with pytest.raises(Crash):
        sender.submit()
    monkeypatch.undo()
    assert sender.api.posts == 0
    assert sender.submit_when_told() == Submitted("msgbatch_0000", "created")


def test_a_batch_that_bought_nothing_may_be_sent_again_by_another_run(sender: ShardSender) -> None:
    sender.submit()
    entry = sender.entry()
    sender.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at, answered=0))
    assert sender.submit() == Submitted("msgbatch_0000", "attached")
    intent = Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes, run="another", round=2)
    body = Body(UPath(sender.shard.uri), sender.shard.bytes)
    outcome = submit_shard(intent, body, sender.api, sender.ledger, sender.clock)
    assert outcome == Submitted("msgbatch_0001", "created")
    assert submit_shard(intent, body, sender.api, sender.ledger, sender.clock) == Submitted(
        "msgbatch_0001", "attached"
    )


def test_a_batch_that_bought_nothing_is_not_taken_for_the_one_that_follows_it(sender: ShardSender) -> None:
    sender.submit()
    sender.api.batches[0].ended = True
    entry = sender.entry()
    sender.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at, answered=0))
    intent = Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes, run="another", round=2)
    body = Body(UPath(sender.shard.uri), sender.shard.bytes)
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        submit_shard(intent, body, sender.api, sender.ledger, sender.clock)
    waiting = submit_shard(intent, body, sender.api, sender.ledger, sender.clock)
    assert isinstance(waiting, Wait)
    assert waiting.batch_ids == ("msgbatch_0001",)
    sender.api.batches[1].ended = True
    assert submit_shard(intent, body, sender.api, sender.ledger, sender.clock) == Submitted(
        "msgbatch_0001", "adopted"
    )


def test_a_first_round_that_bought_nothing_is_attached_so_that_its_second_round_is_found(
    sender: ShardSender,
) -> None:
    sender.submit()
    entry = sender.entry()
    sender.ledger.save(msgspec.structs.replace(entry, collected_at=entry.submitted_at, answered=0))
    intent = Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes, run="another")
    body = Body(UPath(sender.shard.uri), sender.shard.bytes)
    outcome = submit_shard(intent, body, sender.api, sender.ledger, sender.clock)
    assert outcome == Submitted("msgbatch_0000", "attached")


HOURS = [-30.0, -5.0, -0.2, 0.0, 0.2, 5.0, 30.0]


@pytest.mark.parametrize("before", HOURS)
@pytest.mark.parametrize("after", HOURS)
def test_a_clock_that_is_wrong_by_hours_while_a_reply_is_lost_pays_once(
    sender: ShardSender, before: float, after: float
) -> None:
    """Between the POST and the look the local clock is set, or the task continues at another machine."""
    sender.api.skew = -before * 3600
    sender.api.listing_delay = SETTLING_SECONDS - 1
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.clock.now += after * 3600
    sender.api.skew -= after * 3600
    for _ in range(60):
        outcome = sender.submit()
        if isinstance(outcome, Submitted):
            break
        if outcome.batch_ids:
            sender.api.batches[0].ended = True
        else:
            sender.clock.now = outcome.until
    assert outcome == Submitted("msgbatch_0000", "adopted")
    assert sender.api.posts == 1


@pytest.mark.parametrize("after", [-5.0, 5.0])
def test_a_post_that_never_arrived_is_sent_again_whatever_the_clock_says(
    sender: ShardSender, after: float
) -> None:
    sender.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.clock.now += after * 3600
    sender.api.skew -= after * 3600
    assert sender.submit_when_told() == Submitted("msgbatch_0000", "created")
    assert sender.api.posts == 2


def test_a_gateway_whose_date_jumps_does_not_decide_alone(sender: ShardSender) -> None:
    sender.api.listing_delay = SETTLING_SECONDS - 1
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    visible = sender.api.batches[0].visible
    sender.api.skew = 5 * 3600
    sender.api.batches[0].visible = visible + 5 * 3600
    assert isinstance(sender.submit(), Wait)
    assert sender.api.posts == 1


def test_without_the_apis_time_nothing_is_sent_again(sender: ShardSender) -> None:
    sender.api.tells_time = False
    sender.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError, match="do not tell its time"):
        sender.submit()
    assert sender.api.posts == 1
    # Told later, it counts from then on.
    sender.api.tells_time = True
    assert sender.submit_when_told() == Submitted("msgbatch_0000", "created")


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
    sender: ShardSender, posted: Identity, seen: Identity
) -> None:
    sender.api.identity = posted
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    hidden, sender.api.batches = sender.api.batches, []
    sender.api.identity = seen
    sender.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError) as caught:
        sender.submit()
    assert str(posted) in str(caught.value)
    assert str(seen) in str(caught.value)
    assert sender.api.posts == 1
    # With a key of the first workspace it is found, and by proof alone.
    sender.api.identity, sender.api.batches = posted, hidden
    hidden[0].ended = True
    assert sender.submit() == Submitted("msgbatch_0000", "adopted")
    entry = sender.entry()
    assert (entry.organization_id, entry.workspace_id) == (posted.organization_id, posted.workspace_id)


def test_a_batch_that_is_proved_is_adopted_in_whatever_workspace(sender: ShardSender) -> None:
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.api.batches[0].ended = True
    sender.api.identity = Identity("org_9", "wrkspc_9")
    assert sender.submit() == Submitted("msgbatch_0000", "adopted")


def test_a_list_that_repeats_its_page_ends_and_proves_nothing(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    other = Batch("msgbatch_other", "in_progress", request_counts=RequestCounts(processing=9))
    asked: list[str | None] = []

    def repeat(*, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        asked.append(after_id)
        return BatchPage((other,), has_more=True, last_id="msgbatch_other")

    monkeypatch.setattr(sender.api, "list", repeat)
    sender.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError, match="repeats the page"):
        sender.submit()
    assert len(asked) < 5
    assert sender.api.posts == 1


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
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch, odd: OddBatch, sent_again: bool
) -> None:
    sender.api.put(["foreign"])
    sender.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    page = BatchPage((), has_more=False, odd=(odd,))
    monkeypatch.setattr(sender.api, "list", lambda **_: page)
    sender.clock.now += 90_000
    if sent_again:
        assert isinstance(sender.submit(), Submitted)
    else:
        with pytest.raises(UnknownOutcomeError, match="without a usable id"):
            sender.submit()
    assert sender.api.posts == 1 + sent_again


def test_a_batch_whose_size_and_age_are_not_told_is_a_candidate(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.clock.now += 90_000
    bare = Batch("msgbatch_0000", "in_progress")
    monkeypatch.setattr(sender.api, "list", lambda **_: BatchPage((bare,)))
    outcome = sender.submit()
    assert isinstance(outcome, Wait)
    assert outcome.batch_ids == ("msgbatch_0000",)


@pytest.mark.parametrize("status", [404, 500, 501])
def test_without_a_list_nothing_is_sent_again(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    sender.api.plan = ["drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()

    def fail(**_: object) -> BatchPage:
        raise status_error(status)

    monkeypatch.setattr(sender.api, "list", fail)
    sender.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError, match=f"cannot be read.*HTTP {status}"):
        sender.submit()
    assert sender.api.posts == 1


def test_the_first_line_of_a_stream_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "MAX_HEAD_BYTES", 1_000)
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += 100
            yield b"x" * 100

    assert list(candidates._iter_first_lines(endless())) == []
    assert given <= 1_200
    blank = candidates._iter_first_lines(iter([b"\n\n", b"  \r\n", b'{"a":', b'1}\n{"b"', b":2}"]))
    assert list(blank) == [b'{"a":1}', b'{"b":2}']
    assert list(candidates._iter_first_lines(iter([]))) == []
    many = candidates._iter_first_lines(iter([b"x\n"] * 99))
    assert len(list(many)) == candidates.MAX_HEAD_LINES


@pytest.mark.parametrize(
    "before",
    [
        "\ufeff".encode(),
        b"<html>\n",
        b'{"custom_id": null}\n',
        b'{"result": {}}\n7\n',
        b"data: ",
        b"\x00\xff\n",
        b"[" * 9_999 + b"\n",
    ],
)
def test_what_a_gateway_puts_before_the_results_hides_no_batch(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.api.batches[0].ended = True
    results = sender.api.stream_results
    monkeypatch.setattr(sender.api, "stream_results", lambda batch: iter([before, *results(batch)]))
    assert sender.submit() == Submitted("msgbatch_0000", "adopted")


@pytest.mark.parametrize(
    "first", ["created", "not created"], ids=["a page that ends the list", "a page that is not the last"]
)
def test_a_list_that_stops_early_proves_nothing(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """It says that there is more, and not where."""
    sender.api.put(["foreign"])
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    shown = (sender.api.batches[0].state(),) if first == "created" else ()
    monkeypatch.setattr(sender.api, "list", lambda **_: BatchPage(shown, has_more=True, last_id=None))
    sender.clock.now += 90_000
    with pytest.raises(UnknownOutcomeError, match="where the next page begins"):
        sender.submit()
    assert sender.api.posts == 1


@pytest.mark.parametrize(
    ("order", "size"),
    [(range(10), 1), (range(10), 2), (range(10), 3), (range(10), 5)]
    # Each page ends with an old one and is in no order.
    + [((3, 7, 0, 5, 8, 2, 9, 6, 1, 4), size) for size in (3, 5)],
)
def test_a_list_that_is_not_newest_first_is_read_to_its_end(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch, order: Sequence[int], size: int
) -> None:
    for number in range(9):
        sender.api.put([f"foreign-{number}"] * 9)
        sender.clock.now += 3600
    sender.api.plan = ["accept_then_drop"]
    with pytest.raises(UnknownOutcomeError):
        sender.submit()
    sender.api.batches[-1].ended = True
    states = [sender.api.batches[number].state() for number in order]

    def another_order(*, limit: int = 1000, after_id: str | None = None) -> BatchPage:
        ids = [state.id for state in states]
        rest = states[0 if after_id is None else ids.index(after_id) + 1 :]
        return BatchPage(tuple(rest[:size]), len(rest) > size, rest[:size][-1].id)

    monkeypatch.setattr(sender.api, "list", another_order)
    sender.clock.now += 90_000
    assert sender.submit() == Submitted("msgbatch_0009", "adopted")


@pytest.mark.parametrize("moment", [-1.0, 1e12])
def test_no_time_that_the_api_tells_damages_the_ledger(sender: ShardSender, moment: float) -> None:
    sender.api.listed = Listed(moment)
    sender.api.identify = lambda: sender.api.identity  # type: ignore[method-assign]
    with pytest.raises(LedgerError):
        sender.submit()
    sender.api.listed = Listed()
    assert sender.submit() == Submitted("msgbatch_0000", "created")


def test_betas_of_the_shard_go_with_its_body(sender: ShardSender) -> None:
    shard = sender.shard
    intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes, betas=("one-2026",))
    submit_shard(intent, Body(UPath(shard.uri), shard.bytes), sender.api, sender.ledger, sender.clock)
    assert sender.api.betas == ("one-2026",)
    assert sender.entry().betas == ("one-2026",)


@pytest.mark.parametrize(
    ("name", "run", "answered", "errors", "again"),
    [
        ("given-slogans-00000", "night", 0, {"billing_error": 3}, True),
        ("given-slogans-00000", "later", 0, {"billing_error": 3}, True),
        ("given-slogans-00000", "later", 0, {"not_found_error": 3}, True),
        ("given-slogans-00000", "night", 0, {"not_found_error": 3}, False),
        ("given-slogans-00000", "later", 1, {"billing_error": 2}, False),
        # The second round of the shard may have answers.
        ("00000", "later", 0, {"billing_error": 3}, False),
    ],
)
def test_hand_made_requests_that_bought_nothing_are_sent_again(  # noqa: PLR0917 - a table
    sender: ShardSender, name: str, run: str, answered: int, errors: dict[str, int], again: bool
) -> None:
    """They have no second round: else every later run found the dead batch."""
    shard = sender.shard
    intent = Entry(
        key=shard.key,
        requests=shard.articles,
        bytes=shard.bytes,
        run="night",
        uri=f"runs/p/2026-11-22/night/requests-{name}.json",
    )
    body = Body(UPath(shard.uri), shard.bytes)
    first = submit_shard(intent, body, sender.api, sender.ledger, sender.clock)
    dead = {"answered": answered, "collected_at": datetime.now(UTC), "errors": errors}
    sender.ledger.save(msgspec.structs.replace(sender.entry(), **dead))
    later = msgspec.structs.replace(intent, run=run)
    second = submit_shard(later, body, sender.api, sender.ledger, sender.clock)
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert (second.batch_id != first.batch_id) is again


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
    sender: ShardSender, errors: dict[str, int], message: str, again: bool
) -> None:
    shard = sender.shard
    intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes, run="night", round=2)
    body = Body(UPath(shard.uri), shard.bytes)
    first = submit_shard(intent, body, sender.api, sender.ledger, sender.clock)
    examples = tuple(Example(kind, "a-0", message) for kind in errors)
    dead = msgspec.structs.replace(
        sender.entry(), answered=0, collected_at=datetime.now(UTC), errors=errors, examples=examples
    )
    sender.ledger.save(dead)
    second = submit_shard(intent, body, sender.api, sender.ledger, sender.clock)
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert (second.batch_id != first.batch_id) is again
