from __future__ import annotations

import hashlib
import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from nightpress.articles.article import Article, Rejected
from nightpress.errors import ConfigurationError, TooManyRejectsError
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.request_keys import custom_id_prefix
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.shards.writer import ReadReport, write_shards

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{title}|{content}"))


def articles(count: int, content: str = "text", **metadata: object) -> list[Article]:
    return [
        Article(f"id-{n}", f"title {n}", f"{content} {n}", metadata, "in.jsonl", n + 1) for n in range(count)
    ]


def write(rows: list[Article] | list[Article | Rejected], folder: Path, **options: object) -> ReadReport:
    options.setdefault("limits", ShardLimits(max_requests=4))
    return write_shards(rows, UPath(folder), TEMPLATE, **options)  # type: ignore[arg-type]


def test_a_shard_closes_at_its_limit_and_keeps_the_order(tmp_path: Path) -> None:
    report = write(articles(10), tmp_path)
    assert [shard.articles for shard in report.shards] == [4, 4, 2]
    seen = []
    for shard in report.shards:
        body = json.loads(UPath(shard.uri).read_bytes())
        files = ShardFiles.beside(UPath(shard.uri))
        rows = pq.read_table(files.articles.path)
        ids = [request["custom_id"] for request in body["requests"]]
        assert ids == [f"{custom_id_prefix(shard.key)}{n}" for n in range(shard.articles)]
        assert rows.schema.metadata[b"shard_key"].decode() == shard.key
        seen += rows["article_id"].to_pylist()
        for request, title in zip(body["requests"], rows["title"].to_pylist(), strict=True):
            assert request["params"]["messages"][0]["content"].startswith(title + "|")
    assert seen == [f"id-{n}" for n in range(10)]


def test_size_is_that_of_the_body_and_stays_within_the_limit(tmp_path: Path) -> None:
    report = write(articles(50, content="x" * 300), tmp_path, limits=ShardLimits(max_bytes=4_000))
    assert len(report.shards) > 1
    for shard in report.shards:
        assert UPath(shard.uri).stat().st_size == shard.bytes <= 4_000


def test_keys_are_hashes_of_what_is_sent(tmp_path: Path) -> None:
    (shard,) = write(articles(2), tmp_path).shards
    body = msgspec.json.decode(UPath(shard.uri).read_bytes(), type=dict[str, list[dict[str, msgspec.Raw]]])
    digests = [hashlib.sha256(bytes(request["params"])) for request in body["requests"]]
    expected = hashlib.sha256(b"".join(digest.digest() for digest in digests))
    keys = [digest.hexdigest() for digest in digests]
    rows = pq.read_table(ShardFiles.beside(UPath(shard.uri)).articles.path)
    assert rows["request_key"].to_pylist() == keys
    assert shard.key == expected.hexdigest()


def test_the_same_articles_are_the_same_shard_and_a_salt_makes_another(tmp_path: Path) -> None:
    first = write(articles(3), tmp_path / "a").shards[0].key
    assert write(articles(3), tmp_path / "b").shards[0].key == first
    assert write(articles(3), tmp_path / "c", salt="fresh").shards[0].key != first
    assert write(articles(3, content="other"), tmp_path / "d").shards[0].key != first


def test_an_article_larger_than_a_batch_is_rejected_alone(tmp_path: Path) -> None:
    rows = [*articles(2), Article("big", "", "x" * 5_000, {}, "in.jsonl", 3)]
    report = write(rows, tmp_path, limits=ShardLimits(max_bytes=2_000))
    rejected = pq.read_table(tmp_path / "rejected.parquet").to_pylist()
    assert report.articles == 2
    assert [(row["article_id"], row["reason"], row["position"]) for row in rejected] == [
        ("big", "too_large", 3)
    ]
    assert "2,000" in rejected[0]["detail"]


def test_an_article_that_fits_a_batch_alone_is_sent_wherever_it_stands(tmp_path: Path) -> None:
    longest = max_bytes_of(tmp_path / "alone", 1_500)
    for before in (0, 1, 12):
        rows = [*articles(before), Article("big", "", "x" * 1_500, {}, "in.jsonl", 99)]
        report = write(rows, tmp_path / str(before), limits=ShardLimits(max_bytes=longest + 1))
        assert (report.articles, report.shards[-1].bytes) == (before + 1, longest)
        report = write(rows, tmp_path / f"{before} less", limits=ShardLimits(max_bytes=longest - 1))
        assert (report.articles, report.rejected) == (before, {"too_large": 1})


def max_bytes_of(folder: Path, characters: int) -> int:
    (shard,) = write([Article("big", "", "x" * characters, {}, "in.jsonl", 1)], folder).shards
    return UPath(shard.uri).stat().st_size


def test_nothing_at_all_makes_no_shard_and_an_empty_rejects_file(tmp_path: Path) -> None:
    report = write([], tmp_path)
    assert (report.shards, report.articles) == ([], 0)
    assert pq.read_table(tmp_path / "rejected.parquet").num_rows == 0


def test_too_many_rejects_stop_before_anything_is_spent(tmp_path: Path) -> None:
    bad = [
        Rejected(None, "https://store/in.jsonl?key=k", n, "missing_id", "the field is empty")
        for n in range(7, 10)
    ]
    told = (
        r"50\.0%.*missing_id: 3.*max_rejected_share=20\.0%.* first is https:.*: row 7: the field is empty\."
    )
    listed = r" All are in .*rejected\.parquet"
    with pytest.raises(TooManyRejectsError, match=told + listed) as error:
        write([*articles(3), *bad], tmp_path, max_rejected_share=0.2)
    assert "key=" not in str(error.value)
    assert pq.read_table(tmp_path / "rejected.parquet").num_rows == 3


def test_a_preview_names_no_file_that_it_does_not_write(tmp_path: Path) -> None:
    bad = [Rejected(None, "in.jsonl", 1, "missing_id", "the field is empty")]
    with pytest.raises(TooManyRejectsError, match=r"in\.jsonl: row 1: the field is empty\. Fix") as error:
        write([*articles(1), *bad], tmp_path, max_rejected_share=0.2, write=False)
    assert "rejected.parquet" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_exact_repeats_are_kept_track_of_but_lose_nothing(tmp_path: Path) -> None:
    repeats = [Rejected("id-0", "in.jsonl", n, "duplicate", "") for n in range(9)]
    assert write([*articles(3), *repeats], tmp_path, max_rejected_share=0).rejected["duplicate"] == 9


def test_metadata_keeps_its_types_and_never_takes_our_columns(tmp_path: Path) -> None:
    rows = articles(2, words=3, published=date(2026, 1, 2), ratio=0.5, status="draft")
    (shard,) = write(rows, tmp_path).shards
    schema = pq.read_schema(ShardFiles.beside(UPath(shard.uri)).articles.path)
    assert [str(schema.field(name).type) for name in ("words", "published", "ratio", "source_status")] == [
        "int64",
        "date32[day]",
        "double",
        "string",
    ]


@pytest.mark.parametrize("order", [("status", "source_status"), ("source_status", "status")])
def test_a_renamed_column_takes_no_other_columns_place(tmp_path: Path, order: tuple[str, str]) -> None:
    (shard,) = write(articles(1, **{name: name for name in order}), tmp_path).shards
    (row,) = pq.read_table(ShardFiles.beside(UPath(shard.uri)).articles.path).to_pylist()
    assert {row["source_status"], row["source_source_status"]} == set(order)


def test_mixed_metadata_becomes_text(tmp_path: Path) -> None:
    rows = [Article("1", "", "a", {"x": 1}, "f", 1), Article("2", "", "b", {"x": "one"}, "f", 2)]
    (shard,) = write(rows, tmp_path).shards
    assert pq.read_table(ShardFiles.beside(UPath(shard.uri)).articles.path)["x"].to_pylist() == ["1", "one"]


@pytest.mark.parametrize(
    "limits",
    [{"max_requests": 0}, {"max_requests": 100_001}, {"max_bytes": 10}, {"max_bytes": 256 * 1024 * 1024 + 1}],
)
def test_limits_beyond_the_api_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=str(next(iter(limits.values())))):
        ShardLimits(**limits)


def test_a_reference_survives_json_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    (shard,) = write(articles(1), tmp_path).shards
    assert Shard.from_reference(json.loads(json.dumps(shard.to_reference()))) == shard
    with pytest.raises(ConfigurationError, match="uri, articles, bytes and key"):
        Shard.from_reference({"uri": "x"})
    with pytest.raises(ConfigurationError, match="requests-<name>"):
        Shard.from_reference({"uri": "x/articles.json", "articles": 1, "bytes": 1, "key": "k"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"uri": 5},
        {"uri": "x" * 5_000},
        {"articles": "1"},
        {"articles": -1},
        {"articles": math.nan},
        {"articles": 2**70},
        {"bytes": None},
        {"bytes": -1},
        {"key": "../../x"},
        {"key": "%2e%2e"},
        {"key": "a\n"},
        {"key": ""},
        {"key": "a" * 200},
        {"betas": "all"},
        {"betas": [1]},
        {"look_only": "no"},
    ],
    ids=str,
)
def test_a_reference_with_a_value_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    usual = {"uri": "runs/p/2026-11-22/r/requests-0.json", "articles": 1, "bytes": 1, "key": "k"}
    Shard.from_reference(usual)
    with pytest.raises(ConfigurationError, match="uri, articles, bytes and key"):
        Shard.from_reference(usual | wrong)


def test_works_on_an_object_store() -> None:
    folder = UPath("memory://nightpress-writer/run")
    report = write_shards(articles(3), folder, TEMPLATE, limits=ShardLimits())
    assert UPath(report.shards[0].uri).stat().st_size == report.shards[0].bytes
    assert sorted(path.name for path in folder.iterdir()) == [
        "articles-00000.parquet",
        "rejected.parquet",
        "requests-00000.json",
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=25),
    per_shard=st.integers(1, 7),
)
def test_any_ids_and_texts_go_into_shards_once_and_in_order(
    tmp_path: Path, rows: list[tuple[str, str]], per_shard: int
) -> None:
    source = [
        Article(f"{n}{article_id}", "", text.encode("utf-8", "replace").decode(), {}, "f", n)
        for n, (article_id, text) in enumerate(rows)
        if (f"{n}{article_id}").encode("utf-8", "ignore").decode() == f"{n}{article_id}"
    ]
    report = write(source, tmp_path, limits=ShardLimits(max_requests=per_shard))
    sent: list[tuple[str, str]] = []
    for shard in report.shards:
        body = json.loads(UPath(shard.uri).read_bytes())["requests"]
        ids = pq.read_table(ShardFiles.beside(UPath(shard.uri)).articles.path)["article_id"].to_pylist()
        assert len({request["custom_id"] for request in body}) == shard.articles <= per_shard
        texts = [request["params"]["messages"][0]["content"] for request in body]
        sent += zip(ids, texts, strict=True)
    assert sent == [(article.article_id, "|" + article.content) for article in source]


def test_shards_of_the_same_texts_are_two_shards_all_the_same(tmp_path: Path) -> None:
    rows = [Article(str(n), "", "the same text", {}, "f", n) for n in range(6)]
    first = [shard.key for shard in write(rows, tmp_path / "a", limits=ShardLimits(max_requests=2)).shards]
    assert len(set(first)) == 3
    again = write(rows, tmp_path / "b", limits=ShardLimits(max_requests=2)).shards
    assert [shard.key for shard in again] == first
