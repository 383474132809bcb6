"""``prune`` while a run is under way: whatever a second round or another run's batch still needs stays."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from message_batches.remedies import with_remedy
from nightpress.batches.manual_ledger import discard_entry, find_ledger_line
from nightpress.errors import NightpressError, ResultsError
from nightpress.runs.prune import COLLECTED_BODY, UNSENT_RUN, WAITING, PruneRules, plan_prune, remove_unneeded
from nightpress.shards.shard import Shard
from tests.support.driven_days import Books, DrivenRun, texts, unique
from tests.support.priced_runs import PricedRuns

RULES = PruneRules(1, 30)
LATER = 200 * 86_400.0


def prune(runs: PricedRuns, pipeline: str) -> dict[str, set[str]]:
    """Remove all that may go, long after; return the names of the pipeline's files by reason."""
    gone: dict[str, set[str]] = {}
    for reason, file in remove_unneeded(runs.root, RULES, time.time() + LATER):
        if file.reference.split("/")[1] == pipeline:
            gone.setdefault(reason, set()).add(file.name)
    return gone


@pytest.mark.parametrize(
    "rule",
    [
        {"expired": 0.5},
        {"canceled": 0.3, "errored": 0.2, "error_type": "overloaded_error"},
        {"errored": 1.0, "error_type": "authentication_error"},
    ],
    ids=["expired", "canceled and overloaded", "account"],
)
def test_a_run_that_is_pruned_at_every_step_sends_its_second_round(
    runs: PricedRuns, rule: dict[str, object]
) -> None:
    """Its new shards are made of the bodies of the first round."""
    name = unique("every_step")
    books, articles, run = Books.open(runs), texts(name, 6), DrivenRun(runs, name, max_requests=3)
    shards = run.read(articles)
    runs.server.faults({"endpoint": "create", "kind": "rows", **rule})
    batches = [run.submit(shard) for shard in shards]
    runs.server.request("DELETE", "/local/faults")
    prune(runs, name)
    first = [run.write(shard, batch) for shard, batch in zip(shards, batches, strict=True)]
    assert COLLECTED_BODY not in prune(runs, name)
    if rule.get("error_type") == "authentication_error":
        with pytest.raises(NightpressError, match="account problem"):
            run.collect(first)
        prune(runs, name)
    again = run.collect(first)
    prune(runs, name)
    second_batches = [run.submit(shard) for shard in again.shards]
    prune(runs, name)
    second = [run.write(shard, batch) for shard, batch in zip(again.shards, second_batches, strict=True)]
    prune(runs, name)
    run.publish(first, again, second)
    # Now nothing sends them again.
    assert prune(runs, name)[COLLECTED_BODY] >= {"requests-00000.json.zst", "requests-00001.json.zst"}
    assert {row["status"] for row in run.rows()} == {"succeeded"}
    assert books.paid_twice() == []
    assert run.receipt().paid_usd == pytest.approx(books.billed_usd, abs=1e-12)


def test_bodies_of_a_run_without_failures_go_once_it_is_collected(runs: PricedRuns) -> None:
    name = unique("answered")
    run = DrivenRun(runs, name)
    run.send(run.read(texts(name, 3)))
    assert prune(runs, name) == {COLLECTED_BODY: {"requests-00000.json.zst"}}


def test_bodies_of_an_unpublished_run_go_once_another_has_published_the_day(runs: PricedRuns) -> None:
    name = unique("left")
    left = DrivenRun(runs, name, "left")
    runs.server.faults({"endpoint": "create", "kind": "rows", "expired": 1.0, "count": 1})
    left.send(left.read(texts(name, 3)))
    assert prune(runs, name) == {}
    time.sleep(0.02)
    DrivenRun(runs, name, "later").whole(texts(name, 3))
    going = plan_prune(runs.root, PruneRules(1), time.time() + LATER).going[COLLECTED_BODY]
    assert f"runs/{name}/2026-11-22/left/requests-00000.json.zst" in {file.reference for file in going}


def test_a_run_that_waits_for_the_batch_of_another_keeps_its_files(runs: PricedRuns) -> None:
    """Nothing in the ledger names its folder: the batch is recorded with the files of the run that submitted it."""
    name = unique("attached")
    books, articles = Books.open(runs), texts(name, 3)
    sender, attached = DrivenRun(runs, name, "sender"), DrivenRun(runs, name, "attached")
    (sent,) = sender.read(articles)
    (shard,) = attached.read(articles)
    batch_id = sender.submit(sent)
    assert attached.submit(shard) == batch_id
    assert prune(runs, name) == {}
    assert plan_prune(runs.root, RULES, time.time() + LATER).kept[WAITING] >= 2
    attached.publish([attached.write(shard, batch_id)])
    assert attached.receipt().paid_usd == pytest.approx(books.billed_usd, abs=1e-12)
    # The other run has nothing to wait for any more, and a plan of the same articles never had.
    assert UNSENT_RUN not in prune(runs, name)
    DrivenRun(runs, name, "plan").read(texts(f"{name} other", 3))
    assert UNSENT_RUN in prune(runs, name)


def test_what_a_person_set_aside_was_sent(runs: PricedRuns) -> None:
    name = unique("set_aside")
    run = DrivenRun(runs, name)
    (shard,) = run.read(texts(name, 3))
    batch_id = run.submit(shard)
    discard_entry(find_ledger_line(runs.root, shard.key), runs.ledger, time.time(), even_submitted=True)
    assert prune(runs, name) == {}
    # It can still be sent, which pays again, as the person was told.
    assert run.submit(shard) != batch_id


@pytest.mark.parametrize("gone", ["articles", "reused", "body"])
def test_a_step_whose_file_went_says_what_to_do(runs: PricedRuns, gone: str) -> None:
    name = unique("gone")
    books, articles, run = Books.open(runs), texts(name, 3), DrivenRun(runs, name)
    if gone == "reused":
        DrivenRun(runs, name, "earlier").whole(articles)
    else:
        runs.server.faults({"endpoint": "create", "kind": "rows", "expired": 1.0, "count": 1})
    shards = run.read(articles)
    folder = Path(run.run.folder.path)
    with pytest.raises(ResultsError, match=r"ead the articles of the run once more") as caught:
        if gone == "body":
            first = run.send(shards)
            (folder / "requests-00000.json.zst").unlink()
            run.collect(first)
        elif gone == "articles":
            batch_id = run.submit(shards[0])
            (folder / "articles-00000.parquet").unlink()
            run.write(shards[0], batch_id)
        else:
            (folder / "reused-00000.parquet").unlink()
            run.publish([])
    task = "group.second_round.write_results"
    assert "Clear the task group.read_articles with its downstream" in with_remedy(caught.value, task)
    run.whole(articles)
    assert len(run.rows()) == 3
    assert books.paid_twice() == []


def test_a_reference_of_an_absolute_path_is_recognized(runs: PricedRuns) -> None:
    """Entries of earlier releases name their body by its whole URL."""
    name = unique("absolute")
    run = DrivenRun(runs, name)
    (shard,) = run.read(texts(name, 3))
    whole: Shard = replace(shard, uri=str(runs.root.open(shard.uri)))
    run.send([whole])
    assert prune(runs, name) == {COLLECTED_BODY: {"requests-00000.json.zst"}}
