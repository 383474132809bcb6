"""Write files under the data root so that no partial file is ever visible.

A path is any `universal_pathlib <https://github.com/fsspec/universal_pathlib>`_ path; Airflow's
``ObjectStoragePath`` is one. On a local disk a file is written under a temporary name in the same folder,
synced and renamed; for an object store it is written to a local temporary file and uploaded, because a rename
there is a copy and a delete; an upload in several parts appears when it is completed.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

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

_BLOCK_BYTES = 8 * 2**20
_WRITE_BYTES = 128 * 1024
_PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 4
_MAX_PARTS = 10_000


def open_local(folder: str | Path) -> UPath:
    """Return a folder of this machine as a storage path, for temporary files."""
    return UPath(folder)


def open_reader(path: StoragePath, *, block_bytes: int = _BLOCK_BYTES) -> BinaryIO:
    """Open a binary file for reading.

    :param block_bytes: most bytes that an object store's driver reads ahead. By default s3fs and adlfs read 50 MB
        ahead and hold them several times in each open file, even if only a few bytes are wanted.
    :raises FileNotFoundError: the file does not exist.
    """
    if is_local(path):
        return path.open("rb")
    return cast("BinaryIO", path.open("rb", **block_size(path.fs, block_bytes)))


def block_size(driver: object, block_bytes: int = _BLOCK_BYTES) -> dict[str, Any]:
    """Return the arguments of ``open`` with which a driver reads no more than this ahead."""
    default = getattr(driver, "default_block_size", None) or getattr(driver, "blocksize", None)
    return {"block_size": block_bytes} if isinstance(default, int) and default > block_bytes else {}


def is_local(path: StoragePath) -> bool:
    """Return whether ``path`` is on this machine's file system."""
    return path.protocol in {"", "file", "local"}


@contextmanager
def atomic_writer(
    path: StoragePath, before_replacing: Callable[[StoragePath], object] | None = None
) -> Iterator[BinaryIO]:
    """Open a binary file for writing; it appears under ``path``, complete, when the block ends without an error.

    :param path: the final name; missing parent folders are created.
    :param before_replacing: called with the complete temporary file, on this machine, just before it appears under
        ``path``; if it raises, ``path`` stays unchanged.
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
        with os.fdopen(os.dup(handle), "wb", _WRITE_BYTES) as stream:
            yield stream
        os.fsync(handle)
        if before_replacing is not None:
            before_replacing(open_local(aside))
        if folder is None:
            with store_errors(path):
                path.fs.put_file(
                    str(aside), path.path, **_in_small_parts(type(path.fs), aside.stat().st_size)
                )
        else:
            aside.chmod(_file_mode())
            aside.replace(target)
            _sync_folder(folder)
    finally:
        os.close(handle)
        aside.unlink(missing_ok=True)


def _in_small_parts(driver: type, size: int) -> dict[str, int]:
    """Return the arguments with which a driver uploads a file of this size in parts that take little memory.

    By default s3fs holds ten parts of 50 MB at a time, each twice: a gigabyte for a file of 600 MB.
    """
    upload = getattr(driver, "_put_file", None)
    known = inspect.signature(upload).parameters if upload is not None else {}
    wanted = {"chunksize": max(_PART_BYTES, -(-size // _MAX_PARTS)), "max_concurrency": _PARTS_AT_ONCE}
    return wanted if wanted.keys() <= known.keys() else {}


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
