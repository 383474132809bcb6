"""Read and list files under the data root as they are now, with as few requests to the store as possible."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from nightpress.storage import StoragePath, is_local, store_errors

_READ_AT_ONCE = 1_000
_VERSION_FIELDS = (
    "ETag",
    "etag",
    "md5Hash",
    "generation",
    "mtime",
    "LastModified",
    "last_modified",
    "updated",
    "created",
)
_MOMENT_FIELDS = ("LastModified", "last_modified", "updated", "mtime", "created")


class Version(NamedTuple):
    """What a listing says about a file.

    :param stamp: differs when the content differs; None when the store gives none, so that the file must be read.
    :param modified: epoch seconds; None when the store does not say.
    """

    stamp: tuple[Any, ...] | None
    modified: float | None


def trust_no_listing(path: StoragePath) -> None:
    """Disable the driver's cache of directory listings, since decisions about money need the current state."""
    cache = getattr(path.fs, "dircache", None)
    if cache is not None and getattr(cache, "use_listings_cache", False):
        cache.use_listings_cache = False
        cache.clear()


def read_bytes(path: StoragePath) -> bytes:
    """Return a file's content with one request, so that a concurrent write is seen completely or not at all.

    :raises FileNotFoundError: the file does not exist.
    """
    if is_local(path):
        return Path(path.path).read_bytes()
    with store_errors(path):
        return bytes(path.fs.cat_file(path.path, **_by_one_request(type(path.fs))))


def _by_one_request(driver: type) -> dict[str, int]:
    """Return the arguments with which a driver reads a whole file with one request.

    By default s3fs asks for the size first, to read a large file in parts: this doubles the requests, and fails when
    the file is replaced in between.
    """
    read = getattr(driver, "_cat_file", None)
    wanted = "max_concurrency"
    return {wanted: 1} if read is not None and wanted in inspect.signature(read).parameters else {}


def list_versions(folder: StoragePath) -> dict[str, Version]:
    """Return the files of a folder by name, each with its version.

    :raises OSError: the store does not answer; a folder that does not exist has no files.
    """
    try:
        if is_local(folder):
            with os.scandir(folder.path) as found:
                return {entry.name: _local_version(entry) for entry in found if entry.is_file()}
        folder.fs.invalidate_cache(folder.path)
        with store_errors(folder):
            infos = folder.fs.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {
        str(info["name"]).rstrip("/").rsplit("/", 1)[-1]: _remote_version(info)
        for info in infos
        if info.get("type") != "directory"
    }


def list_names_from(folder: StoragePath, prefix: str) -> list[str]:
    """Return the names in a folder that begin with a prefix, sorted; most object stores need one request.

    :raises OSError: the store does not answer; a folder that does not exist has no names.
    """
    with store_errors(folder):
        fs, base = folder.fs, folder.path.rstrip("/")
        search = getattr(fs, "_find", None)
        if search is not None and "prefix" in inspect.signature(search).parameters:
            found = [name for name in fs.find(base, prefix=prefix) if name.rpartition("/")[0] == base]
        else:
            try:
                found = fs.ls(folder.path, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                found = []
    names = (str(name).rstrip("/").rpartition("/")[2] for name in found)
    return sorted(name for name in names if name.startswith(prefix))


def _local_version(entry: os.DirEntry[str]) -> Version:
    try:
        found = entry.stat()
    except FileNotFoundError:
        return Version(None, None)
    # A replaced file has another inode, even if the file system's clock is too coarse to show the change.
    return Version((found.st_mtime_ns, found.st_size, found.st_ino), found.st_mtime)


def _remote_version(info: Mapping[str, Any]) -> Version:
    known = [(name, str(info[name])) for name in _VERSION_FIELDS if info.get(name) is not None]
    moments = [info[name] for name in _MOMENT_FIELDS if isinstance(info.get(name), datetime)]
    return Version((*known, info.get("size")) if known else None, moments[0].timestamp() if moments else None)


def read_files(folder: StoragePath, names: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
    """Yield each file's name with its content, or the error of reading it; a file that is gone is left out."""
    for start in range(0, len(names), _READ_AT_ONCE):
        chunk = names[start : start + _READ_AT_ONCE]
        if is_local(folder):
            contents: Sequence[Any] = [_read_local(f"{folder.path}/{name}") for name in chunk]
        else:
            paths = [f"{folder.path.rstrip('/')}/{name}" for name in chunk]
            with store_errors(folder):
                contents = folder.fs.cat_ranges(
                    paths, None, None, on_error="return", **_by_one_request(type(folder.fs))
                )
        for name, content in zip(chunk, contents, strict=True):
            if isinstance(content, FileNotFoundError):
                continue
            if isinstance(content, BaseException) and not isinstance(content, OSError):
                raise content
            yield name, content


def _read_local(path: str) -> bytes | OSError:
    try:
        # Ten thousand Path objects would take longer than ten thousand reads.
        with open(path, "rb") as stream:  # noqa: PTH123
            return stream.read()
    except OSError as error:
        return error
