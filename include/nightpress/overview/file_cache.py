"""The decoded files of a folder, cached; a file is read again only when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from nightpress.storage import StoragePath
from nightpress.store_reads import Version, list_versions, read_files

T = TypeVar("T")


class _Kept(NamedTuple, Generic[T]):
    version: Version
    value: T


class FileCache(Generic[T]):
    """The contents of the JSON files of one folder.

    :param decode: makes a value of a file's name, its content (or the error of reading it) and its modification time.
    :param limit: most files kept, the newest ones; the others are counted in ``left_out``.
    :param read: reads some of the folder's files, given the listing of all; None reads them one by one.
    """

    def __init__(
        self,
        folder: StoragePath,
        decode: Callable[[str, bytes | OSError, float | None], T],
        *,
        limit: int,
        read: Callable[[Sequence[str], Mapping[str, Version]], Iterator[tuple[str, bytes | OSError]]]
        | None = None,
    ) -> None:
        self._folder = folder
        self._read = read or (lambda names, _: read_files(folder, names))
        self._decode = decode
        self._limit = limit
        self._kept: dict[str, _Kept[T]] = {}
        self.left_out = 0
        self.reads = 0

    @property
    def values(self) -> list[T]:
        """What is kept, in no particular order."""
        return [kept.value for kept in self._kept.values()]

    def items(self) -> list[tuple[str, T]]:
        """Return what is kept, with the file's name."""
        return [(name, kept.value) for name, kept in self._kept.items()]

    def get(self, name: str) -> T | None:
        """Return what a file holds, or None when it is not there."""
        kept = self._kept.get(name)
        return kept.value if kept else None

    def refresh(self) -> bool:
        """List the folder, read what changed, and return whether anything did.

        :raises OSError: the store cannot be asked; what was kept stays.
        """
        listed = {
            name: version
            for name, version in list_versions(self._folder).items()
            if name.endswith(".json") and not name.startswith(".")
        }
        versions = self._newest(listed)
        stale = [name for name, version in versions.items() if self._is_stale(name, version)]
        gone = self._kept.keys() - versions.keys()
        found = {
            name: _Kept(versions[name], self._decode(name, content, versions[name].modified))
            for name, content in self._read(stale, listed)
        }
        self.reads += len(stale)
        for name in gone:
            del self._kept[name]
        self._kept |= found
        return bool(gone or found)

    def _is_stale(self, name: str, version: Version) -> bool:
        kept = self._kept.get(name)
        return kept is None or version.stamp is None or kept.version.stamp != version.stamp

    def _newest(self, versions: dict[str, Version]) -> dict[str, Version]:
        self.left_out = max(0, len(versions) - self._limit)
        if not self.left_out:
            return versions
        newest = sorted(versions, key=lambda name: versions[name].modified or 0.0, reverse=True)
        return {name: versions[name] for name in newest[: self._limit]}
