"""List the files below the data root by kind, with sizes: one listing of the store, without opening files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nightpress.layout import DataRoot, is_day, is_pipeline_name
from nightpress.storage import is_local, store_errors

BODIES, RAW, RESULTS, ARTICLES, OTHER = (
    "staged bodies",
    "raw results",
    "results",
    "staged articles",
    "plans and notes of runs",
)
"""Kinds of files of a run."""

PUBLISHED, LEFTOVERS = "published days", "leftovers of killed writers"

_OF_RUNS = (
    (re.compile(r"requests-[0-9a-z-]+\.json(\.zst)?"), BODIES),
    (re.compile(r"raw-[0-9a-z-]+\.jsonl\.zst"), RAW),
    (re.compile(r"(results|reused)-[0-9a-z-]+\.parquet|checks-[0-9a-z-]+\.json"), RESULTS),
    (re.compile(r"(articles|rows)-[0-9a-z-]+\.parquet|rejected\.parquet"), ARTICLES),
)
_AREAS = {
    "ledger": "ledger",
    "receipts": "receipts",
    "publications": "earlier publications",
    "reports": "reports",
    "comparisons": "comparisons",
    "inbox": "inbox",
    "model_lists": "lists of models",
    "local_api": "offline API",
    "offline_api": "offline API",
}
_MOMENTS = ("LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file.

    :param reference: its path below the data root.
    :param modified: epoch seconds; None if the store does not state it.
    """

    reference: str
    size_bytes: int
    modified: float | None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.reference.rsplit("/", 1)[-1]

    @property
    def kind(self) -> str:
        """The file's kind."""
        if self.name.startswith(".") and self.name.endswith(".aside"):
            return LEFTOVERS
        area, _, rest = self.reference.partition("/")
        if area == "runs":
            return next((kind for pattern, kind in _OF_RUNS if pattern.fullmatch(self.name)), OTHER)
        if area in _AREAS:
            return _AREAS[area]
        return PUBLISHED if rest and is_pipeline_name(area) else "other files"

    @property
    def run(self) -> str:
        """Reference of its run's folder; empty for a file outside run folders."""
        parts = self.reference.split("/")
        return "/".join(parts[:4]) if len(parts) > 4 and parts[0] == "runs" and is_day(parts[2]) else ""


@dataclass(frozen=True, slots=True)
class StoredAmount:
    """Number and size of some files."""

    files: int = 0
    size_bytes: int = 0


def list_files(root: DataRoot, reference: str = "") -> list[StoredFile]:
    """Return the files below the data root, or below a folder of it; a missing folder has none.

    :raises OSError: the store cannot be reached.
    """
    folder = root.open(reference) if reference else root.path
    if hasattr(folder.fs, "invalidate_cache"):
        folder.fs.invalidate_cache()
    base = root.path.path.rstrip("/")
    with store_errors(folder):
        found = folder.fs.find(folder.path, detail=True)
    return sorted(_read(found, base), key=lambda file: file.reference)


def _read(found: Mapping[str, Mapping[str, Any]], base: str) -> Iterator[StoredFile]:
    for path, info in found.items():
        size = info.get("size")
        if info.get("type") == "directory" or info.get("islink") or not path.startswith(f"{base}/"):
            continue
        yield StoredFile(path[len(base) + 1 :], int(size or 0), _moment(info))


def _moment(info: Mapping[str, Any]) -> float | None:
    for name in _MOMENTS:
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    return None


def add_up(files: Iterable[StoredFile]) -> dict[str, StoredAmount]:
    """Return number and size of the files of each kind, the largest first."""
    sums: dict[str, StoredAmount] = {}
    for file in files:
        before = sums.get(file.kind, StoredAmount())
        sums[file.kind] = StoredAmount(before.files + 1, before.size_bytes + file.size_bytes)
    return dict(sorted(sums.items(), key=lambda each: -each[1].size_bytes))


def remove_file(root: DataRoot, file: StoredFile) -> bool:
    """Remove a file; return False if it was already gone."""
    path = root.open(file.reference)
    try:
        with store_errors(path):
            path.fs.rm_file(path.path)
    except FileNotFoundError:
        return False
    if is_local(path):
        _remove_empty(root, file)
    return True


def _remove_empty(root: DataRoot, file: StoredFile) -> None:
    """Remove folders of a run that are empty without the file; object stores have no folders."""
    parts = file.reference.split("/")[:-1]
    while len(parts) > 1:
        folder = root.open("/".join(parts))
        try:
            folder.fs.rmdir(folder.path)
        except OSError:
            return
        parts.pop()
