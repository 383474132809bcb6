from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anthropic
import httpx2
import msgspec
import pytest
from upath import UPath

from nightpress.batches import manual_ledger
from nightpress.batches.ledger import Attempt, Entry
from nightpress.batches.streamed_body import POST_SECONDS
from nightpress.batches.submission import MAX_LOST_ATTEMPTS
from nightpress.batches.submission_records import Submitted
from nightpress.batches.unknown_outcome import SETTLING_SECONDS
from nightpress.errors import ConfigurationError, LedgerError, UnknownOutcomeError
from nightpress.layout import DataRoot
from nightpress.shards.request_keys import custom_id
from tests.support.model_api import Crash, status_error
from tests.support.shard_sender import ShardSender


@pytest.fixture
def sender(tmp_path: Path) -> ShardSender:
    return ShardSender(tmp_path)


def root(sender: ShardSender) -> DataRoot:
    return DataRoot(UPath(sender.folder))


def line(sender: ShardSender) -> manual_ledger.LedgerLine:
    return manual_ledger.find_ledger_line(root(sender), sender.shard.key[:12])


def lose(sender: ShardSender, plan: str = "accept_then_drop") -> None:
    """POST without an answer."""
    sender.api.plan = [plan]
    with pytest.raises((UnknownOutcomeError, Crash)):
        sender.submit()


def damage(sender: ShardSender) -> None:
    (path,) = (sender.folder / "ledger" / sender.api.scope).glob("*.json")
    path.write_bytes(path.read_bytes()[:-5])


def test_states(sender: ShardSender) -> None:
    sender.ledger.intend(Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes))
    assert (line(sender).state, line(sender).since) == ("intended", None)
    lose(sender)
    assert (line(sender).state, line(sender).since) == ("open", sender.clock())
    sender.api.batches[0].ended = True
    sender.submit()
    assert line(sender).state == "submitted"
    sender.ledger.save(msgspec.structs.replace(sender.entry(), collected_at=sender.entry().submitted_at))
    assert line(sender).state == "collected"
    damage(sender)
    assert line(sender).state == "damaged"


def test_a_refused_post_is_no_open_question(sender: ShardSender) -> None:
    sender.api.plan = [status_error(529)]
    with pytest.raises(Exception, match="529"):
        sender.submit()
    assert line(sender).state == "intended"
    assert manual_ledger.find_open_question(line(sender), sender.clock()) is None


def test_an_attempt_the_entry_does_not_know_is_seen(sender: ShardSender) -> None:
    entry = sender.ledger.intend(Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes))
    assert sender.ledger.take_attempt(entry, 1.0, 601.0)
    sender.ledger.save(entry)
    assert line(sender).state == "open"


def test_questions_say_what_was_seen_what_happens_and_what_can_be_done(sender: ShardSender) -> None:
    lose(sender, "crash")
    now = sender.clock()
    early = manual_ledger.find_open_question(line(sender), now)
    assert early is not None
    assert "no known outcome (the process died" in early.seen
    assert "under way until 2027-01-15 08:10:00 UTC" in early.next
    assert "may POST again from 2027-01-15 08:11:00 UTC" in early.next
    assert "adopt" in early.options
    assert "discard" in early.options
    late = manual_ledger.find_open_question(line(sender), now + POST_SECONDS + SETTLING_SECONDS)
    assert late is not None
    assert "adopts the batch if its results prove it" in late.next


def test_a_shard_that_vanished_too_often_is_a_question(sender: ShardSender) -> None:
    entry = Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes)
    lost = tuple(Attempt(number=n, at=n, deadline=n, outcome="lost") for n in range(1, MAX_LOST_ATTEMPTS + 1))
    sender.ledger.save(msgspec.structs.replace(entry, attempts=lost))
    question = manual_ledger.find_open_question(line(sender), sender.clock())
    assert question is not None
    assert f"{MAX_LOST_ATTEMPTS} POSTs were not answered" in question.seen


def test_a_damaged_entry_does_not_hide_the_others(sender: ShardSender, tmp_path: Path) -> None:
    sender.submit()
    damage(sender)
    other = ShardSender(tmp_path, articles=4)
    other.api = sender.api
    other.submit()
    lines = {found.entry.key: found for found in manual_ledger.iter_ledger_lines(root(sender))}
    assert lines[sender.shard.key].state == "damaged"
    assert lines[other.shard.key].state == "submitted"
    question = manual_ledger.find_open_question(lines[sender.shard.key], sender.clock())
    assert question is not None
    assert "cannot be read" in question.seen


def test_a_key_must_be_one(sender: ShardSender, tmp_path: Path) -> None:
    sender.submit()
    with pytest.raises(ConfigurationError, match="no shard key in the ledger of nowhere"):
        manual_ledger.find_ledger_line(root(sender), sender.shard.key, "nowhere")
    other = msgspec.structs.replace(sender.entry(), key=sender.shard.key[:20] + "0" * 44)
    sender.ledger.save(other)
    with pytest.raises(ConfigurationError, match="2 shards begin with"):
        manual_ledger.find_ledger_line(root(sender), sender.shard.key[:8])
    with pytest.raises(ConfigurationError):
        manual_ledger.find_ledger_line(root(sender), "")


def test_an_ended_batch_is_adopted_after_proof(sender: ShardSender) -> None:
    lose(sender)
    sender.api.batches[0].ended = True
    batch, proved = manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger)
    assert (batch.id, proved) == ("msgbatch_0000", True)
    assert (sender.entry().batch_id, sender.entry().adopted) == ("msgbatch_0000", True)
    assert sender.entry().attempts[-1].outcome == "accepted"
    assert sender.submit() == Submitted("msgbatch_0000", "attached")
    assert sender.api.posts == 1


def test_a_batch_is_adopted_for_a_shard_without_attempts(sender: ShardSender) -> None:
    sender.ledger.intend(Entry(key=sender.shard.key, requests=3, bytes=sender.shard.bytes))
    sender.api.put([custom_id(sender.shard.key, n) for n in range(3)]).ended = True
    assert manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger)[1]
    assert sender.submit() == Submitted("msgbatch_0000", "attached")


def test_a_refused_attempt_stays_refused_when_a_batch_is_adopted(sender: ShardSender) -> None:
    sender.api.plan = [status_error(529)]
    with pytest.raises(Exception, match="529"):
        sender.submit()
    sender.api.put([custom_id(sender.shard.key, n) for n in range(3)]).ended = True
    manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger)
    assert sender.entry().attempts[-1].outcome == "refused"


def test_a_running_batch_is_adopted_only_on_a_persons_word(sender: ShardSender) -> None:
    lose(sender)
    with pytest.raises(
        UnknownOutcomeError, match="Wait until it has ended; the next submission of the shard then adopts it"
    ):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger)
    assert sender.entry().batch_id is None
    assert sender.ledger.owner("msgbatch_0000") is None
    assert not manual_ledger.adopt_batch(
        line(sender), "msgbatch_0000", sender.api, sender.ledger, unproved=True
    )[1]
    assert sender.submit() == Submitted("msgbatch_0000", "attached")


def test_a_running_batch_older_than_the_first_post_is_never_the_shards(sender: ShardSender) -> None:
    sender.api.put(["x"] * 3)
    sender.clock.now += 10_000
    lose(sender, "drop")
    with pytest.raises(UnknownOutcomeError, match=r"before shard .* was first POSTed"):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger, unproved=True)


@pytest.mark.parametrize(("ids", "says"), [(2, "has 2 requests"), (3, "those of another shard")])
def test_a_batch_of_another_size_or_of_other_results_is_refused(
    sender: ShardSender, ids: int, says: str
) -> None:
    lose(sender, "drop")
    sender.api.put(["somebody-0"] * ids).ended = True
    with pytest.raises(UnknownOutcomeError, match=says):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger, unproved=True)
    assert sender.entry().batch_id is None


def test_a_batch_has_one_shard_and_a_shard_one_batch(sender: ShardSender) -> None:
    lose(sender)
    assert sender.ledger.take_batch("msgbatch_0000", "f" * 64)
    with pytest.raises(LedgerError, match="belongs to shard ffff"):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger, unproved=True)
    sender.clock.now += POST_SECONDS
    sender.submit()
    assert sender.submit() == Submitted("msgbatch_0001", "attached")
    with pytest.raises(LedgerError, match="is submitted already, as batch msgbatch_0001"):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0002", sender.api, sender.ledger)


def test_adopt_refuses_another_api_and_a_damaged_entry(sender: ShardSender) -> None:
    lose(sender)
    sender.api.scope = "offline"
    with pytest.raises(LedgerError, match="batch ids of one mean nothing to the other"):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger)
    sender.api.scope = "api.anthropic.com"
    damage(sender)
    with pytest.raises(LedgerError, match="cannot be read"):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (status_error(404), r"does not know batch .* \(404\)"),
        (status_error(500), "could not be asked"),
        (anthropic.APIConnectionError(request=httpx2.Request("GET", "https://x")), "could not be asked"),
    ],
)
def test_adopt_says_when_the_api_cannot_tell(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    lose(sender)

    def fail(batch_id: str) -> None:
        raise error

    monkeypatch.setattr(sender.api, "retrieve", fail)
    with pytest.raises(UnknownOutcomeError, match=says):
        manual_ledger.adopt_batch(line(sender), "msgbatch_0000", sender.api, sender.ledger)


def test_a_discarded_intent_is_sent_again_and_kept_aside(sender: ShardSender) -> None:
    lose(sender, "drop")
    first = sender.entry()
    candidates = manual_ledger.find_candidates(first, sender.api, sender.ledger, sender.clock())
    assert candidates == []
    aside = manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock())
    assert sorted(path.name for path in aside.iterdir()) == ["attempt.1.json", "entry.json"]
    assert msgspec.json.decode((aside / "entry.json").read_bytes(), type=Entry) == first
    assert sender.ledger.load(sender.shard.key) is None
    assert list(manual_ledger.iter_ledger_lines(root(sender))) == []
    assert sender.submit() == Submitted("msgbatch_0000", "created")
    assert [attempt.number for attempt in sender.entry().attempts] == [1]


def test_candidates_are_those_of_the_protocol(sender: ShardSender) -> None:
    lose(sender)
    sender.api.put(["x"] * 2)
    sender.api.put(["y"] * 3)
    found = manual_ledger.find_candidates(sender.entry(), sender.api, sender.ledger, sender.clock())
    assert [batch.id for batch in found] == ["msgbatch_0002", "msgbatch_0000"]


def test_nothing_is_discarded_while_a_post_may_be_under_way(sender: ShardSender) -> None:
    lose(sender, "crash")
    with pytest.raises(LedgerError, match="may be under way until"):
        manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock(), even_submitted=True)
    manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock() + POST_SECONDS)
    assert sender.ledger.load(sender.shard.key) is None


def take_right_to_post(sender: ShardSender) -> None:
    assert sender.ledger.take_attempt(sender.entry(), sender.clock(), sender.clock() + POST_SECONDS)


def set_aside(sender: ShardSender) -> None:
    manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock())


def set_aside_and_send(sender: ShardSender) -> None:
    set_aside(sender)
    assert sender.submit() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize("meanwhile", [take_right_to_post, set_aside, set_aside_and_send])
def test_an_entry_that_changed_since_a_person_looked_is_not_set_aside(
    sender: ShardSender, meanwhile: Callable[[ShardSender], None]
) -> None:
    """As when two people mend it at once, or while a task sends the shard: it could be sent twice."""
    lose(sender, "drop")
    seen = line(sender)
    meanwhile(sender)
    there = sender.ledger.load(sender.shard.key)
    with pytest.raises(LedgerError, match="by another process since it was looked at") as refused:
        manual_ledger.discard_entry(seen, sender.ledger, sender.clock(), even_submitted=True)
    assert refused.value.code == "changed_meanwhile"
    assert sender.ledger.load(sender.shard.key) == there


def test_setting_aside_what_is_gone_says_so(sender: ShardSender) -> None:
    lose(sender, "drop")
    set_aside(sender)
    with pytest.raises(LedgerError, match="by another process"):
        sender.ledger.set_aside(sender.shard.key, "20261122T000000.000000Z")


def test_what_has_a_batch_is_discarded_only_when_asked_for_by_name(sender: ShardSender) -> None:
    sender.submit()
    with pytest.raises(LedgerError, match=r"owns batch msgbatch_0000, which is paid for.*--even-submitted"):
        manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock())
    assert manual_ledger.check_discard(line(sender), sender.ledger, sender.clock(), even_submitted=True) == [
        "msgbatch_0000"
    ]
    manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock(), even_submitted=True)
    assert sender.ledger.owner("msgbatch_0000") == sender.shard.key
    assert sender.submit() == Submitted("msgbatch_0001", "created")


def test_a_batch_owned_but_not_recorded_counts_as_submitted(sender: ShardSender) -> None:
    lose(sender)
    sender.ledger.take_batch("msgbatch_0000", sender.shard.key)
    with pytest.raises(LedgerError, match="not recorded as submitted, and owns batch msgbatch_0000"):
        manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock())


def test_a_damaged_entry_can_be_set_aside_as_it_is(sender: ShardSender) -> None:
    lose(sender, "drop")
    damage(sender)
    with pytest.raises(LedgerError, match="--even-submitted"):
        manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock())
    aside = manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock(), even_submitted=True)
    assert (aside / "entry.json").exists()
    assert sender.submit() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize("moves", [0, 1])
def test_a_discard_cut_short_forgets_nothing(
    sender: ShardSender, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    import nightpress.batches.ledger as module

    lose(sender, "drop")
    real, done = module._move, []

    def move(source: UPath, target: UPath) -> None:
        if len(done) == moves:
            raise Crash
        done.append(source)
        real(source, target)

    monkeypatch.setattr(module, "_move", move)
    with pytest.raises(Crash):
        manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock())
    monkeypatch.undo()
    assert line(sender).state == "open"
    manual_ledger.discard_entry(line(sender), sender.ledger, sender.clock() + 1)
    assert sender.submit() == Submitted("msgbatch_0000", "created")


def test_on_an_object_store() -> None:
    from nightpress.batches.ledger import Ledger

    store = DataRoot(UPath("memory://manual-ledger"))
    ledger = Ledger(store.ledger(), "api")
    assert list(manual_ledger.iter_ledger_lines(store)) == []
    entry = ledger.intend(Entry(key="a" * 64, requests=3, bytes=9))
    assert ledger.take_attempt(entry, 1.0, 2.0)
    assert manual_ledger.find_ledger_line(store, "a").state == "open"
    aside = manual_ledger.discard_entry(manual_ledger.find_ledger_line(store, "a"), ledger, 10.0)
    assert sorted(path.name for path in aside.iterdir()) == ["attempt.1.json", "entry.json"]
    assert list(manual_ledger.iter_ledger_lines(store)) == []
