"""Which sources a trigger form may name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from upath import UPath

from message_batches import config
from nightpress.articles.allowed_sources import AllowedSources, fixed_part, read_roots
from nightpress.articles.source_files import SourceFile
from nightpress.errors import ConfigurationError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.jsonl").write_text("{}")
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret.jsonl").write_text("{}")
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    (tmp_path / "in" / "file.jsonl").symlink_to(tmp_path / "secret.jsonl")
    os.mkfifo(tmp_path / "in" / "pipe.jsonl")
    return tmp_path


def allowed(place: Path) -> AllowedSources:
    return AllowedSources((f"{place}/in", "s3://conn@bucket/articles"), frozenset({"summaries"}))


@pytest.mark.parametrize(
    "source",
    ["{}/in", "{}/in/a.jsonl", "file://{}/in/a.jsonl", "{}/in/deep/*.csv", "{}/in/day=*/x", "{}/in/none/yet.csv",
     "s3://conn@bucket/articles", "s3://conn@bucket/articles/2026/*.jsonl", "S3://conn@bucket/articles/a",
     "published:summaries", "published:summaries?content=x"],
)  # fmt: skip
def test_what_lies_below_a_root_may_be_named(place: Path, source: str) -> None:
    allowed(place).check(source.format(place))


@pytest.mark.parametrize(
    "source",
    ["/etc/passwd", "file:///etc/passwd", "{}/secret.jsonl", "{}/inner/a", "{}", "/", "*", "", "{}/in/../secret.jsonl",
     "{}/in/link/secret.jsonl", "{}/in/file.jsonl", "{}/*/a.jsonl", "file://host{}/in/a.jsonl", "in/a.jsonl",
     "zip://a.csv::{}/in/a.zip", "{}/in/a.zip::x", "simplecache::file://{}/in/a", "ftp://{}/in/a.jsonl",
     "http://127.0.0.1/x", "memory://x", "s3://bucket/articles/a", "s3://conn@other/articles/a",
     "s3://conn@bucket/articles2/a", "s3://conn@bucket/a", "s3://conn@bucket/articles/../a", "gs://conn@bucket/articles/a",
     "local://{}/secret.jsonl", "{}/in/a\n", "{}/in/a\x00", "{}\\in", "published:other", "published:..",
     "published:summaries2", "s3://[conn@bucket/articles/a", "s3://conn@bucket%2f..%2fother/articles/a",
     "S3://CONN@bucket/articles/a", "s3:/conn@bucket/articles/a", "file:{}/in/a.jsonl", "file:/etc/passwd", "~/x",
     "~root/x", "$HOME/x", "//etc/passwd", "{}/in//../../etc/passwd", "{}/in/./../secret.jsonl",
     "{}/in/.../../secret", "{}/[i]n/../secret.jsonl", "{}/{{in,inner}}/a", "{}/in/link/*", "{}/in/link/**",
     "{}/i?/a.jsonl", "/dev/stdin", "/proc/self/environ", "/dev/fd/0", "github://org:repo@main/a", "data:,id",
     "FILE:///etc/passwd", "file:////etc/passwd", "local:///etc/passwd",
     "file://{}/in/%2e%2e/%2e%2e/../secret.jsonl", "s3a://conn@bucket/articles/a", "reference://{}/in/a",
     "blockcache::{}/in/a", "dir://x::{}/in", "https://conn@bucket/articles/a", "{}/in\u2028/../a",
     "{}/in/a\x85/../..", "{}/IN/a.jsonl", "published:Summaries", "published:summaries/../x", "PUBLISHED:x",
     "published:%2e%2e"],
)  # fmt: skip
def test_everything_else_is_refused_without_a_look(place: Path, source: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        allowed(place).check(source.format(place))
    assert caught.value.code == "source_not_allowed" or "published" in source


def found_as(path: Path, kind: str = "jsonl") -> SourceFile:
    return SourceFile(UPath(path), path.name, kind)


def test_found_files_are_checked_again_after_links_are_followed(place: Path) -> None:
    checked = allowed(place)
    checked.check_files([found_as(place / "in" / "a.jsonl"), found_as(place / "in" / "deep")])
    with pytest.raises(ConfigurationError, match=r"file\.jsonl"):
        checked.check_files([found_as(place / "in" / "file.jsonl")])
    with pytest.raises(ConfigurationError, match="not a regular file"):
        checked.check_files([found_as(place / "in" / "pipe.jsonl")])


def test_a_table_folder_is_no_way_around(place: Path) -> None:
    checked, table = allowed(place), place / "in" / "table"
    (table / "_delta_log").mkdir(parents=True)
    (table / "part.parquet").write_text("x")
    checked.check_files([found_as(table, "delta")])
    (table / "loop").symlink_to(table)
    with pytest.raises(ConfigurationError, match="loop"):
        checked.check_files([found_as(table, "delta")])
    (table / "loop").unlink()
    (table / "other.parquet").symlink_to(place / "secret.jsonl")
    with pytest.raises(ConfigurationError, match=r"other\.parquet"):
        checked.check_files([found_as(table, "delta")])
    # Its metadata names files by whole addresses, on any disk and store.
    with pytest.raises(ConfigurationError, match="Iceberg"):
        checked.check_files([found_as(table, "iceberg")])


@pytest.mark.parametrize(
    ("source", "fixed"),
    [
        ("/a/b.csv", "/a/b.csv"),
        ("/a/day={day}/*.csv", "/a"),
        ("s3://c@b/p/*.csv", "s3://c@b/p"),
        ("*.csv", ""),
        ("/*", ""),
    ],
)
def test_a_declared_source_allows_what_it_names(source: str, fixed: str) -> None:
    assert fixed_part(source) == fixed


def test_the_default_is_the_inbox_the_examples_and_what_the_dag_file_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NIGHTPRESS_ROOT", f"file://{tmp_path}/data")
    monkeypatch.delenv("NIGHTPRESS_ALLOWED_SOURCES", raising=False)
    project = config.project_folder()
    found = config.allowed_sources(
        [f"{tmp_path}/own/{{day}}.csv", "*.csv", "published:news", None], "2026-11-22"
    )
    for source in (f"{tmp_path}/data/inbox/day=2026-11-21/a.csv", f"{tmp_path}/own/x.csv", "published:news"):
        found.check(source)
    found.check(f"{project}/include/sample")
    for source in (
        f"{tmp_path}/data/ledger",
        f"{tmp_path}/data/news/day=2026-11-22/answers.parquet",
        "published:x",
    ):
        with pytest.raises(ConfigurationError):
            found.check(source)
    for source in (f"{project}/.env", f"{project}/x.csv"):
        with pytest.raises(ConfigurationError):
            found.check(source)
    monkeypatch.setenv("NIGHTPRESS_ALLOWED_SOURCES", f"{tmp_path}/more , s3://c@b/p")
    config.allowed_sources([], "2026-11-22").check("s3://c@b/p/a.csv")
    config.allowed_sources([], "2026-11-22").check(f"{tmp_path}/more/a.csv")


def test_roots_of_the_setting() -> None:
    assert read_roots(" /a b , s3://x ,,") == ["/a b", "s3://x"]
    assert read_roots(None) == []
