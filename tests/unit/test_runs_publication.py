"""A run publishes its day: the order of its results, what is missing, and what the receipt then says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from nightpress.batches.ledger import Attempt, Entry, Ledger
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.runs.publication import order_results
from nightpress.runs.run import Reuse, Run
from tests.support.ended_batches import DAY
from tests.support.result_lines import errored, succeeded
from tests.support.whole_runs import WholeRuns, answered

FOLDER = "runs/p/2026-11-22/one"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("p", "2026-11-22", "one", DataRoot(UPath(tmp_path)), Ledger(UPath(tmp_path) / "ledger", "api"))


def shard(name: str) -> dict[str, Any]:
    return {
        "uri": f"{FOLDER}/requests-{name}.json",
        "articles": 1,
        "bytes": 9,
        "key": name.replace("r2-", "f") * 8,
    }


def result(run: Run, name: str, whole: bool = True) -> dict[str, Any]:
    uri = f"{FOLDER}/results-{name}.parquet"
    return {"uri": str(run.root.open(uri)) if whole else uri}


def names(found: Any) -> list[str]:
    return [
        result["uri"].rsplit("/", 1)[-1].removeprefix("results-").removesuffix(".parquet") for result in found
    ]


@pytest.mark.parametrize("whole", [True, False])
def test_results_are_in_the_order_of_the_shards_whatever_order_they_came_in(run: Run, whole: bool) -> None:
    shards = [shard("00000"), shard("00001"), shard("00002")]
    # The second was not submitted in the first round.
    second = [shard("00001"), shard("r2-00000-00000")]
    ordered = order_results(
        run,
        shards,
        [result(run, "00002", whole), result(run, "00000", whole)],
        second,
        [result(run, "r2-00000-00000", whole), result(run, "00001", whole)],
    )
    assert names(ordered.first) == ["00000", "00001", "00002"]
    assert names(ordered.second) == ["r2-00000-00000"]


def test_a_shard_without_results_is_named_with_the_reason_that_the_ledger_knows(run: Run) -> None:
    assert run.ledger is not None
    shards = [shard("00000"), shard("00001")]
    refused = Attempt(number=1, at=0, deadline=0, outcome="refused", detail="HTTP 402: pay")
    run.ledger.save(Entry(key=shards[1]["key"], requests=1, bytes=9, attempts=(refused,)))
    with pytest.raises(
        ResultsError, match=r"1 of 2 shards.*results-00001.*not published: HTTP 402: pay"
    ) as caught:
        order_results(run, shards, [result(run, "00000")])
    assert caught.value.code == "shards_without_results"


def cut_off_first(number: int, custom_id: str, round_number: int) -> bytes:
    """Cut off the first of many answers; the second round answers it, and the first answer was paid for nothing."""
    cut = number == 0 and round_number == 1
    return succeeded(custom_id, "cut", stop_reason="max_tokens") if cut else succeeded(custom_id, "whole")


def test_a_publication_that_fails_changes_nothing_of_what_the_receipt_said(tmp_path: Path) -> None:
    """Such as when the last task of a run is cleared after a later run has published the day."""
    runs = WholeRuns(tmp_path)
    articles = [{"content": f"text {n}"} for n in range(10)]
    runs.publish("one", articles, cut_off_first)
    wasted = runs.receipt().wasted_usd
    assert wasted
    runs.publish("two", articles, answered, reuse=Reuse(fresh=True))
    paid = runs.receipt().paid_usd
    before = runs.rows()
    runs.root.open("runs/p/2026-11-22/one/results-00000.parquet").unlink()
    with pytest.raises(ResultsError, match="are gone"):
        runs.publish_again("one")
    assert runs.rows().equals(before)
    receipt = runs.receipt()
    assert (receipt.run, receipt.paid_usd, receipt.wasted_usd) == ("two", paid, wasted)
    assert receipt.wasted_by_run == {"one": wasted, "two": 0.0}


def test_what_a_run_paid_is_on_the_receipt_although_it_never_published(tmp_path: Path) -> None:
    runs = WholeRuns(tmp_path)
    runs.publish("one", [{}, {}])
    paid = runs.receipt().paid_usd or 0.0
    with pytest.raises(ResultsError, match="is not replaced"):
        runs.publish(
            "two",
            [{}, {}],
            lambda n, name, _: errored(name) if n else succeeded(name, "", stop_reason="refusal"),
            reuse=Reuse(fresh=True),
        )
    receipt = runs.receipt()
    assert (receipt.run, len(receipt.batches)) == ("one", 2)
    assert (receipt.paid_usd or 0.0) > paid
    assert receipt.numbers["succeeded"] == 2


def test_a_day_run_again_saves_what_it_saves_on_what_it_pays(tmp_path: Path) -> None:
    """Reused answers were paid before; what was saved on them then is no saving of now."""
    runs = WholeRuns(tmp_path)
    articles = [{"content": f"text {n}"} for n in range(10)]
    first = runs.publish("one", articles[:8]).summary
    assert first.saved_usd == pytest.approx(first.cost_usd)
    again = runs.publish("two", articles).summary
    assert (again.reused, again.articles) == (8, 10)
    for name in ("cost_usd", "list_cost_usd", "saved_usd", "input_tokens", "output_tokens"):
        assert getattr(again, name) == pytest.approx(getattr(first, name) / 4), name
    nothing = runs.publish("three", articles).summary
    assert (nothing.cost_usd, nothing.list_cost_usd, nothing.saved_usd, nothing.input_tokens) == (0, 0, 0, 0)
    receipt = runs.receipt()
    assert (first.saved_usd or 0) + (again.saved_usd or 0) == pytest.approx(receipt.saved_usd)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda file: file[:-100],
    "another file": lambda _: b"PAR1 no",
    "damaged pages": lambda file: file[:200] + b"\xff" * 400 + file[600:],
}


@pytest.mark.parametrize("place", ["the day", "an earlier publication of it", "an earlier day"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_answers_in_a_damaged_file_are_not_paid_for_again(
    tmp_path: Path, place: str, damage: Callable[[bytes], bytes]
) -> None:
    runs = WholeRuns(tmp_path)
    articles = [{"content": f"text {n}"} for n in range(3)]
    runs.publish("one", articles)
    runs.publish("two", articles)
    day = "2026-11-23" if place == "an earlier day" else DAY
    (kept,) = (tmp_path / "publications").rglob("*.parquet")
    path = kept if place == "an earlier publication of it" else Path(runs.root.answers("p", DAY).path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    reuse = Reuse(days=int(day != DAY))
    with pytest.raises(
        ResultsError, match=r"cannot be read .*nothing was sent.*nightpress restore"
    ) as caught:
        runs.publish("three", articles, day=day, reuse=reuse)
    assert (caught.value.code, str(path) in str(caught.value)) == ("damaged_day", True)
    if path == kept:
        kept.unlink()
    else:
        # What the message says to do: the run that made it is published once more.
        assert runs.publish_again("two").summary.succeeded == 3
        for copy in (tmp_path / "publications").rglob("*.parquet"):
            if copy.read_bytes() == damage(whole):
                assert damage is DAMAGE["damaged pages"], "no reader can open it, so it is not kept"
                copy.unlink()
    assert runs.publish("four", articles, day=day, reuse=reuse).summary.reused == 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("results-00000.parquet", "collect that shard once more"),
        ("reused-00000.parquet", "read the articles of the run once more"),
        ("output.json", "Read the articles of the run once more"),
    ],
)
def test_a_damaged_file_of_a_run_is_named_with_what_to_do(tmp_path: Path, name: str, says: str) -> None:
    runs = WholeRuns(tmp_path)
    runs.publish("zero", [{}])
    runs.publish("one", [{}, {"content": "another"}])
    before = runs.rows()
    file = Path(runs.root.open(f"runs/p/2026-11-22/one/{name}").path)
    file.write_bytes(file.read_bytes()[:40] if file.exists() else b'{"schema": ')
    with pytest.raises(ResultsError, match=rf"{name}.* cannot be read .*{says}"):
        runs.publish_again("one")
    assert runs.rows().equals(before)
