"""Published days side by side: every article once, in order, whatever the days lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from nightpress.days import side_by_side
from nightpress.days.side_by_side import CHOICES, write_comparison
from nightpress.errors import ResultsError
from tests.support.published_days import DAY, answer, publish

pytestmark = pytest.mark.usefixtures("small_buckets")

ENUM = pa.dictionary(pa.int32(), pa.string())
PAIRS = pa.list_(pa.struct([("level", pa.string()), ("question", pa.string())]))


@pytest.fixture
def root(tmp_path: Path) -> UPath:
    return UPath(tmp_path)


def compare(root: UPath, *names: str) -> tuple[pa.Schema, list[dict[str, Any]]]:
    days = {name: root / name / f"day={DAY}" / "answers.parquet" for name in names}
    target = root / "comparison.parquet"
    count = write_comparison(days, target, name="c", day=DAY, pipelines={name: f"c_{name}" for name in names})
    table = pq.read_table(target.path)
    assert table.num_rows == count
    return table.schema, table.to_pylist()


def test_an_article_is_one_row_with_the_answer_of_each_variant(root: UPath) -> None:
    output = {"topic": ENUM, "pairs": PAIRS}
    pairs = [{"level": "easy", "question": "Why?"}]
    rows = [answer(n, desk="x", topic="ab"[n % 2], pairs=pairs) for n in range(3)]
    publish(root, rows, pipeline="plain", output=output)
    publish(root, [answer(n, desk="x", text=f"Other {n}.") for n in range(3)], pipeline="other")
    schema, found = compare(root, "plain", "other")
    assert schema.names == ["article_id", "title", "desk", "plain", "other"]
    struct = schema.field("plain").type
    assert [struct.field(n).name for n in range(5)] == ["status", "text", "topic", "pairs", "stop_reason"]
    assert (struct.field("topic").type, struct.field("pairs").type) == (pa.string(), PAIRS)
    assert CHOICES in struct.field("topic").metadata
    assert [(row["article_id"], row["plain"]["topic"], row["other"]["text"]) for row in found] == [
        ("a-0", "a", "Other 0."),
        ("a-1", "b", "Other 1."),
        ("a-2", "a", "Other 2."),
    ]
    assert found[0]["plain"]["pairs"] == pairs


def test_no_article_is_dropped(root: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "ROWS", 7)
    first, second = list(range(100)), [n for n in range(120) if n % 10 != 3]
    failed = {"status": "errored", "error_type": "api_error", "text": None, "model": None}
    publish(root, [answer(n, at="first") for n in first], pipeline="a", group=9)
    rows = [answer(n, at="second", **(failed if n % 10 == 4 else {})) for n in reversed(second)]
    publish(root, rows, pipeline="b", group=11)
    _, found = compare(root, "a", "b")
    later = [n for n in range(119, 99, -1) if n % 10 != 3]
    assert [row["article_id"] for row in found] == [f"a-{n}" for n in (*first, *later)]
    for row in found:
        number = int(row["article_id"][2:])
        assert (row["a"] is None) is (number >= 100)
        assert (row["b"] is None) is (number % 10 == 3)
        assert row["title"] == f"Title {number}"
        assert row["at"] == ("first" if number < 100 else "second")
        if row["b"] is not None:
            failure = (row["b"]["status"], row["b"]["error_type"], row["b"]["text"])
            assert failure == (
                ("errored", "api_error", None)
                if number % 10 == 4
                else ("succeeded", None, f"Answer {number}.")
            )


def test_a_column_of_the_source_with_a_variants_name_is_renamed(root: UPath) -> None:
    for name in ("plain", "other"):
        publish(root, [answer(1, Plain="x", source_Plain=1)], pipeline=name)
    schema, (row,) = compare(root, "plain", "other")
    assert schema.names[2:4] == ["source_Plain", "source_source_Plain"]
    assert (row["source_Plain"], row["source_source_Plain"]) == ("x", 1)


def test_a_column_that_only_a_later_day_has_keeps_its_values(root: UPath) -> None:
    """A typed answer's column renames the source's of that variant alone."""
    publish(
        root,
        [answer(n, source_topic=f"s{n}", topic="a") for n in (1, 2)],
        pipeline="a",
        output={"topic": ENUM},
    )
    publish(root, [answer(n, topic=f"s{n}") for n in (2, 3)], pipeline="b")
    _, found = compare(root, "a", "b")
    assert [(row["source_topic"], row["topic"]) for row in found] == [
        ("s1", None),
        ("s2", "s2"),
        (None, "s3"),
    ]


def test_a_typed_answer_is_not_taken_for_a_column_of_the_source(root: UPath) -> None:
    publish(root, [answer(1, pairs=[])], pipeline="a", output={"pairs": PAIRS})
    publish(root, [answer(1, pairs=7)], pipeline="b")
    _, (row,) = compare(root, "a", "b")
    assert (row["pairs"], row["a"]["pairs"]) == (7, [])


def test_columns_of_the_source_with_several_types_become_one(root: UPath) -> None:
    publish(root, [answer(1, n=1, when="x")], pipeline="a")
    publish(root, [answer(1, n=1.5, when=3), answer(2, n=2.5, when=4)], pipeline="b")
    _, found = compare(root, "a", "b")
    assert [(row["n"], row["when"]) for row in found] == [(1.0, "x"), (2.5, "4")]


def test_days_without_articles_are_compared_too(root: UPath) -> None:
    publish(root, [], pipeline="a")
    publish(root, [answer(1)], pipeline="b")
    _, (row,) = compare(root, "a", "b")
    assert (row["a"], row["title"]) == (None, "Title 1")
    publish(root, [], pipeline="b")
    assert compare(root, "a", "b")[1] == []


def test_a_day_that_is_not_there_or_damaged_leaves_the_last_comparison(root: UPath) -> None:
    publish(root, [answer(1)], pipeline="a")
    publish(root, [answer(1)], pipeline="b")
    compare(root, "a", "b")
    before = (root / "comparison.parquet").read_bytes()
    with pytest.raises(ResultsError, match=r"variant's day is not published.*Publish"):
        compare(root, "a", "gone")
    (root / "b" / f"day={DAY}" / "answers.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ResultsError, match="cannot be read"):
        compare(root, "a", "b")
    assert (root / "comparison.parquet").read_bytes() == before
    assert [path.name for path in Path(root.path).iterdir() if path.name.startswith(".")] == []
