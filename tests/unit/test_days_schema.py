"""A folder of published days is one table to every reader, also when the articles' metadata drifts."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.days.day_schema import PublishedColumnNames, plan_schema
from nightpress.days.publish import DayParts, DaySummary, publish_day
from nightpress.days.replay import replay_day
from nightpress.layout import DataRoot
from nightpress.results import answers_schema as results_schema
from nightpress.results.answers_schema import HEAD, TAIL, answers_schema
from nightpress.shards.metadata_columns import metadata_column
from tests.support.ended_batches import EndedBatchApi, EndedShard
from tests.support.report_pages import check_harmless, message, report
from tests.support.result_lines import succeeded

PIPELINE = "summaries"


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(UPath(tmp_path))


def publish(root: DataRoot, day: str, *shards: dict[str, Any], texts: list[str] | None = None) -> DaySummary:
    """Publish a day of shards of two articles each, each shard with its own metadata."""
    run = Path(root.run_folder(PIPELINE, day, "run_1").path)
    files = []
    for number, metadata in enumerate(shards):
        shard = EndedShard(run / str(number), 2, **metadata)
        shard.root = root
        lines = shard.lines(
            lambda n, custom_id: succeeded(custom_id, f"text {n}" if texts is None else texts[n])
        )
        shard.collect(EndedBatchApi(lines, total=2))
        files.append(shard.files.results)
    EndedShard(run, 1)
    return publish_day(root, PIPELINE, day, DayParts(files, UPath(run / "rejected.parquet")))


def columns(root: DataRoot, day: str) -> dict[str, str]:
    """Return the metadata columns of a day with their types."""
    ours = {field.name for field in (*HEAD, *TAIL)}
    schema = pq.read_schema(root.answers(PIPELINE, day).path)
    return {field.name: str(field.type) for field in schema if field.name not in ours}


WEEK: dict[str, list[dict[str, Any]]] = {
    "2026-11-16": [{"score": 1.5, "tag": "x", "Desk": "news", "at": dt.datetime(2026, 11, 1, tzinfo=dt.UTC)}],
    "2026-11-17": [{"score": 2, "tag": 7, "desk": "sport", "at": None}],
    "2026-11-18": [{"score": None, "tag": None, "DESK": None}],
    "2026-11-19": [{"tag": True, "Desk": "news"}, {"score": 4, "tag": dt.date(2026, 1, 2)}],
    "2026-11-20": [{"score": 3}, {"score": 0.25, "tag": ["a", "b"]}],
    "2026-11-21": [],
    "2026-11-22": [{"score": 8, "tag": Decimal("1.50"), "Desk": 5, "at": dt.date(2026, 11, 22)}],
}
SCORES, ROWS, NEWS = 2 * (1.5 + 2 + 4 + 3 + 0.25 + 8), 16, 4


@pytest.fixture
def week(root: DataRoot) -> DataRoot:
    for day, shards in WEEK.items():
        assert publish(root, day, *shards).changed_types == {}
    return root


def read_with_pandas(folder: str) -> tuple[Any, ...]:
    frame = pd.read_parquet(folder)
    by_day = frame.groupby("day", observed=True)["score"].sum()
    return len(frame), frame["score"].sum(), (frame["Desk"] == "news").sum(), by_day["2026-11-19"]


def read_with_arrow(folder: str) -> tuple[Any, ...]:
    table = ds.dataset(folder, partitioning="hive").to_table()
    frame = table.select(["day", "score", "Desk"]).to_pandas()
    by_day = frame.groupby("day")["score"].sum()
    return len(frame), frame["score"].sum(), (frame["Desk"] == "news").sum(), by_day["2026-11-19"]


def read_with_polars(folder: str) -> tuple[Any, ...]:
    frame = pl.read_parquet(folder)
    one = frame.filter(pl.col("day").cast(pl.String) == "2026-11-19")["score"].sum()
    return frame.height, frame["score"].sum(), (frame["Desk"] == "news").sum(), one


def read_with_duckdb(folder: str) -> tuple[Any, ...]:
    files = f"'{folder}/day=*/answers.parquet'"
    query = (
        "SELECT count(*), sum(score), count(*) FILTER (desk = 'news'), "
        f"sum(score) FILTER (day = '2026-11-19') FROM {files}"
    )
    (row,) = duckdb.sql(query).fetchall()
    return tuple(row)


def read_as_spark_does(folder: str) -> tuple[Any, ...]:
    """Spark takes one file's columns for all, finds them by name without regard to case, and adds the folder's."""
    paths = sorted(Path(folder).glob("day=*/answers.parquet"))
    schemas = [pq.read_schema(path) for path in paths]
    for schema in schemas:
        folded = [name.casefold() for name in [*schema.names, "day"]]
        assert len(set(folded)) == len(folded), "ambiguous to Spark"
        assert {name.casefold(): schema.field(name).type for name in schema.names} == {
            name.casefold(): schemas[0].field(name).type for name in schemas[0].names
        }
    rows = [
        {name.casefold(): value for name, value in row.items()} | {"day": path.parent.name[4:]}
        for path in paths
        for row in pq.ParquetFile(path).read().to_pylist()
    ]
    scores = [(row["day"], row["score"] or 0) for row in rows]
    one = sum(score for day, score in scores if day == "2026-11-19")
    return len(rows), sum(score for _, score in scores), sum(row["desk"] == "news" for row in rows), one


READERS = [read_with_pandas, read_with_arrow, read_with_polars, read_with_duckdb, read_as_spark_does]


@pytest.mark.parametrize("reader", READERS)
def test_seven_days_of_drifting_metadata_have_the_same_sums_to_each_reader(
    week: DataRoot, reader: Any
) -> None:
    assert reader(str(week.published(PIPELINE))) == (ROWS, SCORES, NEWS, 8.0)


def test_no_value_is_lost_on_the_way(week: DataRoot) -> None:
    found = [row["tag"] for row in pq.read_table(week.answers(PIPELINE, "2026-11-19").path).to_pylist()]
    assert found == ["true", "true", "2026-01-02", "2026-01-02"]
    (last, _) = pq.read_table(week.answers(PIPELINE, "2026-11-22").path).to_pylist()
    assert (last["score"], last["tag"], last["Desk"]) == (8.0, "1.50", "5")
    assert last["at"] == dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


def test_a_column_that_begins_on_a_later_day_is_found_as_the_docs_say(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(root, "2026-11-20")
    publish(root, "2026-11-21", {"score": 1.5})
    publish(root, "2026-11-22", {"score": 2, "topic": "news"})
    page = (Path(__file__).resolve().parents[2] / "docs" / "answers.md").read_text()
    (code,) = [
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "unify_schemas" in block
    ]
    *lines, last = code.replace("data/tickets", str(root.published(PIPELINE))).strip().splitlines()
    values: dict[str, Any] = {}
    exec("\n".join([*lines, f"found = {last}"]), values)
    frame = values["found"]
    assert (len(frame), frame["score"].sum(), list(frame["topic"].dropna())) == (4, 7.0, ["news"] * 2)
    assert set(frame["day"].astype(str)) == {"2026-11-21", "2026-11-22"}
    (query,) = re.findall(r"FROM read_parquet\([^)]*\)", page)
    query = query.replace("data/tickets", str(root.published(PIPELINE)))
    assert duckdb.sql(f"SELECT count(topic), sum(score) {query}").fetchall() == [(2, 7.0)]


@pytest.mark.parametrize("day", WEEK)
def test_a_day_is_replayed_to_the_byte_whatever_came_after_it(week: DataRoot, day: str) -> None:
    report = replay_day(week, PIPELINE, day, tell=lambda _: None)
    assert report.day is not None
    assert report.day.outcome == "identical"


def test_the_report_tells_a_changed_type(root: DataRoot) -> None:
    column = "<b>score|`x`</b>"
    publish(root, "2026-11-21", {column: 1, "kept": 1})
    publish(root, "2026-11-22", {column: 1.5, "kept": 2})
    html, text = report(UPath(root.path), "2026-11-22")
    page = check_harmless(html)
    assert f"metadata columns {column} (int64 → double)" in page.text
    assert "kept (" not in page.text
    assert "<b>score" not in text
    assert "with another type than the last published day" in message(UPath(root.path), "2026-11-22")
    before, _ = report(UPath(root.path), "2026-11-21")
    assert "another type" not in before
    # What a replay makes says so too.
    replayed = replay_day(root, PIPELINE, "2026-11-22", tell=lambda _: None).day
    assert replayed is not None
    assert replayed.outcome == "identical"


@pytest.mark.parametrize(
    ("first", "second", "changed", "kind"),
    [
        (1, 1.5, "int64 → double", "double"),
        (1, "x", "int64 → string", "string"),
        (True, 1, "bool → string", "string"),
        (1.5, "x", "double → string", "string"),
        (dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, 5), "date32[day] → timestamp[us, tz=UTC]", None),
        (1.5, 1, None, "double"),
        ("x", 1, None, "string"),
        ("x", [1], None, "string"),
        (1.5, 2**53 + 1, "double → string", "string"),
        ("x", None, None, "string"),
        (None, 1, "string → string", "string"),
    ],
)
def test_what_cannot_be_kept_is_told(
    root: DataRoot, first: Any, second: Any, changed: str | None, kind: str | None
) -> None:
    publish(root, "2026-11-21", {"value": first})
    summary = publish(root, "2026-11-22", {"value": second})
    if changed == "string → string":
        changed = None
    assert summary.changed_types == ({} if changed is None else {"value": changed})
    if kind is not None:
        assert columns(root, "2026-11-22") == {"value": kind}
    expected = pq.read_table(root.answers(PIPELINE, "2026-11-22").path)["value"].to_pylist()
    if isinstance(second, int) and not isinstance(second, bool):
        assert [int(float(value)) if abs(second) < 2**53 else int(value) for value in expected] == [
            second
        ] * 2


@pytest.mark.parametrize(
    ("days", "kind", "changed"),
    [
        ([["99.99"], ["100.00"], ["3.5"], ["-12345.67"]], "decimal128(38, 2)", 0),
        ([["1.5"], ["1.25"], ["2.5"]], "decimal128(38, 2)", 1),
        ([["1.5"], [7], ["2.5"]], "decimal128(38, 1)", 0),
        ([[7], ["1.5"], [8]], "decimal128(38, 1)", 1),
        ([["1e30"], ["1.5"], ["2.25"]], "decimal128(38, 2)", 2),
        ([["1.5"], ["x"], ["2.5"]], "string", 1),
        ([["1.123456789"], ["12345678901234567890123456789012"]], "string", 1),
        ([["1.5", "22.25", 3]], "decimal128(38, 2)", 0),
    ],
)
def test_a_decimal_stays_one_however_many_digits_its_values_have(
    root: DataRoot, days: list[list[Any]], kind: str, changed: int
) -> None:
    """Arrow gives a column as many digits as its longest value: prices up to 99.99 and up to 100.00 differ."""
    told = 0
    for number, values in enumerate(days):
        given = [value if value in ("x", 3, 7, 8) else Decimal(value) for value in values]
        summary = publish(root, f"2026-11-2{number}", *({"price": value} for value in given))
        told += bool(summary.changed_types)
        found = pq.read_table(root.answers(PIPELINE, f"2026-11-2{number}").path)["price"].to_pylist()
        expected = [value for value in given for _ in range(2)]
        assert [
            value if isinstance(wanted, str) else Decimal(value)
            for value, wanted in zip(found, expected, strict=True)
        ] == expected
        replayed = replay_day(root, PIPELINE, f"2026-11-2{number}", tell=lambda _: None).day
        assert replayed is not None
        assert replayed.outcome == "identical"
    assert columns(root, f"2026-11-2{len(days) - 1}")["price"] == kind
    assert told == changed


def test_a_decimal_of_an_earlier_version_keeps_its_type_while_the_values_fit() -> None:
    earlier = answers_schema([pa.field("price", pa.decimal128(5, 2))])
    assert plan_schema([], None, earlier).schema.field("price").type == pa.decimal128(5, 2)


@pytest.mark.parametrize(
    "value", [True, 1, 1.0, 2.5, 1e20, dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3), Decimal("1.50")]
)
def test_a_value_has_one_text_whatever_else_is_in_its_file(root: DataRoot, value: Any) -> None:
    publish(root, "2026-11-22", {"value": value}, {"value": "x"})
    found = pq.read_table(root.answers(PIPELINE, "2026-11-22").path)["value"].to_pylist()
    assert found[2:] == ["x", "x"]
    assert metadata_column([None, "x", value, value]).to_pylist() == [None, "x", *found[:2]]


def test_large_whole_numbers_beside_fractions_stay_exact(root: DataRoot) -> None:
    publish(root, "2026-11-22", {"value": 2**60 + 1}, {"value": 0.5})
    assert columns(root, "2026-11-22") == {"value": "string"}
    values = pq.read_table(root.answers(PIPELINE, "2026-11-22").path)["value"].to_pylist()
    assert values == [str(2**60 + 1)] * 2 + ["0.5"] * 2


def test_a_backfilled_day_takes_the_types_of_the_next_one(root: DataRoot) -> None:
    publish(root, "2026-11-22", {"value": 1.5, "other": "x"})
    publish(root, "2026-11-20", {"value": 1})
    assert columns(root, "2026-11-20") == {"value": "double", "other": "string"}


def test_columns_of_ours_are_not_taken_whatever_their_case(root: DataRoot) -> None:
    publish(root, "2026-11-22", {"Status": "draft", "Cost_USD": 7.0, "TEXT": "t", "topic": "a", "Topic": "b"})
    names = columns(root, "2026-11-22")
    folded = [name.casefold() for name in pq.read_schema(root.answers(PIPELINE, "2026-11-22").path).names]
    assert len(set(folded)) == len(folded)
    assert set(names) >= {"source_Status", "source_Cost_USD", "source_TEXT"}
    query = f"SELECT status, sum(cost_usd) FROM '{root.answers(PIPELINE, '2026-11-22').path}' GROUP BY 1"
    ((status, cost),) = duckdb.sql(query).fetchall()
    assert status == "succeeded"
    assert cost < 1


def test_a_damaged_neighbour_is_passed_over(root: DataRoot) -> None:
    publish(root, "2026-11-20", {"value": 1.5})
    publish(root, "2026-11-21", {"value": 2})
    root.answers(PIPELINE, "2026-11-21").write_bytes(b"PAR1")
    publish(root, "2026-11-22", {"value": 3})
    assert columns(root, "2026-11-22") == {"value": "double"}


def test_more_text_than_an_array_holds_is_written_in_pieces(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_schema, "MAX_TEXT_BYTES", 10)
    texts = ["a" * 30, "b" * 4]
    publish(root, "2026-11-22", {"n": 1}, {"n": 2}, texts=texts)
    file = pq.ParquetFile(root.answers(PIPELINE, "2026-11-22").path)
    assert file.read()["text"].to_pylist() == texts * 2
    assert file.num_row_groups == 4
    assert file.schema_arrow.field("text").type == pa.string()


names = st.text(st.sampled_from("aAbBßẞſsSİiI_"), min_size=1, max_size=4)


@settings(max_examples=200)
@given(st.lists(st.lists(names, unique=True, max_size=6), max_size=4))
def test_names_never_meet(files: list[list[str]]) -> None:
    columns = PublishedColumnNames(["status", "ss"])
    for file in files:
        found = columns.of_file(file)
        assert list(found) == file
        folded = [name.casefold() for name in found.values()]
        assert len(set(folded)) == len(folded)
        assert not {"status", "ss"} & set(folded)


def test_a_day_without_shards_has_the_columns_of_the_last_one() -> None:
    earlier = answers_schema([pa.field("value", pa.float64())])
    assert plan_schema([], None, earlier).schema.field("value").type == pa.float64()
