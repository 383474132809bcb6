"""Writing under the data root so that no half file is ever visible.

A path is any `universal_pathlib <https://github.com/fsspec/universal_pathlib>`_ path; Airflow's
``ObjectStoragePath`` is one. On a local disk a file is written aside in the same folder, synced and
renamed; on an object store it is written to a local temporary file and stored by a single put,
because a rename there is copy and delete.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from upath import UPath
from upath.extensions import ProxyUPath

StoragePath: TypeAlias = UPath | ProxyUPath
"""Any fsspec-backed path, Airflow's ObjectStoragePath included."""


def is_local(path: StoragePath) -> bool:
    """Tell whether ``path`` is on this machine's file system."""
    return path.protocol in {"", "file", "local"}


@contextmanager
def atomic_writer(path: StoragePath) -> Iterator[BinaryIO]:
    """Open a binary file that appears under ``path``, whole, when the block ends without an error.

    :param path: the final name; missing parent folders are made.
    :raises OSError: nothing is left under the final name, nor aside (disk full, no permission).
    """
    if is_local(path):
        target = Path(path.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        folder: Path | None = target.parent
    else:
        folder = None
    handle, aside_name = tempfile.mkstemp(prefix=".", suffix=".aside", dir=folder)
    aside = Path(aside_name)
    try:
        # The handle stays ours: compressors close the stream they are given.
        with os.fdopen(os.dup(handle), "wb") as stream:
            yield stream
        os.fsync(handle)
        if folder is None:
            path.fs.put_file(str(aside), path.path)
        else:
            aside.chmod(0o644)
            aside.replace(target)
            _sync_folder(folder)
    finally:
        os.close(handle)
        aside.unlink(missing_ok=True)


def write_atomically(path: StoragePath, data: bytes) -> None:
    """Store ``data`` under ``path``, whole or not at all."""
    with atomic_writer(path) as stream:
        stream.write(data)


def create_exclusively(path: StoragePath, data: bytes) -> bool:
    """Store ``data`` under ``path`` unless something is there already; False when it was.

    On a local disk the file appears whole by a hard link, which fails if the name is taken. On an object
    store fsspec's ``mode="create"`` is used: a conditional put where the store has one.
    """
    if not is_local(path):
        try:
            path.fs.pipe_file(path.path, data, mode="create")
        except FileExistsError:
            return False
        return True
    target = Path(path.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, aside_name = tempfile.mkstemp(prefix=".", suffix=".aside", dir=target.parent)
    aside = Path(aside_name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.chmod(0o644)
        target.hardlink_to(aside)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(target.parent)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
