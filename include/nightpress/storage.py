"""Write files under the data root so that no partial file is ever visible.

A path is any `universal_pathlib <https://github.com/fsspec/universal_pathlib>`_ path; Airflow's
``ObjectStoragePath`` is one. On a local disk a file is written under a temporary name in the same folder,
synced and renamed; for an object store it is written to a local temporary file and uploaded by a single
put, because a rename there is a copy and a delete.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import msgspec
from upath import UPath
from upath.extensions import ProxyUPath

from nightpress.errors import NightpressError
from nightpress.exclusive_create import check_exclusive_create, create_if_absent

if TYPE_CHECKING:
    pass

INVALID_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors that msgspec raises for bytes that are not the expected JSON; the last two are not its own classes."""

StoragePath: TypeAlias = UPath | ProxyUPath
"""Any fsspec-backed path, Airflow's ObjectStoragePath included."""


_DRIVERS = {
    "botocore",
    "aiobotocore",
    "aiohttp",
    "boto3",
    "google",
    "gcsfs",
    "azure",
    "adlfs",
    "fsspec",
    "s3fs",
}


def open_local(folder: str | Path) -> UPath:
    """Return a folder of this machine as a storage path, for temporary files."""
    return UPath(folder)


def is_local(path: StoragePath) -> bool:
    """Return whether ``path`` is on this machine's file system."""
    return path.protocol in {"", "file", "local"}


@contextmanager
def atomic_writer(path: StoragePath) -> Iterator[BinaryIO]:
    """Open a binary file for writing; it appears under ``path``, complete, when the block ends without an error.

    :param path: the final name; missing parent folders are created.
    :raises OSError: disk full, no permission, …; no file is left under the final or the temporary name.
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
        # A duplicate handle, since compressors close the stream that they are given.
        with os.fdopen(os.dup(handle), "wb") as stream:
            yield stream
        os.fsync(handle)
        if folder is None:
            with store_errors(path):
                path.fs.put_file(str(aside), path.path)
        else:
            aside.chmod(_file_mode())
            aside.replace(target)
            _sync_folder(folder)
    finally:
        os.close(handle)
        aside.unlink(missing_ok=True)


def write_atomically(path: StoragePath, data: bytes) -> None:
    """Store ``data`` under ``path``, completely or not at all."""
    with atomic_writer(path) as stream:
        stream.write(data)


def create_exclusively(path: StoragePath, data: bytes) -> bool:
    """Store ``data`` under ``path`` unless the file exists; return False if it does.

    On a local disk a hard link makes the complete file appear, and fails if the name is taken. For object stores
    see :mod:`nightpress.exclusive_create`.
    """
    if not is_local(path):
        with store_errors(path):
            return create_if_absent(path.fs, path.path, data)
    target = Path(path.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, aside_name = tempfile.mkstemp(prefix=".", suffix=".aside", dir=target.parent)
    aside = Path(aside_name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.chmod(_file_mode())
        target.hardlink_to(aside)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(target.parent)
    return True


def check_exclusive_creates(folder: StoragePath) -> None:
    """Make sure that :func:`create_exclusively` has exactly one winner in a folder's store.

    :raises ConfigurationError: it may have two, and the environment does not accept the risk.
    """
    if not is_local(folder):
        with store_errors(folder):
            check_exclusive_create(folder.fs, folder.path)


@contextmanager
def store_errors(path: StoragePath) -> Iterator[None]:
    """Raise the errors of an object store's driver as :class:`OSError` with a message that names the store.

    :raises OSError: the store cannot be reached, or refuses the credentials.
    """
    try:
        yield
    except (OSError, NightpressError):
        raise
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _DRIVERS:
            raise
        raise OSError(
            f"the store of {path} does not answer ({type(error).__name__}: {str(error)[:300]}); is it reachable "
            "from this machine, and are its credentials known here?"
        ) from error


def _file_mode() -> int:
    """Return the mode of a new file under the umask; temporary files always have 0600."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - setting the umask to read it is seen by all threads
            found = next(line for line in status if line.startswith("Umask:"))
        return 0o666 & ~int(found.split()[1], 8)
    except (OSError, StopIteration, ValueError):
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
