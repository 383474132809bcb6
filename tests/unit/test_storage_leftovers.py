"""What killed processes leave behind is removed, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from nightpress.storage import write_atomically
from nightpress.storage_leftovers import OLD_SECONDS, remove_leftovers
from tests.support.s3_server import options, s3_server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UPath]:
    pytest.importorskip("s3fs")
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        path = UPath("s3://leftovers/root", **options(url))
        path.fs.call_s3("create_bucket", Bucket="leftovers")
        yield path


def test_old_temporary_files_of_ours_are_removed(temporary: Path, tmp_path: Path) -> None:
    now = time.time()
    for name in (".old.aside", ".new.aside", "other.aside", ".other"):
        (temporary / name).write_bytes(b"x")
        os.utime(temporary / name, (now, now - (0 if "new" in name else OLD_SECONDS + 1)))
    assert remove_leftovers(UPath(tmp_path), now) == 1
    assert sorted(path.name for path in temporary.iterdir()) == [".new.aside", ".other", "other.aside"]


def test_unfinished_uploads_below_the_root_are_aborted_a_day_later(root: UPath) -> None:
    begin = lambda key: root.fs.call_s3("create_multipart_upload", Bucket="leftovers", Key=key)["UploadId"]  # noqa: E731
    ours, others = begin("root/paper/answers.parquet"), begin("rooted/elsewhere")
    root.fs.call_s3(
        "upload_part",
        Bucket="leftovers",
        Key="root/paper/answers.parquet",
        UploadId=ours,
        PartNumber=1,
        Body=b"x",
    )
    write_atomically(root / "kept", b"x")
    begun = root.fs.call_s3("list_multipart_uploads", Bucket="leftovers")["Uploads"][0][
        "Initiated"
    ].timestamp()
    assert remove_leftovers(root, begun + OLD_SECONDS - 1) == 0
    assert remove_leftovers(root, begun + OLD_SECONDS + 1) == 1
    left = root.fs.call_s3("list_multipart_uploads", Bucket="leftovers")["Uploads"]
    assert [upload["UploadId"] for upload in left] == [others]
    assert (root / "kept").read_bytes() == b"x"


def test_a_store_that_refuses_to_list_uploads_fails_nothing(
    root: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Forbidden")

    monkeypatch.setattr(root.fs, "call_s3", refuse)
    assert remove_leftovers(root, time.time()) == 0
