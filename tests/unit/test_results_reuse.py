"""Answers that were paid for before: found by request key, copied in article order."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from nightpress.days.answer_index import AnswerIndex
from nightpress.days.day_rows import interleave
from nightpress.days.reuse import ReusedRows, read_ordinals
from nightpress.errors import ResultsError
from nightpress.results.answers_schema import answers_schema

pytestmark = pytest.mark.usefixtures("small_buckets")

DAY = "2026-11-22"


def key_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def publish(
    path: Path,
    texts: list[str],
    *,
    status: str = "succeeded",
    batch_id: str = "msgbatch_1",
    row_group_size: int = 4,
    earlier: bool = False,
    **given: object,
) -> UPath:
    """Write a published file with an answer to each text, ``answer to <text>``; other columns as given."""
    schema = answers_schema([pa.field("category", pa.string())])
    count = len(texts)
    values = {
        "article_id": [f"old {text}" for text in texts],
        "title": ["old title"] * count,
        "category": ["old"] * count,
        "custom_id": [f"0123456789abcdef-{n}" for n in range(count)],
        "request_key": [key_of(text).hex() for text in texts],
        "status": [status] * count,
        "text": [f"answer to {text}" for text in texts],
        "cost_usd": [0.5] * count,
        "list_cost_usd": [1.0] * count,
        "batch_id": [batch_id] * count,
        "round": [1] * count,
        "reused": [False] * count,
        "day": ["2026-11-21"] * count,
    }
    values |= {name: value if type(value) is list else [value] * count for name, value in given.items()}
    if earlier:
        schema = schema.remove(schema.get_field_index("thinking_tokens"))
    columns = [pa.array(values.get(field.name, [None] * count), field.type) for field in schema]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=schema), path, row_group_size=row_group_size)
    return UPath(path)


def take(reused: ReusedRows, texts: list[str]) -> list[bool]:
    rows = [{"article_id": f"new {text}", "title": "new title", "section": 7} for text in texts]
    taken = reused.take(list(map(key_of, texts)), rows, 0)
    reused.flush()
    return list(taken)


def test_an_answer_is_found_by_its_whole_key(tmp_path: Path) -> None:
    index = AnswerIndex([publish(tmp_path / "a.parquet", ["a", "b", "c", "d", "e"])], offline=False)
    assert index.rows == 5
    assert index.find([key_of(text) for text in "edcba"]) == [(0, 4), (0, 3), (0, 2), (0, 1), (0, 0)]
    almost = key_of("a")[:31] + bytes([key_of("a")[31] ^ 1])
    assert index.find([almost, key_of("z")]) == [None, None]


@pytest.mark.parametrize("wrong", ["", "0" * 63, "0" * 65, "A" * 64, " " + "0" * 63, "x" * 64, "é" * 32])
def test_a_row_without_a_key_of_ours_is_no_answer_and_hides_none(tmp_path: Path, wrong: str) -> None:
    keys = [key_of("a").hex(), wrong, key_of("b").hex()]
    path = publish(tmp_path / "a.parquet", ["a", "-", "b"], request_key=keys)
    index = AnswerIndex([path], offline=False)
    assert index.rows == 2
    assert index.find([key_of("a"), bytes(32), b"\xaa" * 32, key_of("b")]) == [(0, 0), None, None, (0, 2)]


def test_the_first_file_wins_and_one_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    files = [
        UPath(tmp_path / "gone.parquet"),
        publish(tmp_path / "one.parquet", ["a"]),
        publish(tmp_path / "two.parquet", ["a", "b"]),
    ]
    index = AnswerIndex(files, offline=False)
    assert index.find([key_of("a"), key_of("b")]) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("status", ["errored", "expired", "canceled", "missing", "invalid_output"])
def test_what_failed_is_no_answer(tmp_path: Path, status: str) -> None:
    index = AnswerIndex([publish(tmp_path / "a.parquet", ["a"], status=status)], offline=False)
    assert index.find([key_of("a")]) == [None]


KEPT = ["invalid_output", "refused", "truncated", "empty", "unfinished"]


@pytest.mark.parametrize("status", [*KEPT, "errored", "expired", "canceled", "missing"])
def test_of_the_day_itself_what_was_paid_for_is_kept_as_it_is(tmp_path: Path, status: str) -> None:
    stop = {"refused": "refusal", "truncated": "max_tokens", "unfinished": "pause_turn"}.get(status)
    text = None if status == "empty" else "answer to a"
    own = publish(tmp_path / "own.parquet", ["a"], status=status, stop_reason=stop, text=text)
    before = publish(tmp_path / "before.parquet", ["b"], status=status)
    index = AnswerIndex([own, before], offline=False, same_day=own)
    assert index.find([key_of("b")]) == [None]
    reused = ReusedRows(index, UPath(tmp_path / "run"), DAY)
    assert take(reused, ["a"]) == [status in KEPT]
    if status in KEPT:
        (row,) = pq.read_table(str(reused.files[0])).to_pylist()
        told = (row["status"], row["text"], row["reused"], row["cost_usd"])
        assert told == ("succeeded" if status == "invalid_output" else status, text, True, 0.0)


@pytest.mark.parametrize(
    ("stop_reason", "text", "answered"),
    [
        ("end_turn", "Yes.", True),
        (None, "Yes.", True),
        ("max_tokens", "Yes", False),
        ("model_context_window_exceeded", "Yes", False),
        ("refusal", "", False),
        ("end_turn", "", False),
        ("end_turn", None, False),
        ("tool_use", "", False),
    ],
)
def test_what_an_earlier_version_called_an_answer_is_judged_anew(
    tmp_path: Path, stop_reason: str | None, text: str | None, answered: bool
) -> None:
    path = publish(tmp_path / "a.parquet", ["a"], stop_reason=stop_reason, text=text, earlier=True)
    index = AnswerIndex([path], offline=False)
    assert (index.find([key_of("a")]) == [(0, 0)]) == answered
    reused = ReusedRows(index, UPath(tmp_path / "run"), DAY)
    if take(reused, ["a"]) == [True]:
        (row,) = pq.read_table(str(reused.files[0])).to_pylist()
        assert (row["status"], row["text"], row["thinking_tokens"]) == ("succeeded", "Yes.", None)


def test_the_offline_apis_answers_never_stand_in_for_a_models(tmp_path: Path) -> None:
    files = [publish(tmp_path / "a.parquet", ["a"])]
    local = [publish(tmp_path / "b.parquet", ["a"], batch_id="msgbatch_local_1")]
    for offline, found in ((False, (0, 0)), (True, None)):
        assert AnswerIndex(files, offline=offline).find([key_of("a")]) == [found]
        assert AnswerIndex(local, offline=not offline).find([key_of("a")]) == [found]


def test_an_empty_day_answers_nothing(tmp_path: Path) -> None:
    index = AnswerIndex([publish(tmp_path / "a.parquet", [])], offline=False)
    assert (index.rows, index.find([key_of("a")]), index.find([])) == (0, [None], [])


def test_the_answer_of_then_goes_with_the_article_of_today(tmp_path: Path) -> None:
    index = AnswerIndex([publish(tmp_path / "a.parquet", [f"t{n}" for n in range(11)])], offline=False)
    reused = ReusedRows(index, UPath(tmp_path / "run"), DAY)
    # Out of order, from several row groups, one of them twice.
    asked = ["t9", "new", "t0", "t5", "t0", "t10"]
    assert take(reused, asked) == [True, False, True, True, True, True]
    assert reused.count == 5
    (path,) = reused.files
    assert read_ordinals(path).tolist() == [0, 2, 3, 4, 5]
    rows = pq.read_table(str(path)).to_pylist()
    assert [row["text"] for row in rows] == [f"answer to {text}" for text in ("t9", "t0", "t5", "t0", "t10")]
    assert {(row["title"], row["section"], row["day"], row["reused"]) for row in rows} == {
        ("new title", 7, DAY, True)
    }
    assert [row["article_id"] for row in rows][:2] == ["new t9", "new t0"]
    assert {(row["cost_usd"], row["list_cost_usd"]) for row in rows} == {(0.0, 1.0)}
    assert "category" not in rows[0]


@pytest.mark.parametrize(
    "now", [["b", "a"], ["a"], []], ids=["other rows in its place", "fewer rows", "no rows"]
)
def test_a_day_that_is_published_anew_meanwhile_gives_no_article_anothers_answer(
    tmp_path: Path, now: list[str]
) -> None:
    index = AnswerIndex([publish(tmp_path / "a.parquet", ["a", "b"])], offline=False)
    reused = ReusedRows(index, UPath(tmp_path / "run"), DAY)
    publish(tmp_path / "a.parquet", now)
    with pytest.raises(ResultsError, match="published again meanwhile"):
        take(reused, ["a", "b"])
    assert reused.files == []


def test_an_answer_that_is_gone_meanwhile_is_not_copied(tmp_path: Path) -> None:
    index = AnswerIndex([publish(tmp_path / "a.parquet", ["a"])], offline=False)
    publish(tmp_path / "a.parquet", ["a"], status="expired")
    with pytest.raises(ResultsError, match="published again meanwhile"):
        take(ReusedRows(index, UPath(tmp_path / "run"), DAY), ["a"])


def test_a_preview_counts_and_stores_nothing(tmp_path: Path) -> None:
    index = AnswerIndex([publish(tmp_path / "a.parquet", ["a"])], offline=False)
    reused = ReusedRows(index, UPath(tmp_path / "run"), DAY, write=False)
    assert take(reused, ["a", "b"]) == [True, False]
    assert (reused.count, reused.files, (tmp_path / "run").exists()) == (1, [], False)


@given(
    is_reused=st.lists(st.booleans(), max_size=40),
    sent_sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    reused_sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_rows_come_in_article_order_however_they_are_cut(
    is_reused: list[bool], sent_sizes: list[int], reused_sizes: list[int]
) -> None:
    ordinals = np.arange(len(is_reused))
    mask = np.asarray(is_reused, dtype=bool)
    sent = [pa.table({"n": part}) for part in cut(ordinals[~mask], sent_sizes)]
    reused = [(part, pa.table({"n": part})) for part in cut(ordinals[mask], reused_sizes)]
    tables = list(interleave(sent, reused))
    assert [n for table in tables for n in table["n"].to_pylist()] == ordinals.tolist()
    assert all(table.num_rows <= 14 for table in tables)


def cut(values: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    parts, start = [], 0
    while start < len(values):
        size = sizes[len(parts) % len(sizes)]
        parts.append(values[start : start + size])
        start += size
    return parts


HEADS = [b"\0" * 8, b"\0" * 7 + b"\1", b"\0\1" + b"\0" * 6, b"\x7f" + b"\xff" * 7, b"\xff" * 8]
ALIKE = st.builds(lambda head, tail: head + bytes([tail]) * 24, st.sampled_from(HEADS), st.integers(0, 3))


@given(files=st.lists(st.lists(ALIKE, unique=True, max_size=8), max_size=3), others=st.lists(ALIKE))
def test_keys_that_begin_alike_are_told_apart(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[bytes]], others: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("published")
    paths: list[UPath] = []
    expected: dict[bytes, tuple[int, int]] = {}
    for number, keys in enumerate(files):
        columns = {
            "request_key": pa.array([key.hex() for key in keys], pa.string()),
            "status": pa.array(["succeeded"] * len(keys), pa.string()),
            "batch_id": pa.array(["msgbatch_1"] * len(keys), pa.string()),
            "thinking_tokens": pa.nulls(len(keys), pa.int64()),
        }
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=3)
        paths.append(UPath(folder / f"{number}.parquet"))
        for row, key in enumerate(keys):
            expected.setdefault(key, (number, row))
    index = AnswerIndex(paths, offline=False)
    asked = [*expected, *others]
    assert index.find(asked) == list(map(expected.get, asked))
