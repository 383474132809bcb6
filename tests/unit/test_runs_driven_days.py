"""Days that are run again, changed or corrected by hand in the middle: what the API's meter billed for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nightpress.errors import LedgerError
from tests.support.driven_days import Books, DrivenRun, texts, unique
from tests.support.offline_api_server import LocalApiServer
from tests.support.priced_runs import PricedRuns


@pytest.fixture(scope="module")
def server_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PricedRuns]:
    folder = tmp_path_factory.mktemp("driven_days")
    with LocalApiServer(folder / "api", seconds_per_batch=0.05) as server:
        yield PricedRuns(server, folder / "data")


@pytest.fixture
def runs(server_runs: PricedRuns) -> PricedRuns:
    server_runs.server.request("DELETE", "/local/faults")
    return server_runs


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
