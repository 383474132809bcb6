"""Two runs of a day with other articles: the later POST looks again at what was sent since its run was planned."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nightpress.errors import BudgetError, SubmitLaterError
from nightpress.folders import RunFolder
from nightpress.runs import sent_meanwhile
from nightpress.runs.run import Reuse
from tests.support.driven_days import Books, DrivenRun, texts, unique
from tests.support.priced_runs import PricedRuns

MOST = 3


class Days:
    """A run that was planned and has sent nothing, and another one with an article more at the beginning."""

    def __init__(self, runs: PricedRuns, *, fresh: bool = False) -> None:
        name = unique("meanwhile")
        self.runs, self.articles, self.books = runs, texts(name, 6), Books.open(runs)
        self.more = [f"{name}: one more.", *self.articles]
        self.first = DrivenRun(runs, name, reuse=Reuse(fresh=fresh), max_requests=MOST)
        self.other = DrivenRun(runs, name, "run-2", max_requests=MOST)
        self.first.read(self.articles)


def publishes(days: Days) -> None:
    days.other.whole(days.more)


def collects(days: Days) -> None:
    days.other.send(days.other.read(days.more))


def sends(days: Days) -> None:
    for shard in days.other.read(days.more):
        days.other.submit(shard)


def sends_and_reads_again(days: Days) -> None:
    """The keys of what it sent are kept before its articles are replaced."""
    sends(days)
    days.other.read(days.more[:1])


@pytest.mark.parametrize("does", [publishes, collects, sends, sends_and_reads_again])
def test_what_another_run_sent_since_the_plan_is_not_sent_again(
    runs: PricedRuns, does: Callable[[Days], None]
) -> None:
    """As when the failed tasks of a run are cleared after a later run has done the day."""
    days = Days(runs)
    does(days)
    billed = days.books.batches
    for shard in days.first.shards:
        with pytest.raises(
            BudgetError, match=r"were sent by another run of .*run-2.*Nothing was sent"
        ) as refused:
            days.first.submit(shard)
        assert refused.value.code == "sent_meanwhile"
        entry = runs.ledger.load(shard.key)
        assert entry is not None and not entry.may_have_batch
    assert days.books.batches.keys() == billed.keys()
    assert days.books.paid_twice() == []


def test_the_refused_run_reads_its_articles_again_and_pays_nothing(runs: PricedRuns) -> None:
    days = Days(runs)
    publishes(days)
    with pytest.raises(BudgetError):
        days.first.submit(days.first.shards[0])
    billed = days.books.batches
    assert days.first.whole(days.articles).summary.succeeded == len(days.articles)
    assert days.books.batches.keys() == billed.keys()


def nothing(days: Days) -> None:
    days.other.read(days.more)


def the_same(days: Days) -> None:
    days.other.send(days.other.read(days.articles))


def is_refused(days: Days) -> None:
    days.runs.server.faults({"endpoint": "create", "kind": "status", "status": 529, "count": 1})
    with pytest.raises(SubmitLaterError):
        days.other.submit(days.other.read(days.more)[0])


def gets_no_answer(days: Days) -> None:
    days.runs.server.faults({"endpoint": "create", "kind": "rows", "errored": 1.0, "count": 3})
    collects(days)


def sends_before_the_plan(days: Days) -> None:
    sends(days)
    days.first.read(days.articles)


def is_of_an_earlier_release(days: Days) -> None:
    sends(days)
    RunFolder(days.first.run.folder).sent_before.unlink()


@pytest.mark.parametrize(
    "does", [nothing, the_same, is_refused, gets_no_answer, sends_before_the_plan, is_of_an_earlier_release]
)
def test_what_the_plan_knew_or_nobody_pays_for_does_not_stop_it(
    runs: PricedRuns, does: Callable[[Days], None]
) -> None:
    days = Days(runs)
    does(days)
    assert len(days.first.send(days.first.shards)) == len(days.first.shards)


@pytest.mark.parametrize("stored", [b"", b'{"posts": ["run', b'{"posts": [], "schema_version": 2}'])
def test_what_a_plan_knew_counts_as_unknown_if_it_cannot_be_read(runs: PricedRuns, stored: bytes) -> None:
    """Rather a run that a person has to look at than articles that are paid for twice."""
    days = Days(runs)
    sends_before_the_plan(days)
    RunFolder(days.first.run.folder).sent_before.write_bytes(stored)
    with pytest.raises(BudgetError, match="were sent by another run"):
        days.first.submit(days.first.shards[0])


def test_a_fresh_run_sends_all_again(runs: PricedRuns) -> None:
    days = Days(runs, fresh=True)
    sends(days)
    assert len(days.first.send(days.first.shards)) == len(days.first.shards)


@pytest.mark.parametrize("stopped_at", ["before both tell", "before both look"])
def test_of_two_runs_that_send_at_the_same_moment_at_most_one_does(
    runs: PricedRuns, stopped_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = Days(runs)
    days.other.read(days.more)
    both, ends = threading.Barrier(2, timeout=60), []
    where = "write_atomically" if stopped_at == "before both tell" else "_iter_posts"
    real = getattr(sent_meanwhile, where)

    def together(*given: object) -> object:
        both.wait()
        return real(*given)

    monkeypatch.setattr(sent_meanwhile, where, together)

    def submit(run: DrivenRun) -> None:
        try:
            ends.append(run.submit(run.shards[0]))
        except BudgetError as error:
            ends.append(error.code)

    threads = [threading.Thread(target=submit, args=(run,)) for run in (days.first, days.other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 2
    assert ends.count("sent_meanwhile") >= 1
    assert len(days.books.batches) <= 1
