"""A published day is not lost: it is kept when it is replaced, brought back, and not replaced by nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from message_batches.command.main import main
from nightpress.days.publications import (
    CURRENT,
    check_replacement,
    keep_publication,
    list_publication_files,
    list_publications,
    restore_publication,
)
from nightpress.days.publish import DayParts, Replacing, publish_day
from nightpress.errors import ConfigurationError, ResultsError
from nightpress.layout import DataRoot
from nightpress.results.answers_schema import published_schema
from tests.support.ended_batches import DAY, EndedBatchApi, EndedShard
from tests.support.result_lines import errored, succeeded

PIPELINE = "summaries"


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(UPath(tmp_path))


def run(root: DataRoot, name: str, answered: int, failed: int = 0, rules: Replacing | None = None) -> Any:
    """Publish the day by a run of its own with so many answers and failures."""
    shard = EndedShard(Path(root.path.path) / "runs" / name, answered + failed) if answered + failed else None
    parts = DayParts([], root.path / "runs" / name / "rejected.parquet", made_by={"run": name})
    if shard is None:
        EndedShard(Path(root.path.path) / "runs" / name, 1)
    else:
        shard.root = root
        lines = shard.lines(
            lambda n, custom_id: succeeded(custom_id, name) if n < answered else errored(custom_id)
        )
        shard.collect(EndedBatchApi(lines, total=answered + failed))
        parts = DayParts([shard.files.results], parts.rejected, made_by=parts.made_by)
    return publish_day(root, PIPELINE, DAY, parts, rules)


def texts(root: DataRoot) -> list[str | None]:
    found: list[str | None] = pq.read_table(root.answers(PIPELINE, DAY).path)["text"].to_pylist()
    return found


@pytest.mark.parametrize(("answered", "failed"), [(0, 0), (0, 3)])
def test_a_day_with_answers_is_not_replaced_by_one_without(
    root: DataRoot, answered: int, failed: int
) -> None:
    run(root, "first", 2)
    before = root.answers(PIPELINE, DAY).read_bytes()
    with pytest.raises(ResultsError, match=r"holds 2 answers and is not replaced") as caught:
        run(root, "second", answered, failed)
    assert caught.value.code == "would_lose_answers"
    assert root.answers(PIPELINE, DAY).read_bytes() == before
    assert [path.name for path in Path(root.answers(PIPELINE, DAY).parent.path).iterdir()] == [
        "answers.parquet"
    ]
    assert len(list_publications(root, PIPELINE, DAY)) == 1
    run(root, "third", answered, failed, Replacing(lose_answers=True))
    assert texts(root) == [None] * failed
    assert [kept.answered for kept in list_publications(root, PIPELINE, DAY)] == [0, 2]


@pytest.mark.parametrize(
    ("share", "answered", "failed", "replaced"),
    [(0.0, 1, 99, True), (0.5, 1, 1, True), (0.5, 1, 2, False), (1.0, 2, 1, False), (1.0, 3, 0, True)],
)
def test_how_much_must_be_answered_can_be_set(
    root: DataRoot, share: float, answered: int, failed: int, replaced: bool
) -> None:
    run(root, "first", 2)
    rules = Replacing(min_answered_share=share)
    if replaced:
        assert run(root, "second", answered, failed, rules).succeeded == answered
    else:
        with pytest.raises(ResultsError, match="are needed"):
            run(root, "second", answered, failed, rules)


def test_a_day_without_answers_may_be_replaced_by_anything(root: DataRoot) -> None:
    run(root, "first", 0, 2)
    run(root, "second", 0, 0)
    run(root, "third", 0, 1)
    assert texts(root) == [None]


def test_a_damaged_day_may_be_replaced(root: DataRoot) -> None:
    run(root, "first", 1)
    root.answers(PIPELINE, DAY).write_bytes(b"PAR1 not at all")
    check_replacement(root.answers(PIPELINE, DAY), 1, 0, 0.0)


@pytest.mark.parametrize("rules", [{"min_answered_share": 1.1}, {"min_answered_share": -0.1}, {"keep": -1}])
def test_numbers_out_of_range_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Replacing(**rules)


def test_publications_are_kept_listed_and_brought_back(root: DataRoot) -> None:
    for number, name in enumerate(("one", "two", "three", "four", "five"), start=1):
        run(root, name, number)
    found = list_publications(root, PIPELINE, DAY)
    assert [(kept.run, kept.answered, kept.current) for kept in found] == [
        ("five", 5, True),
        ("four", 4, False),
        ("three", 3, False),
        ("two", 2, False),
    ]
    assert all(kept.cost_usd is not None and kept.cost_usd > 0 for kept in found)
    restored = restore_publication(root, PIPELINE, DAY, found[2].name)
    assert (restored.run, restored.current) == ("three", True)
    assert texts(root) == ["three"] * 3
    found = list_publications(root, PIPELINE, DAY)
    assert [kept.run for kept in found] == ["three", "five", "four", "two"]
    # And back again.
    restore_publication(root, PIPELINE, DAY, found[1].name)
    assert [kept.run for kept in list_publications(root, PIPELINE, DAY)] == ["five", "three", "four", "two"]


def test_the_oldest_can_be_brought_back_when_no_more_can_be_kept(root: DataRoot) -> None:
    rules = Replacing(keep=1)
    for number, name in enumerate(("one", "two", "three"), start=1):
        run(root, name, number, rules=rules)
    current, oldest = list_publications(root, PIPELINE, DAY)
    assert (current.run, oldest.run) == ("three", "two")
    restore_publication(root, PIPELINE, DAY, oldest.name)
    assert [kept.run for kept in list_publications(root, PIPELINE, DAY)] == ["two", "three"]


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 5, 7])
def test_restoring_loses_no_publication_however_many_a_pipeline_keeps(root: DataRoot, keep: int) -> None:
    """The command does not know the pipeline's ``keep_publications``."""
    for number in range(1, keep + 3):
        run(root, f"run_{number}", number, rules=Replacing(keep=keep))
    before = list_publications(root, PIPELINE, DAY)
    assert len(before) == keep + 1
    for publication in before[:0:-1]:
        restored = restore_publication(root, PIPELINE, DAY, publication.name)
        assert texts(root) == [restored.run] * restored.answered
        after = list_publications(root, PIPELINE, DAY)
        assert {each.run for each in after} == {each.run for each in before}


@pytest.mark.parametrize("damage", [b"", b"PAR1 not at all", b"PAR1" + b"x" * 5_000 + b"PAR1"])
@pytest.mark.parametrize("place", ["the current one", "an earlier one"])
def test_a_damaged_publication_hides_only_itself(
    root: DataRoot, place: str, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the current file is damaged, the list is where a person finds what to restore."""
    for name in ("one", "two", "three"):
        run(root, name, 2)
    _, two, one = list_publications(root, PIPELINE, DAY)
    current = place == "the current one"
    path = root.answers(PIPELINE, DAY) if current else root.publication(PIPELINE, DAY, two.name)
    path.write_bytes(damage)
    found = list_publications(root, PIPELINE, DAY)
    assert [each.name for each in found] == ["current", two.name, one.name]
    assert [each.damaged for each in found] == [current, not current, False]
    words = ["--day", DAY, "--pipeline", PIPELINE, "--root", str(root.path)]
    assert main(["history", *words]) == 0
    assert capsys.readouterr().out.count("damaged") == 1
    assert main(["restore", *words, "--name", one.name]) == 0
    assert texts(root) == ["one"] * 2
    assert list_publications(root, PIPELINE, DAY)[0].run == "one"
    if not current:
        assert main(["restore", *words, "--name", two.name]) == 1
        assert texts(root) == ["one"] * 2


@pytest.mark.parametrize(
    "name", ["", "current", "nope.parquet", "../../../summaries/day=2026-11-22/answers.parquet"]
)
def test_what_is_not_there_cannot_be_brought_back(root: DataRoot, name: str) -> None:
    run(root, "one", 1)
    run(root, "two", 2)
    with pytest.raises(ResultsError, match="no earlier publication"):
        restore_publication(root, PIPELINE, DAY, name)
    assert texts(root) == ["two"] * 2


def test_the_same_bytes_are_kept_once(root: DataRoot) -> None:
    run(root, "one", 1)
    start = datetime(2026, 11, 22, tzinfo=UTC)
    for hour in range(4):
        keep_publication(root, PIPELINE, DAY, now=lambda: start + timedelta(hours=hour))  # noqa: B023
    (_, kept) = list_publication_files(root, PIPELINE, DAY)
    assert kept.name.startswith("20261122T030000")
    # It is what is shown already.
    assert [found.name for found in list_publications(root, PIPELINE, DAY)] == [CURRENT]
    restore_publication(root, PIPELINE, DAY, kept.name)
    assert texts(root) == ["one"]


def test_none_are_kept_when_none_are_wanted(root: DataRoot) -> None:
    run(root, "one", 1)
    run(root, "two", 1, rules=Replacing(keep=0))
    assert [kept.run for kept in list_publications(root, PIPELINE, DAY)] == ["two"]


def test_readers_of_published_days_do_not_see_what_is_kept(root: DataRoot) -> None:
    for name in ("one", "two"):
        run(root, name, 2)
    folder = str(root.published(PIPELINE))
    assert len(pd.read_parquet(folder)) == 2
    everything = f"{root.path}/*/day=*/answers.parquet"
    assert duckdb.sql(f"SELECT count(*) FROM '{everything}'").fetchall() == [(2,)]
    assert list(root.iter_pipelines()).count("publications") == 0


def test_a_day_that_was_never_published_has_no_publications(root: DataRoot) -> None:
    assert list_publications(root, PIPELINE, DAY) == []
    assert keep_publication(root, PIPELINE, DAY) is None


def test_an_unknown_cost_is_unknown(root: DataRoot) -> None:
    schema = published_schema()
    row = {"article_id": "a", "custom_id": "c", "request_key": "k", "status": "succeeded", "batch_id": "b"}
    path = Path(root.answers(PIPELINE, DAY).path)
    path.parent.mkdir(parents=True)
    rows = [row | {"round": 1, "reused": False, "cost_usd": cost} for cost in (0.5, None)]
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    (found,) = list_publications(root, PIPELINE, DAY)
    assert (found.articles, found.answered, found.cost_usd) == (2, 2, None)


def test_the_commands_list_and_restore(root: DataRoot, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, "one", 1)
    run(root, "two", 2)
    words = ["--day", DAY, "--pipeline", PIPELINE, "--root", str(root.path)]
    assert main(["history", *words, "--json"]) == 0
    current, kept = json.loads(capsys.readouterr().out)
    assert (current["run"], current["current"], current["answered"]) == ("two", True, 2)
    assert (kept["run"], kept["current"], kept["articles"]) == ("one", False, 1)
    assert main(["history", *words]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["publication", "replaced", "run", "articles", "answered", "cost"]
    assert [line.split()[0] for line in lines] == ["current", kept["name"]]
    assert main(["restore", *words, "--name", kept["name"]]) == 0
    assert "1 of 1 articles answered, published by run one" in capsys.readouterr().out
    assert texts(root) == ["one"]
    assert main(["restore", *words, "--name", "nope"]) == 1
    assert "no earlier publication" in capsys.readouterr().err


def test_the_history_of_a_day_that_was_never_published(
    root: DataRoot, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "--day", DAY, "--root", str(root.path)]) == 0
    assert "was never published" in capsys.readouterr().out
