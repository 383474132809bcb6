from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from message_batches.command.main import main
from nightpress.articles.article import Article
from nightpress.batches.ledger import Entry, Ledger
from nightpress.days.day_sources import KEY, SCHEMA_VERSION, read_sources
from nightpress.days.publications import keep_publication, list_publications
from nightpress.days.publish import DayParts, publish_day
from nightpress.days.replay import DIFFERS, IDENTICAL, SAME_ROWS, WAS_GONE, ReplayReport, replay_day
from nightpress.days.second_round import judge, write_second_round
from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance
from nightpress.settings import ShardLimits
from nightpress.shards.request_keys import custom_id
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.shards.writer import write_shards
from tests.support.ended_batches import DAY, TEMPLATE, EndedBatchApi
from tests.support.result_lines import errored, succeeded

pytestmark = pytest.mark.usefixtures("small_buckets")


class Day:
    """A published day of three shards, one article of each sent again in a second round."""

    def __init__(self, folder: Path) -> None:
        self.root = DataRoot(UPath(folder))
        run = self.root.run_folder("summaries", DAY, "run_1")
        rows = [
            Article(f"id-{n}", "title", f"text {n}", {"n": n if n < 4 else "x"}, "f", n) for n in range(10)
        ]
        self.shards = write_shards(rows, run, TEMPLATE, limits=ShardLimits(max_requests=4)).shards
        self.ledger = Ledger(self.root.ledger(), "api")
        first = [self.collect(shard, 1) for shard in self.shards]
        chosen = judge(zip(self.shards, first, strict=True))
        self.again = write_second_round(chosen, self.shards, run, ShardLimits())
        second = [self.collect(shard, 2) for shard in self.again]
        self.published = self.root.answers("summaries", DAY)
        rejected = run / "rejected.parquet"
        made_by = {"run": "run_1", "dag_id": "summaries", "template": "0" * 64, "offline": "no"}
        publish_day(self.root, "summaries", DAY, DayParts(first, rejected, second, made_by=made_by))
        self.before = self.contents()

    def collect(self, shard: Shard, number: int) -> UPath:
        entry = Entry(
            key=shard.key, requests=shard.articles, bytes=shard.bytes, pipeline="summaries", day=DAY
        )
        self.ledger.intend(entry)
        fails = number == 1
        lines = [
            errored(name, "overloaded_error") if fails and n == 1 else succeeded(name, f"answer {n}")
            for n, name in ((n, custom_id(shard.key, n)) for n in reversed(range(shard.articles)))
        ]
        provenance = Provenance("summaries", DAY, f"msgbatch_{shard.name}")
        api = EndedBatchApi(b"".join(lines), total=shard.articles)
        results = collect_batch(shard, self.root, provenance, api, self.ledger)
        return cast(UPath, self.root.open(results.uri))

    def files(self, number: int) -> ShardFiles:
        return ShardFiles.beside(UPath([*self.shards, *self.again][number].uri))

    def contents(self) -> dict[str, bytes]:
        """Everything that replay writes."""
        found = [*Path(self.root.path.path).rglob("results-*.parquet"), Path(self.published.path)]
        return {path.name: path.read_bytes() for path in found}

    def replay(self, write: bool = True) -> ReplayReport:
        self.told: list[str] = []
        return replay_day(self.root, "summaries", DAY, tell=self.told.append, write=write)


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(tmp_path)


def test_a_replayed_day_is_the_same_to_the_byte(day: Day) -> None:
    assert len(day.again) == 3
    report = day.replay()
    assert [made.outcome for made in report.shards] == [IDENTICAL] * 6
    assert report.day is not None
    assert report.day.outcome == IDENTICAL
    assert report.equal
    assert day.contents() == day.before
    assert len(day.told) == 8
    assert day.told[1] == "shard 1 of 6 (00000, msgbatch_00000): identical"


def test_what_was_lost_is_made_again_to_the_byte(day: Day) -> None:
    for number in range(6):
        day.files(number).results.unlink()
    report = day.replay()
    assert [made.outcome for made in report.shards] == [WAS_GONE] * 6
    assert not report.equal
    assert day.contents() == day.before


def test_what_was_changed_is_named_and_mended(day: Day) -> None:
    path = day.files(0).results.path
    table = pq.read_table(path)
    text = pa.array(["tampered", *table["text"].to_pylist()[1:]])
    index = table.schema.get_field_index("text")
    pq.write_table(table.set_column(index, table.schema.field(index), text), path, compression="zstd")
    compared = day.replay(write=False)
    assert (compared.shards[0].outcome, compared.shards[0].detail) == (DIFFERS, "text in 1 rows")
    assert compared.day is None
    assert "tampered" in pq.read_table(path)["text"].to_pylist()
    assert not day.replay().equal
    assert day.contents() == day.before


def test_the_same_rows_in_other_bytes_are_told_apart(day: Day) -> None:
    path = day.files(1).results.path
    pq.write_table(pq.read_table(path), path, compression="snappy")
    report = day.replay()
    assert report.shards[1].outcome == SAME_ROWS
    assert report.equal
    assert day.contents() == day.before


def test_rows_columns_and_damage_are_told_apart(day: Day) -> None:
    for number, change in enumerate(
        (lambda table: table.slice(1), lambda table: table.drop_columns(["n"]), None)
    ):
        path = day.files(number).results.path
        if change is None:
            Path(path).write_bytes(b"no parquet")
        else:
            pq.write_table(change(pq.read_table(path)), path)
    details = [made.detail for made in day.replay().shards]
    assert details[0] == "3 rows, now 4"
    assert details[1].startswith("columns ")
    assert "cannot be read" in details[2]
    assert day.contents() == day.before


def test_a_replay_deletes_no_earlier_publication(day: Day) -> None:
    """A pipeline may keep more of them than others; a replay does not know how many."""
    table = pq.read_table(day.published.path)
    for number in range(5):
        about = {**(table.schema.metadata or {}), b"run": b"run_%d" % number}
        pq.write_table(table.replace_schema_metadata(about), day.published.path)
        keep_publication(day.root, "summaries", DAY, keep=9)
    text = pa.array(["tampered", *table["text"].to_pylist()[1:]], table["text"].type)
    index = table.schema.get_field_index("text")
    pq.write_table(table.set_column(index, table.schema.field(index), text), day.published.path)
    assert not day.replay().equal
    kept = list_publications(day.root, "summaries", DAY)
    assert [each.run for each in kept] == [
        "run_1",
        "run_1",
        *(f"run_{number}" for number in range(4, -1, -1)),
    ]


def test_a_day_never_published_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="never published here"):
        replay_day(DataRoot(UPath(tmp_path)), "summaries", DAY, tell=print)


def test_a_day_of_an_older_version_says_what_to_clear(day: Day) -> None:
    path = day.published.path
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    with pytest.raises(ResultsError, match="Publish the day of its run once more"):
        day.replay()
    Path(path).write_bytes(b"no parquet")
    with pytest.raises(ResultsError, match="cannot be read"):
        day.replay()


def rewrite_sources(day: Day, change: Callable[[dict[str, Any]], None]) -> None:
    """Store the published file again with another list of sources."""
    table = pq.read_table(day.published.path)
    found = dict(table.schema.metadata or {})
    sources = json.loads(found[KEY.encode()])
    change(sources)
    found[KEY.encode()] = json.dumps(sources).encode()
    pq.write_table(table.replace_schema_metadata(found), day.published.path)


def test_a_newer_list_of_sources_is_refused_and_stays_as_it_is(day: Day) -> None:
    rewrite_sources(day, lambda sources: sources.update(schema_version=SCHEMA_VERSION + 1, new_field=[1]))
    before = Path(day.published.path).read_bytes()
    with pytest.raises(
        ResultsError, match=f"knows up to {SCHEMA_VERSION}. Use the version that published it"
    ):
        day.replay()
    assert Path(day.published.path).read_bytes() == before


def test_an_older_list_of_sources_with_whole_urls_is_read(day: Day) -> None:
    def older(sources: dict[str, Any]) -> None:
        del sources["schema_version"]
        for source in (*sources["first"], *sources["second"]):
            source["results"] = f"file://{day.root.path}/{source['results']}"
        sources["rejected"] = f"file://{day.root.path}/{sources['rejected']}"

    rewrite_sources(day, older)
    report = day.replay()
    assert [made.outcome for made in report.shards] == [IDENTICAL] * 6


def test_raw_results_that_are_gone_are_named_before_anything_is_made(day: Day) -> None:
    day.files(2).raw.unlink()
    day.files(0).articles.unlink()
    day.files(1).results.unlink()
    with pytest.raises(ResultsError) as caught:
        day.replay()
    message = str(caught.value)
    assert "of shard 00002, batch msgbatch_00002 (the API keeps results for 29 days" in message
    assert "of shard 00000 (read the articles of the run once more" in message
    assert "nothing was changed" in message
    assert not day.files(1).results.exists()


def test_rejected_rows_that_are_gone_are_named(day: Day) -> None:
    (day.files(0).folder / "rejected.parquet").unlink()
    with pytest.raises(ResultsError, match=r"the run's .*rejected\.parquet"):
        day.replay()


@pytest.mark.parametrize("name", ["articles-00000.parquet", "rejected.parquet"])
def test_a_damaged_file_is_named_before_anything_is_made(day: Day, name: str) -> None:
    path = Path((day.files(0).folder / name).path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ResultsError, match=rf"nothing was changed\. Gone or damaged: .*{name}"):
        day.replay()


def test_raw_results_of_another_shard_or_damaged_change_nothing(day: Day) -> None:
    kept = day.files(0).raw.read_bytes()
    shutil.copy(day.files(1).raw.path, day.files(0).raw.path)
    with pytest.raises(ResultsError, match="holds results of another shard"):
        day.replay()
    day.files(0).raw.write_bytes(b"\0" * 10 + kept[10:])
    with pytest.raises(ResultsError, match=r"shard 00000, batch msgbatch_00000, are damaged"):
        day.replay()
    assert day.contents() == day.before


def test_articles_read_again_since_are_not_mixed(day: Day) -> None:
    shutil.copy(day.files(1).articles.path, day.files(0).articles.path)
    with pytest.raises(ResultsError, match="read again since"):
        day.replay()
    assert day.contents() == day.before


def test_a_data_root_that_was_moved_is_found(day: Day, tmp_path: Path) -> None:
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    shutil.move(tmp_path, moved)
    day.root = DataRoot(UPath(moved))
    report = day.replay()
    assert [made.outcome for made in report.shards] == [IDENTICAL] * 6
    assert report.day is not None
    assert report.day.outcome == IDENTICAL


def test_an_empty_day_is_replayed(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    run = root.run_folder("summaries", DAY, "run_1")
    write_shards([], run, TEMPLATE, limits=ShardLimits())
    publish_day(root, "summaries", DAY, DayParts([], run / "rejected.parquet"))
    report = replay_day(DataRoot(UPath(tmp_path)), "summaries", DAY, tell=lambda line: None)
    assert report.equal


def test_the_sources_are_small_and_complete(day: Day) -> None:
    sources = read_sources(day.published)
    assert [source.batch_id for source in (*sources.first, *sources.second)] == [
        *(f"msgbatch_0000{n}" for n in range(3)),
        *(f"msgbatch_r2-0000{n}-00000" for n in range(3)),
    ]
    text = (pq.read_schema(day.published.path).metadata or {})[KEY.encode()]
    assert len(text) < 6 * 400 + 200
    assert json.loads(text)["first"][0]["articles"] == 4


def test_the_command(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["replay", "--day", DAY, "--pipeline", "summaries", "--root", str(day.root.path)]
    assert main(words) == 0
    assert "Nothing changed: every row is as it was." in capsys.readouterr().out
    day.files(0).results.unlink()
    assert main([*words, "--check"]) == 1
    assert "nothing was written" in capsys.readouterr().out
    assert main(words) == 0
    assert "were replaced" in capsys.readouterr().out
    assert main([*words, "--pipeline", "nope"]) == 1
    assert "never published" in capsys.readouterr().err
    assert main([*words, "--day", "yesterday"]) == 2
    assert "invalid day 'yesterday'" in capsys.readouterr().err
