"""Writing under the data root so that no half file is ever visible.

A path is any `universal_pathlib <https://github.com/fsspec/universal_pathlib>`_ path; Airflow's
``ObjectStoragePath`` is one. On a local disk a file is written aside in the same folder, synced and
renamed; on an object store it is written to a local temporary file and stored by a single put,
because a rename there is copy and delete.
"""

from __future__ import annotations

import inspect
import io
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

import msgspec
from upath import UPath
from upath.extensions import ProxyUPath

from nightpress.errors import NightpressError
from nightpress.exclusive_create import check_exclusive_create, create_if_absent

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

INVALID_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON they should be; the second is no error of its own."""

StoragePath: TypeAlias = UPath | ProxyUPath
"""Any fsspec-backed path, Airflow's ObjectStoragePath included."""


_READ_AT_ONCE = 1_000
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
    """What is known of a file without reading it.

    :param stamp: equal for equal contents; None when the store tells nothing, so that it must be read.
    :param modified: epoch seconds; None when the store does not say.
    """

    stamp: tuple[Any, ...] | None
    modified: float | None


def open_local(folder: str | Path) -> UPath:
    """Return a folder of this machine as a storage path, for what is made aside."""
    return UPath(folder)


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
    """Store ``data`` under ``path``, whole or not at all."""
    with atomic_writer(path) as stream:
        stream.write(data)


def as_arrow_file(stream: IO[bytes] | io.RawIOBase) -> pa.PythonFile:
    """Return an open stream as Arrow's readers take it."""
    import pyarrow as pa

    return pa.PythonFile(stream, mode="r")


@contextmanager
def open_parquet(path: StoragePath, *, read_dictionary: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file for reading.

    :param read_dictionary: text columns with few values, which then take little memory; absent ones are ignored.
    :raises FileNotFoundError: there is none.
    :raises pyarrow.ArrowInvalid: the file is damaged or no Parquet.
    """
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        file = as_arrow_file(stream)
        metadata = pq.read_metadata(file)
        known = [name for name in read_dictionary if name in metadata.schema.names]
        yield pq.ParquetFile(file, metadata=metadata, read_dictionary=known or None)


def read_parquet(path: StoragePath, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some columns of it, into memory."""
    with open_parquet(path) as file:
        return file.read(columns=None if columns is None else list(columns))


@contextmanager
def parquet_writer(
    path: StoragePath, schema: pa.Schema, distinct: Collection[str] = ()
) -> Iterator[pq.ParquetWriter]:
    """Open a Parquet file for writing that appears under ``path``, whole, when the block ends without an error.

    :param distinct: columns whose values hardly repeat; a dictionary of them takes time and no less space.
    """
    import pyarrow.parquet as pq

    repeating = [name for field in schema if field.name not in distinct for name in _leaves(field)]
    with (
        atomic_writer(path) as stream,
        pq.ParquetWriter(stream, schema, compression="zstd", use_dictionary=repeating) as writer,
    ):
        yield writer


def _leaves(field: pa.Field, prefix: str = "") -> Iterator[str]:
    """Yield the names that Parquet gives to a column, or to the parts of a nested one."""
    import pyarrow as pa

    name = prefix + field.name
    if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
        yield from _leaves(field.type.value_field.with_name("element"), f"{name}.list.")
    elif pa.types.is_struct(field.type):
        for part in field.type:
            yield from _leaves(part, f"{name}.")
    else:
        yield name


def write_parquet(table: pa.Table, path: StoragePath) -> None:
    """Store a table as one Parquet file, whole or not at all."""
    with parquet_writer(path, table.schema) as writer:
        writer.write_table(table)


def create_exclusively(path: StoragePath, data: bytes) -> bool:
    """Store ``data`` under ``path`` unless something is there already; False when it was.

    On a local disk the file appears whole by a hard link, which fails if the name is taken. What object stores
    do is in :mod:`nightpress.exclusive_create`.
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

    :raises ConfigurationError: it may have two, and the risk was not taken knowingly.
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


def trust_no_listing(path: StoragePath) -> None:
    """Let the store's driver keep no directory listings: what decides about money must be seen as it is now."""
    cache = getattr(path.fs, "dircache", None)
    if cache is not None and getattr(cache, "use_listings_cache", False):
        cache.use_listings_cache = False
        cache.clear()


def read_bytes(path: StoragePath) -> bytes:
    """Return a file's content by one request; what is written in between is seen whole or not at all.

    :raises FileNotFoundError: there is none.
    """
    if is_local(path):
        return Path(path.path).read_bytes()
    with store_errors(path):
        return bytes(path.fs.cat_file(path.path, **_by_one_request(type(path.fs))))


def _by_one_request(driver: type) -> dict[str, int]:
    """Return the arguments with which a driver reads a whole file by one request.

    s3fs would ask for the size first, to read a large file in parts: twice the requests, and an error when the file
    is replaced in between.
    """
    read = getattr(driver, "_cat_file", None)
    wanted = "max_concurrency"
    return {wanted: 1} if read is not None and wanted in inspect.signature(read).parameters else {}


def list_versions(folder: StoragePath) -> dict[str, Version]:
    """Return each file of a folder with what tells one content of it from the next.

    :raises OSError: the store cannot be asked; a folder that does not exist has no files.
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
    """Return the names in a folder that begin with a text, sorted; on most object stores by one request.

    :raises OSError: the store cannot be asked; a folder that does not exist has no names.
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
    # A replaced file is another inode, however coarse the clock of the file system is.
    return Version((found.st_mtime_ns, found.st_size, found.st_ino), found.st_mtime)


def _remote_version(info: Mapping[str, Any]) -> Version:
    known = [(name, str(info[name])) for name in _VERSION_FIELDS if info.get(name) is not None]
    moments = [info[name] for name in _MOMENT_FIELDS if isinstance(info.get(name), datetime)]
    return Version((*known, info.get("size")) if known else None, moments[0].timestamp() if moments else None)


def read_files(folder: StoragePath, names: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
    """Yield files of a folder, many at a time, or why one cannot be read; one that is gone is left out."""
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


def _file_mode() -> int:
    """Return the mode of a new file under the umask; files made aside have 0600 whatever it is."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - setting the umask to read it is seen by all threads
            found = next(line for line in status if line.startswith("Umask:"))
        return 0o666 & ~int(found.split()[1], 8)
    except (OSError, StopIteration, ValueError):
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


def _read_local(path: str) -> bytes | OSError:
    try:
        # Ten thousand Path objects would take longer than ten thousand reads.
        with open(path, "rb") as stream:  # noqa: PTH123
            return stream.read()
    except OSError as error:
        return error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
