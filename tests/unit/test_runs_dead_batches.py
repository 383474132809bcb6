"""A batch that answered nothing is sent again within the plan's bound, which covers each request once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import msgspec
import pytest

from nightpress.batches.ledger import Entry
from nightpress.costs.plan import Limits
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.runs.failed_articles import Resend, collect_failures
from nightpress.runs.preparation import Prepared, prepare_run
from nightpress.runs.run import Reuse, Run
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.request_keys import custom_id
from nightpress.shards.requests import RequestTemplate
from tests.support.ended_batches import EndedBatchApi
from tests.support.offline_api_server import LocalApiServer
from tests.support.priced_runs import DAY, PricedRuns, TextSource
from tests.support.result_lines import errored, succeeded

TEMPLATE = RequestTemplate("claude-haiku-4-5", 1, PromptTemplate("Sum it up.\n<article>{content}</article>"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PricedRuns]:
    folder = tmp_path_factory.mktemp("dead_batches")
    with LocalApiServer(folder / "api", seconds_per_batch=0.05) as server:
        yield PricedRuns(server, folder / "data")


def send_and_look(runs: PricedRuns, mark: str, articles: int, budget: float | None, **rule: object) -> Resend:
    """Send articles whose batch goes wrong, and choose what is sent again."""
    texts = [
        f"{mark} {n}: the council met on Monday and approved a new bridge. " * 9 for n in range(articles)
    ]
    prepared = runs.prepare(texts, TEMPLATE, mark)
    upper = prepared.plan.cost_upper_usd or 0.0
    plan = replace(prepared.plan, max_cost_usd=None if budget is None else budget * upper)
    runs.server.faults({"endpoint": "create", "kind": "rows"} | rule)
    results = [asdict(runs._send(shard, mark)) for shard in prepared.shards]
    runs.server.request("DELETE", "/local/faults")
    return collect_failures(prepared.shards, results, plan, runs.ledger, runs.root, ShardLimits())


@pytest.mark.parametrize("articles", [5, 120], ids=["all counted", "a sample counted"])
@pytest.mark.parametrize("rule", [{"errored": 1.0, "error_type": "overloaded_error"}, {"expired": 1.0}])
@pytest.mark.parametrize("budget", [None, 1.0])
def test_a_batch_without_answers_is_sent_again_as_a_whole(
    runs: PricedRuns, articles: int, rule: dict[str, object], budget: float | None
) -> None:
    mark = f"dead-{articles}-{len(rule)}-{budget is None}"
    resend = send_and_look(runs, mark, articles, budget, **rule)
    assert (sum(shard.articles for shard in resend.again), resend.over_budget) == (articles, 0)


def test_a_budget_that_was_lowered_since_holds(runs: PricedRuns) -> None:
    resend = send_and_look(runs, "lowered", 5, 0.5, expired=1.0)
    assert (list(resend.again), resend.over_budget) == ([], 5)


def collected(runs: PricedRuns, mark: str, max_tokens: int, outcome: Callable[[int, str], bytes]) -> Resend:
    """Collect a batch of 20 articles with given results, and choose what is sent again."""
    texts = [f"{mark} {n}: the council met on Monday and approved a new bridge. " * 9 for n in range(20)]
    prepared = runs.prepare(texts, replace(TEMPLATE, max_tokens=max_tokens), mark)
    (shard,) = prepared.shards
    runs.ledger.intend(
        Entry(key=shard.key, requests=20, bytes=shard.bytes, pipeline=mark, day=DAY, uri=shard.uri)
    )
    lines = b"".join(outcome(n, custom_id(shard.key, n)) for n in range(20))
    api = EndedBatchApi(lines, total=20)
    results = collect_batch(shard, runs.root, Provenance(mark, DAY, "msgbatch_1"), api, runs.ledger)
    return collect_failures([shard], [asdict(results)], prepared.plan, runs.ledger, runs.root, ShardLimits())


@pytest.mark.parametrize(
    ("used", "again"),
    [(20, 18), (200, 0)],
    ids=["what answers left unused is enough for a longer one", "nothing was left unused"],
)
def test_what_is_asked_differently_has_to_fit_what_the_answers_left_unused(
    runs: PricedRuns, used: int, again: int
) -> None:
    usage = {"input_tokens": 150, "output_tokens": used}

    def outcome(number: int, name: str) -> bytes:
        if number > 2:
            return errored(name, "overloaded_error")
        return succeeded(name, "Yes.", usage=usage, stop_reason="end_turn" if number else "max_tokens")

    resend = collected(runs, f"mixed-{used}", 200, outcome)
    assert sum(shard.articles for shard in resend.again) == again


def prepare(runs: PricedRuns, texts: list[str], pipeline: str, day: str) -> Prepared:
    return prepare_run(
        Run(pipeline, day, f"run-{pipeline}-{day}", runs.root, runs.ledger),
        TextSource(texts),  # type: ignore[arg-type]
        TEMPLATE,
        shard_limits=ShardLimits(),
        max_rejected_share=0.0,
        reuse=Reuse(),
        limits=Limits(),
    )


@pytest.mark.parametrize("articles", [5, 120])
@pytest.mark.parametrize(("pipeline", "day"), [("p", "2026-11-23"), ("other", DAY)])
@pytest.mark.parametrize("collected_before", [True, False], ids=["collected", "not collected"])
def test_a_dead_batch_of_another_day_is_sent_again_if_the_plan_counted_it(
    runs: PricedRuns, articles: int, pipeline: str, day: str, collected_before: bool
) -> None:
    """Else a backfill with the same articles found it for ever."""
    mark = f"elsewhere-{articles}-{pipeline}-{collected_before}"
    texts = [f"{mark} {n}: the council met on Monday and approved a bridge. " * 9 for n in range(articles)]
    (shard,) = prepare(runs, texts, "p", DAY).shards
    runs.server.faults({"endpoint": "create", "kind": "rows", "expired": 1.0})
    sent = runs._send(shard, "p")
    runs.server.request("DELETE", "/local/faults")
    entry = runs.ledger.load(shard.key)
    assert entry is not None
    if not collected_before:
        runs.ledger.save(msgspec.structs.replace(entry, collected_at=None, answered=None, by_status={}))
    plan = prepare(runs, texts, pipeline, day).plan
    runs.ledger.save(entry)
    resend = collect_failures([shard], [asdict(sent)], plan, runs.ledger, runs.root, ShardLimits())
    assert plan.uncounted == ([] if collected_before else [shard.name])
    assert sum(shard.articles for shard in resend.again) == (articles if collected_before else 0)
