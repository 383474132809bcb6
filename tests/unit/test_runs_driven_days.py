"""Days that are run again, changed or corrected by hand in the middle: what the API's meter billed for them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from nightpress.batches.ledger import Ledger
from nightpress.batches.manual_ledger import adopt_batch, check_discard, discard_entry, find_ledger_line
from nightpress.errors import LedgerError, SubmitLaterError, UnknownOutcomeError
from nightpress.outputs.output_schema import OutputSchema
from nightpress.runs.discarded_batches import keep_on_receipt
from nightpress.runs.run import Reuse
from nightpress.shards.prompts import PromptTemplate
from tests.support.driven_days import TEMPLATE, Books, DrivenRun, texts, unique
from tests.support.priced_runs import PricedRuns

ANSWER = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["topic", "score"],
}


def forget_faults(runs: PricedRuns) -> None:
    runs.server.request("DELETE", "/local/faults")


@pytest.mark.parametrize("collected", [False, True], ids=["not collected", "collected"])
@pytest.mark.parametrize(
    "rule",
    [
        {"expired": 0.2, "errored": 0.1, "error_type": "invalid_request_error"},
        {"canceled": 0.1, "errored": 0.2, "error_type": "not_found_error"},
        {"expired": 0.2, "errored": 0.2, "error_type": "overloaded_error"},
        {"errored": 0.2, "error_type": "invalid_request_error"},
    ],
    ids=["expired and refused", "canceled and refused", "expired and overloaded", "refused only"],
)
def test_another_run_finds_the_second_round_of_a_run_that_stopped(
    runs: PricedRuns, rule: dict[str, object], collected: bool
) -> None:
    """It also sends what the first run must not send again, and that changes nothing of what was paid for."""
    name = unique("stopped")
    books, articles, stopped = Books.open(runs), texts(name, 10), DrivenRun(runs, name)
    runs.server.faults({"endpoint": "create", "kind": "rows", **rule})
    first = stopped.send(stopped.read(articles))
    forget_faults(runs)
    again = stopped.collect(first)
    for shard in again.shards:
        batch_id = stopped.submit(shard)
        if collected:
            stopped.write(shard, batch_id)
    later = DrivenRun(runs, name, "run-2")
    later.whole(articles)
    assert books.paid_twice() == []
    assert later.receipt().paid_usd == pytest.approx(books.billed_usd, abs=1e-12)
    assert {row["status"] for row in later.rows()} == {"succeeded"}


def test_a_body_of_equal_size_that_replaced_a_shards_own_is_not_sent(runs: PricedRuns) -> None:
    """Else its answers are paid for and belong to no shard, since the ledger names the other one."""
    name = unique("replaced")
    books, articles, run = Books.open(runs), texts(name, 4), DrivenRun(runs, name)
    (old,) = run.read(articles)
    (new,) = run.read([text.replace("bridge", "tunnel") for text in articles])
    assert (old.bytes, old.key == new.key) == (new.bytes, False)
    with pytest.raises(LedgerError, match=r"requests of another shard.*Nothing was sent") as refused:
        run.submit(old)
    assert (refused.value.code, books.batches) == ("body_gone", {})
    assert run.write(new, run.submit(new))["by_status"] == {"succeeded": 4}
    assert len(books.batches) == 1


@pytest.mark.parametrize("same_run", [False, True], ids=["another run", "read_articles cleared"])
@pytest.mark.parametrize("step", ["planned", "submitted", "collected", "second round", "published"])
def test_articles_that_change_while_a_run_is_under_way_are_not_paid_for_twice_unasked(
    runs: PricedRuns, step: str, same_run: bool
) -> None:
    """Two articles come while five are under way: all seven are a new shard, which the ledger does not know."""
    name = unique("changed")
    articles, first = texts(name, 7), DrivenRun(runs, name, max_requests=100)
    shards = first.read(articles[:5])
    if step != "planned":
        runs.server.faults({"endpoint": "create", "kind": "rows", "expired": 0.2, "count": 1})
        batch_id = first.submit(shards[0])
    if step not in {"planned", "submitted"}:
        results = [first.write(shards[0], batch_id)]
    if step == "second round":
        first.send(first.collect(results).again)
    if step == "published":
        first.publish(results)
    later = DrivenRun(runs, name, "run-1" if same_run else "run-2", max_requests=100)
    later.read(articles)
    assert later.plan is not None
    again = {"submitted": 5, "collected": 4, "second round": 5}.get(step, 0)
    assert (later.plan.needs_approval, later.plan.to_send) == (again > 0, 3 if step == "published" else 7)
    later.read(articles[1:])  # the files of the first plan are replaced now, if it is the same run
    assert later.plan.needs_approval == (again > 0)
    later.read(articles)
    assert later.plan.needs_approval == (again > 0)
    assert later.plan.notes[0].startswith(f"{again} of these") if again else True
    fresh = DrivenRun(runs, name, "run-3", reuse=Reuse(fresh=True))
    fresh.read(articles)
    assert fresh.plan is not None and not fresh.plan.needs_approval


def test_the_same_articles_are_found_without_asking(runs: PricedRuns) -> None:
    name = unique("found")
    books, articles, first = Books.open(runs), texts(name, 7), DrivenRun(runs, name, max_requests=2)
    for shard in first.read(articles)[:2]:
        first.submit(shard)
    later = DrivenRun(runs, name, "run-2", max_requests=2)
    later.read(articles)
    assert later.plan is not None
    assert (later.plan.needs_approval, later.plan.attached, later.plan.to_send) == (False, 4, 3)
    later.whole(articles)
    assert (books.paid_twice(), len(books.batches)) == ([], 4)


OTHER_PROMPT = replace(TEMPLATE, prompt=PromptTemplate("Sum it up in a line.\n{content}"))


@pytest.mark.parametrize("kind", ["fewer articles", "another prompt", "other articles"])
def test_what_a_publication_leaves_out_is_not_paid_for_again(runs: PricedRuns, kind: str) -> None:
    """For instance a run with a limit, to try something on a day that was published whole."""
    name = unique("left_out")
    books, articles, more = Books.open(runs), texts(name, 8), texts(f"{name} more", 2)
    DrivenRun(runs, name).whole(articles)
    between = {"fewer articles": articles[:3], "another prompt": articles, "other articles": more}[kind]
    template = OTHER_PROMPT if kind == "another prompt" else TEMPLATE
    DrivenRun(runs, name, "run-2", template=template).whole(between)
    last = DrivenRun(runs, name, "run-3")
    last.whole([*articles, *more])
    assert books.paid_twice() == []
    assert last.plan is not None
    assert (last.plan.to_send, last.plan.reused) == ((0, 10) if between == more else (2, 8))
    assert last.receipt().paid_usd == pytest.approx(books.billed_usd, abs=1e-12)
    assert [row["article_id"] for row in last.rows()] == [f"id-{number}" for number in range(10)]
    assert {row["status"] for row in last.rows()} == {"succeeded"}


def test_fresh_answers_are_preferred_to_those_that_they_replaced(runs: PricedRuns) -> None:
    name = unique("fresh")
    articles = texts(name, 4)
    DrivenRun(runs, name).whole(articles)
    fresh = DrivenRun(runs, name, "run-2", reuse=Reuse(fresh=True))
    fresh.whole(articles)
    newest = {row["batch_id"] for row in fresh.rows()}
    later = DrivenRun(runs, name, "run-3")
    later.whole(articles)
    assert {row["batch_id"] for row in later.rows()} == newest


def test_a_batch_without_answers_is_not_adopted_for_the_shard_that_left_it(runs: PricedRuns) -> None:
    """Every later run would find it, and the articles would never be answered."""
    name = unique("dead")
    articles, first = texts(name, 5), DrivenRun(runs, name)
    runs.server.faults({"endpoint": "create", "kind": "rows", "expired": 1.0, "count": 2})
    (dead,) = first.send(first.collect(first.send(first.read(articles))).again)
    later = DrivenRun(runs, name, "run-2")
    (shard,) = later.collect(later.send(later.read(articles))).again
    runs.server.faults({"endpoint": "create", "kind": "status", "status": 529, "count": 1})
    with pytest.raises(SubmitLaterError):
        later.submit(shard)
    line = find_ledger_line(runs.root, shard.key)
    with pytest.raises(LedgerError, match=r"ended without any answer.*Nothing was recorded"):
        adopt_batch(line, dead["batch_id"], runs.api, runs.ledger)
    assert later.send([shard])[0]["by_status"] == {"succeeded": 5}


def test_a_run_that_is_cleared_does_not_forget_what_its_second_round_replaced(runs: PricedRuns) -> None:
    name = unique("wasted")
    run = DrivenRun(runs, name, template=replace(TEMPLATE, output=OutputSchema.of(ANSWER)))
    runs.server.faults({"endpoint": "create", "kind": "misfits", "share": 0.2, "count": 1})
    run.whole(texts(name, 10))
    wasted = run.receipt().wasted_usd
    for _ in range(2):
        run.whole(texts(name, 10))
        assert (run.receipt().wasted_usd, run.receipt().paid_usd) == (wasted, run.receipt().paid_usd)
    assert wasted


def test_choosing_what_is_sent_again_reads_each_entry_of_the_ledger_once(
    runs: PricedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = unique("entries")
    run = DrivenRun(runs, name, max_requests=4)
    runs.server.faults({"endpoint": "create", "kind": "rows", "expired": 0.5})
    results = run.send(run.read(texts(name, 12)))
    loaded: Counter[str] = Counter()
    load = Ledger.load
    monkeypatch.setattr(Ledger, "load", lambda own, key: [loaded.update([key]), load(own, key)][1])
    again = run.collect(results).again
    assert loaded == dict.fromkeys([*(shard.key for shard in [*run.shards, *again])], 1)


@pytest.mark.parametrize("state", ["submitted", "collected", "published"])
def test_what_a_person_discards_stays_on_the_receipt(runs: PricedRuns, state: str) -> None:
    """It was paid for, and the shard is paid for once more: the receipt has both, or says that it does not know."""
    name = unique("discarded")
    books, articles, run = Books.open(runs), texts(name, 4), DrivenRun(runs, name)
    (shard,) = run.read(articles)
    batch_id = run.submit(shard)
    if state != "submitted":
        results = [run.write(shard, batch_id)]
    if state == "published":
        run.publish(results)
    line, now = find_ledger_line(runs.root, shard.key), time.time()
    owned = check_discard(line, runs.ledger, now, even_submitted=True)
    added = keep_on_receipt(line, owned, runs.root, now)
    discard_entry(line, runs.ledger, now, even_submitted=True)
    assert added == ([] if state == "published" else [batch_id])
    run.publish(run.send([shard]))
    receipt, billed = run.receipt(), books.batches
    assert {batch.batch_id for batch in receipt.batches} == set(billed)
    assert len(billed) == 2
    assert receipt.run == "run-1"
    if state != "submitted":
        assert receipt.paid_usd == pytest.approx(books.billed_usd, abs=1e-12)
    else:
        assert (receipt.paid_usd, receipt.unknown_requests) == (None, 4)
        assert receipt.known_paid_usd == pytest.approx(books.billed_usd - billed[batch_id], abs=1e-12)


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "owned but not recorded"])
def test_a_lost_reply_does_not_bring_back_the_batch_that_a_person_gave_up(
    runs: PricedRuns, recorded: bool
) -> None:
    """Else the batch that was paid for instead is never collected, and the one that was given up is found for ever."""
    name = unique("given_up")
    books, articles, run = Books.open(runs), texts(name, 4), DrivenRun(runs, name)
    (shard,) = run.read(articles)
    given_up = run.submit(shard)
    run.write(shard, given_up)
    if not recorded:
        entry = runs.ledger.load(shard.key)
        assert entry is not None
        runs.ledger.save(msgspec.structs.replace(entry, batch_id=None, collected_at=None, answered=None))
    line = find_ledger_line(runs.root, shard.key)
    discard_entry(line, runs.ledger, time.time(), even_submitted=True)
    runs.server.faults({"endpoint": "create", "kind": "accept_then_drop", "count": 1})
    with pytest.raises(UnknownOutcomeError):
        run.submit(shard)
    found = run.submit(shard)
    assert found != given_up
    assert set(books.batches) == {given_up, found}
    assert run.write(shard, found)["by_status"] == {"succeeded": 4}
