"""One file with copies of a large ledger's entries, so that listing the entries does not read each of them.

Each copy is stored with the entry's version from the store's listing (ETag or generation). A copy is used only
while the listing shows the same version, so the snapshot never returns an outdated entry. It may be old, damaged or
deleted at any time; entries are then read one by one.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from nightpress.folders import LedgerFolder
from nightpress.storage import INVALID_JSON, StoragePath, write_atomically
from nightpress.store_reads import Version, read_bytes, read_files

log = logging.getLogger(__name__)

FEW_ENTRIES = 1_000
"""Up to this many entries are read one by one; the snapshot is worth a request only for more."""


class _Copy(msgspec.Struct, array_like=True, frozen=True):
    stamp: str
    content: bytes


class LedgerSnapshot:
    """The snapshot of the ledger of one API.

    :param folder: of the API's ledger.
    """

    def __init__(self, folder: StoragePath) -> None:
        self._folder = folder
        self._path = LedgerFolder(folder).snapshot

    def read_files(
        self, names: Sequence[str], versions: Mapping[str, Version]
    ) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield files of the ledger's folder with their contents, as :func:`nightpress.store_reads.read_files` does.

        :param versions: the current listing, of these and of all other entries.
        """
        if len(names) <= FEW_ENTRIES:
            yield from read_files(self._folder, names)
            return
        copies = self._read()
        rest, kept = [], {}
        for name in names:
            copy = copies.get(name)
            if copy is not None and copy.stamp == _stamp(versions.get(name)):
                kept[name] = copy
                yield name, copy.content
            else:
                rest.append(name)
        for name, content in read_files(self._folder, rest):
            stamp = _stamp(versions.get(name))
            if isinstance(content, bytes) and stamp:
                kept[name] = _Copy(stamp, content)
            yield name, content
        if len(rest) > FEW_ENTRIES:
            self._write(
                kept | {name: copy for name, copy in copies.items() if name in versions and name not in kept}
            )

    def _read(self) -> dict[str, _Copy]:
        try:
            return msgspec.msgpack.decode(gzip.decompress(read_bytes(self._path)), type=dict[str, _Copy])
        except FileNotFoundError:
            return {}
        except (OSError, EOFError, zlib.error, *INVALID_JSON) as error:
            log.warning("the snapshot of the ledger cannot be read (%s); entries are read one by one", error)
            return {}

    def _write(self, copies: Mapping[str, _Copy]) -> None:
        try:
            write_atomically(self._path, gzip.compress(msgspec.msgpack.encode(copies), 1))
        except OSError as error:
            log.info("the snapshot of the ledger was not stored (%s)", error)


def _stamp(version: Version | None) -> str:
    """Return a version as text; empty when the store gives none, so that the entry must be read."""
    return repr(version.stamp) if version is not None and version.stamp else ""
