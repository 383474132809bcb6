from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from upath import UPath

from nightpress.storage import atomic_writer, create_exclusively, write_atomically

MEMORY = "memory://nightpress-storage"


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    return UPath(tmp_path) if request.param == "local" else UPath(f"{MEMORY}/{tmp_path.name}")


def test_a_file_appears_whole_and_replaces_the_old_one(folder: UPath) -> None:
    path = folder / "deep" / "file"
    write_atomically(path, b"old")
    with atomic_writer(path) as stream:
        stream.write(b"ne")
        assert path.read_bytes() == b"old"
        stream.write(b"w")
    assert path.read_bytes() == b"new"


def test_an_error_leaves_the_old_file_and_nothing_beside_it(folder: UPath) -> None:
    path = folder / "file"
    write_atomically(path, b"old")
    with pytest.raises(RuntimeError, match="boom"), atomic_writer(path) as stream:
        stream.write(b"half")
        raise RuntimeError("boom")
    assert path.read_bytes() == b"old"
    assert [child.name for child in folder.iterdir()] == ["file"]


FULL_DISK = """
import resource, signal, sys
from upath import UPath
from nightpress.storage import atomic_writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with atomic_writer(UPath(sys.argv[1])) as stream:
        for _ in range(100):
            stream.write(b"x" * 10_000)
except OSError as error:
    print(type(error).__name__)
"""


def test_a_full_disk_shows_no_half_file(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow, as a full disk does."""
    path = tmp_path / "answers.parquet"
    path.write_bytes(b"yesterday")
    project = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True, cwd=project
    )
    assert done.stdout == "OSError\n"
    assert path.read_bytes() == b"yesterday"
    assert [child.name for child in tmp_path.iterdir()] == ["answers.parquet"]


def test_only_one_of_many_creates_a_file(tmp_path: Path) -> None:
    path = UPath(tmp_path / "claim")
    won: list[int] = []

    def claim(number: int) -> None:
        if create_exclusively(path, str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert path.read_bytes() == str(won[0]).encode()


def test_a_store_refuses_what_is_there(folder: UPath) -> None:
    path = folder / "claim"
    assert create_exclusively(path, b"first")
    assert not create_exclusively(path, b"second")
    assert path.read_bytes() == b"first"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_files_respect_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically(UPath(tmp_path / "deep" / "answers.parquet"), b"x")
        assert create_exclusively(UPath(tmp_path / "deep" / "claim"), b"x")
    finally:
        os.umask(before)
    for name in ("answers.parquet", "claim"):
        assert (tmp_path / "deep" / name).stat().st_mode & 0o777 == mode
