from __future__ import annotations

from pathlib import Path

import anthropic
import httpx2
import msgspec
import pytest
from upath import UPath

from nightpress.batches import manual_ledger
from nightpress.batches.ledger import Attempt, Entry
from nightpress.batches.submission import MAX_LOST_ATTEMPTS, POST_SECONDS, SETTLING_SECONDS, Submitted
from nightpress.errors import ConfigurationError, LedgerError, UnknownOutcomeError
from nightpress.layout import DataRoot
from nightpress.shards.requests import custom_id
from tests.support.model_api import Crash, status_error
from tests.unit.test_batches_submission import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def root(desk: Desk) -> DataRoot:
    return DataRoot(UPath(desk.folder))


def line(desk: Desk) -> manual_ledger.LedgerLine:
    return manual_ledger.find_ledger_line(root(desk), desk.shard.key[:12])


def lose(desk: Desk, plan: str = "accept_then_drop") -> None:
    """POST without an answer."""
    desk.api.plan = [plan]
    with pytest.raises((UnknownOutcomeError, Crash)):
        desk.submit()


def damage(desk: Desk) -> None:
    (path,) = (desk.folder / "ledger" / desk.api.scope).glob("*.json")
    path.write_bytes(path.read_bytes()[:-5])


def test_states(desk: Desk) -> None:
    desk.ledger.intend(Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes))
    assert (line(desk).state, line(desk).since) == ("intended", None)
    lose(desk)
    assert (line(desk).state, line(desk).since) == ("open", desk.clock())
    desk.api.batches[0].ended = True
    desk.submit()
    assert line(desk).state == "submitted"
    desk.ledger.save(msgspec.structs.replace(desk.entry(), collected_at=desk.entry().submitted_at))
    assert line(desk).state == "collected"
    damage(desk)
    assert line(desk).state == "damaged"


def test_a_refused_post_is_no_open_question(desk: Desk) -> None:
    desk.api.plan = [status_error(529)]
    with pytest.raises(Exception, match="529"):
        desk.submit()
    assert line(desk).state == "intended"
    assert manual_ledger.find_open_question(line(desk), desk.clock()) is None


def test_an_attempt_the_entry_does_not_know_is_seen(desk: Desk) -> None:
    entry = desk.ledger.intend(Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes))
    assert desk.ledger.take_attempt(entry, 1.0, 601.0)
    desk.ledger.save(entry)
    assert line(desk).state == "open"


def test_questions_say_what_was_seen_what_happens_and_what_can_be_done(desk: Desk) -> None:
    lose(desk, "crash")
    now = desk.clock()
    early = manual_ledger.find_open_question(line(desk), now)
    assert early is not None
    assert "no known outcome (the process died" in early.seen
    assert "under way until 2027-01-15 08:10:00 UTC" in early.next
    assert "may POST again from 2027-01-15 08:11:00 UTC" in early.next
    assert "adopt" in early.options
    assert "discard" in early.options
    late = manual_ledger.find_open_question(line(desk), now + POST_SECONDS + SETTLING_SECONDS)
    assert late is not None
    assert "adopts the batch if its results prove it" in late.next


def test_a_shard_that_vanished_too_often_is_a_question(desk: Desk) -> None:
    entry = Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes)
    lost = tuple(Attempt(number=n, at=n, deadline=n, outcome="lost") for n in range(1, MAX_LOST_ATTEMPTS + 1))
    desk.ledger.save(msgspec.structs.replace(entry, attempts=lost))
    question = manual_ledger.find_open_question(line(desk), desk.clock())
    assert question is not None
    assert f"{MAX_LOST_ATTEMPTS} POSTs were not answered" in question.seen


def test_a_damaged_entry_does_not_hide_the_others(desk: Desk, tmp_path: Path) -> None:
    desk.submit()
    damage(desk)
    other = Desk(tmp_path, articles=4)
    other.api = desk.api
    other.submit()
    lines = {found.entry.key: found for found in manual_ledger.iter_ledger_lines(root(desk))}
    assert lines[desk.shard.key].state == "damaged"
    assert lines[other.shard.key].state == "submitted"
    question = manual_ledger.find_open_question(lines[desk.shard.key], desk.clock())
    assert question is not None
    assert "cannot be read" in question.seen


def test_a_key_must_be_one(desk: Desk, tmp_path: Path) -> None:
    desk.submit()
    with pytest.raises(ConfigurationError, match="no shard key in the ledger of nowhere"):
        manual_ledger.find_ledger_line(root(desk), desk.shard.key, "nowhere")
    other = msgspec.structs.replace(desk.entry(), key=desk.shard.key[:20] + "0" * 44)
    desk.ledger.save(other)
    with pytest.raises(ConfigurationError, match="2 shards begin with"):
        manual_ledger.find_ledger_line(root(desk), desk.shard.key[:8])
    with pytest.raises(ConfigurationError):
        manual_ledger.find_ledger_line(root(desk), "")


def test_an_ended_batch_is_adopted_after_proof(desk: Desk) -> None:
    lose(desk)
    desk.api.batches[0].ended = True
    batch, proved = manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger)
    assert (batch.id, proved) == ("msgbatch_0000", True)
    assert (desk.entry().batch_id, desk.entry().adopted) == ("msgbatch_0000", True)
    assert desk.entry().attempts[-1].outcome == "accepted"
    assert desk.submit() == Submitted("msgbatch_0000", "attached")
    assert desk.api.posts == 1


def test_a_batch_is_adopted_for_a_shard_without_attempts(desk: Desk) -> None:
    desk.ledger.intend(Entry(key=desk.shard.key, requests=3, bytes=desk.shard.bytes))
    desk.api.put([custom_id(desk.shard.key, n) for n in range(3)]).ended = True
    assert manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger)[1]
    assert desk.submit() == Submitted("msgbatch_0000", "attached")


def test_a_refused_attempt_stays_refused_when_a_batch_is_adopted(desk: Desk) -> None:
    desk.api.plan = [status_error(529)]
    with pytest.raises(Exception, match="529"):
        desk.submit()
    desk.api.put([custom_id(desk.shard.key, n) for n in range(3)]).ended = True
    manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger)
    assert desk.entry().attempts[-1].outcome == "refused"


def test_a_running_batch_is_adopted_only_on_a_persons_word(desk: Desk) -> None:
    lose(desk)
    with pytest.raises(UnknownOutcomeError, match="Wait until it has ended: the task adopts it by itself"):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger)
    assert desk.entry().batch_id is None
    assert desk.ledger.owner("msgbatch_0000") is None
    assert not manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger, unproved=True)[1]
    assert desk.submit() == Submitted("msgbatch_0000", "attached")


def test_a_running_batch_older_than_the_first_post_is_never_the_shards(desk: Desk) -> None:
    desk.api.put(["x"] * 3)
    desk.clock.now += 10_000
    lose(desk, "drop")
    with pytest.raises(UnknownOutcomeError, match=r"before shard .* was first POSTed"):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger, unproved=True)


@pytest.mark.parametrize(("ids", "says"), [(2, "has 2 requests"), (3, "those of another shard")])
def test_a_batch_of_another_size_or_of_other_results_is_refused(desk: Desk, ids: int, says: str) -> None:
    lose(desk, "drop")
    desk.api.put(["somebody-0"] * ids).ended = True
    with pytest.raises(UnknownOutcomeError, match=says):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger, unproved=True)
    assert desk.entry().batch_id is None


def test_a_batch_has_one_shard_and_a_shard_one_batch(desk: Desk) -> None:
    lose(desk)
    assert desk.ledger.take_batch("msgbatch_0000", "f" * 64)
    with pytest.raises(LedgerError, match="belongs to shard ffff"):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger, unproved=True)
    desk.clock.now += POST_SECONDS
    desk.submit()
    assert desk.submit() == Submitted("msgbatch_0001", "attached")
    with pytest.raises(LedgerError, match="is submitted already, as batch msgbatch_0001"):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0002", desk.api, desk.ledger)


def test_adopt_refuses_another_api_and_a_damaged_entry(desk: Desk) -> None:
    lose(desk)
    desk.api.scope = "offline"
    with pytest.raises(LedgerError, match="batch ids of one mean nothing to the other"):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger)
    desk.api.scope = "api.anthropic.com"
    damage(desk)
    with pytest.raises(LedgerError, match="cannot be read"):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (status_error(404), r"does not know batch .* \(404\)"),
        (status_error(500), "could not be asked"),
        (anthropic.APIConnectionError(request=httpx2.Request("GET", "https://x")), "could not be asked"),
    ],
)
def test_adopt_says_when_the_api_cannot_tell(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    lose(desk)

    def fail(batch_id: str) -> None:
        raise error

    monkeypatch.setattr(desk.api, "retrieve", fail)
    with pytest.raises(UnknownOutcomeError, match=says):
        manual_ledger.adopt_batch(line(desk), "msgbatch_0000", desk.api, desk.ledger)


def test_a_discarded_intent_is_sent_again_and_kept_aside(desk: Desk) -> None:
    lose(desk, "drop")
    first = desk.entry()
    candidates = manual_ledger.find_candidates(first, desk.api, desk.ledger, desk.clock())
    assert candidates == []
    aside = manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock())
    assert sorted(path.name for path in aside.iterdir()) == ["attempt.1.json", "entry.json"]
    assert msgspec.json.decode((aside / "entry.json").read_bytes(), type=Entry) == first
    assert desk.ledger.load(desk.shard.key) is None
    assert list(manual_ledger.iter_ledger_lines(root(desk))) == []
    assert desk.submit() == Submitted("msgbatch_0000", "created")
    assert [attempt.number for attempt in desk.entry().attempts] == [1]


def test_candidates_are_those_of_the_protocol(desk: Desk) -> None:
    lose(desk)
    desk.api.put(["x"] * 2)
    desk.api.put(["y"] * 3)
    found = manual_ledger.find_candidates(desk.entry(), desk.api, desk.ledger, desk.clock())
    assert [batch.id for batch in found] == ["msgbatch_0002", "msgbatch_0000"]


def test_nothing_is_discarded_while_a_post_may_be_under_way(desk: Desk) -> None:
    lose(desk, "crash")
    with pytest.raises(LedgerError, match="may be under way until"):
        manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock(), even_submitted=True)
    manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock() + POST_SECONDS)
    assert desk.ledger.load(desk.shard.key) is None


def test_what_has_a_batch_is_discarded_only_when_asked_for_by_name(desk: Desk) -> None:
    desk.submit()
    with pytest.raises(LedgerError, match=r"owns batch msgbatch_0000, which is paid for.*--even-submitted"):
        manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock())
    assert manual_ledger.check_discard(line(desk), desk.ledger, desk.clock(), even_submitted=True) == [
        "msgbatch_0000"
    ]
    manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock(), even_submitted=True)
    assert desk.ledger.owner("msgbatch_0000") == desk.shard.key
    assert desk.submit() == Submitted("msgbatch_0001", "created")


def test_a_batch_owned_but_not_recorded_counts_as_submitted(desk: Desk) -> None:
    lose(desk)
    desk.ledger.take_batch("msgbatch_0000", desk.shard.key)
    with pytest.raises(LedgerError, match="not recorded as submitted, and owns batch msgbatch_0000"):
        manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock())


def test_a_damaged_entry_can_be_set_aside_as_it_is(desk: Desk) -> None:
    lose(desk, "drop")
    damage(desk)
    with pytest.raises(LedgerError, match="--even-submitted"):
        manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock())
    aside = manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock(), even_submitted=True)
    assert (aside / "entry.json").exists()
    assert desk.submit() == Submitted("msgbatch_0000", "created")


@pytest.mark.parametrize("moves", [0, 1])
def test_a_discard_cut_short_forgets_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    import nightpress.batches.ledger as module

    lose(desk, "drop")
    real, done = module._move, []

    def move(source: UPath, target: UPath) -> None:
        if len(done) == moves:
            raise Crash
        done.append(source)
        real(source, target)

    monkeypatch.setattr(module, "_move", move)
    with pytest.raises(Crash):
        manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock())
    monkeypatch.undo()
    assert line(desk).state == "open"
    manual_ledger.discard_entry(line(desk), desk.ledger, desk.clock() + 1)
    assert desk.submit() == Submitted("msgbatch_0000", "created")


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
