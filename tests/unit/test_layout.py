"""References stay below the data root, whoever wrote them and wherever the root is now."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from nightpress.errors import ConfigurationError, InvalidReferenceError
from nightpress.layout import (
    DataRoot,
    check_day,
    check_pipeline_name,
    is_run_folder_name,
    list_names,
    run_folder_name,
)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(UPath((tmp_path / "data").as_uri()))


def test_a_path_below_the_root_round_trips_as_a_reference(root: DataRoot) -> None:
    path = root.run_folder("tickets", "2026-11-22", "manual__1") / "requests-00000.json"
    assert root.reference(path) == "runs/tickets/2026-11-22/manual__1/requests-00000.json"
    assert root.open(root.reference(path)) == path


def test_a_whole_url_of_an_earlier_version_is_read_even_when_the_root_was_moved(root: DataRoot) -> None:
    tail = "runs/tickets/2026-11-22/manual__1/requests-00000.json"
    for url in (
        str(root.path / "runs" / "tickets" / "2026-11-22" / "manual__1" / "requests-00000.json"),
        f"file:///somewhere/else/data/{tail}",
        f"s3://another_conn@bucket/prefix/{tail}",
        f"/mnt/old/{tail}",
    ):
        assert root.reference(root.open(url)) == tail


@pytest.mark.parametrize(
    "reference",
    [
        "../x",
        "runs/../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/secret",
        "",
        "runs//x",
        "runs/./x",
        "runs/a\x00b",
        "runs\\..\\x",
        "memory://x/runs/../../y",
        "%2e%2e/x",
        "runs/%2E%2e/x",
        "runs/%252e%252e/x",
        "..%2f..%2fetc",
        "runs/a%5Cb",
        "runs/a%00b",
        "runs/x\n",
        "runs/x\x85y",
        "\u202eruns/x",
        "runs/\ud800",
        "runs/" + "x" * 300,
        "x/" * 3_000 + "y",
        "FILE:///etc/passwd",
        "//etc/passwd",
        "https://host/etc/passwd",
        "s3://b/runs/%2e%2e/%2e%2e/etc",
        "zip://a::runs/x/..",
    ],
)
def test_a_reference_that_leads_out_of_the_root_is_refused(root: DataRoot, reference: str) -> None:
    with pytest.raises(InvalidReferenceError, match="data root"):
        root.open(reference)


@given(st.text(max_size=60))
def test_no_reference_ever_opens_a_path_outside_the_root(reference: str) -> None:
    root = DataRoot(UPath("memory://root/data"))
    try:
        path = root.open(reference)
    except InvalidReferenceError:
        return
    assert path.path.startswith(f"{root.path.path.rstrip('/')}/")
    assert ".." not in path.path.split("/")


def test_a_path_of_another_root_has_no_reference(root: DataRoot, tmp_path: Path) -> None:
    with pytest.raises(InvalidReferenceError, match="not below"):
        root.reference(UPath((tmp_path / "database").as_uri()) / "x")


@given(st.text(st.characters(codec=None), max_size=200))
def test_every_run_id_has_a_folder_name_that_is_safe(run_id: str) -> None:
    assert is_run_folder_name(run_folder_name(run_id))


@pytest.mark.parametrize("name", ["", "a/b", "..", "ledger", "runs", "a" * 101, "naïve", "a b"])
def test_an_invalid_pipeline_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="invalid pipeline name"):
        check_pipeline_name(name)


@pytest.mark.parametrize("day", ["", "2026-02-30", "20261122", "2026-11-22T00:00", None, 20261122, "today"])
def test_an_invalid_day_is_refused(day: object) -> None:
    with pytest.raises(ConfigurationError, match="invalid day"):
        check_day(day)


def test_names_of_a_missing_folder_are_none(root: DataRoot) -> None:
    assert list_names(root.path / "nothing") == []
