"""Restrict the sources that a trigger form may name; sources in DAG files are not restricted.

A source is allowed if it is below one of a few roots, by scheme, connection and path, after symbolic links
are followed. A chained URL (``zip://…::…``), a path with ``..``, a named pipe or a device is never allowed.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from nightpress.articles.published_source import Published
from nightpress.articles.source_files import SourceFile
from nightpress.errors import ConfigurationError
from nightpress.storage import is_local

_GLOB = re.compile(r"[*?\[{]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class AllowedSources:
    """The roots below which a form may name sources.

    :param roots: absolute local paths, or URLs such as ``s3://connection@bucket/prefix``.
    :param pipelines: pipelines whose published days a form may name.
    """

    roots: tuple[str, ...]
    pipelines: frozenset[str] = frozenset()

    def check(self, source: str) -> None:
        """Refuse a source that a form may not name, without accessing it.

        :param source: the absolute source as it will be opened, with the day filled in.
        :raises ConfigurationError: it is not allowed; the message says what is allowed, not what exists.
        """
        published = Published.of_source(source)
        if published is not None:
            if published.pipeline not in self.pipelines:
                raise ConfigurationError(
                    f"the source {source!r:.200} is not allowed: this pipeline's declaration names no published "
                    f"pipeline {published.pipeline!r:.100}",
                    code="source_not_allowed",
                )
            return
        place = _place(source)
        if place is None or not any(
            _is_below(place, root) for root in map(_place, self.roots) if root is not None
        ):
            raise self._refusal(source)

    def check_files(self, files: Iterable[SourceFile]) -> None:
        """Refuse files behind links out of the roots, files that are not regular, and Iceberg tables.

        The metadata of an Iceberg table can name files on any store.

        :raises ConfigurationError: a file is refused; the message names it.
        """
        for file in files:
            if file.format == "iceberg":
                raise ConfigurationError(
                    f"the source {str(file.path)!r:.200} is an Iceberg table, which names its files by their whole "
                    "addresses; a trigger form may not name it. Name it where the pipeline is declared, or write "
                    "the rows as Parquet",
                    code="source_not_allowed",
                )
            if is_local(file.path):
                self._check_local(Path(file.path.path))

    def _check_local(self, path: Path) -> None:
        self.check(str(path))
        if path.is_dir():  # a Delta table, read by a library that follows links
            parts = [part for part in path.rglob("*") if part.is_symlink() or not part.is_dir()]
        else:
            parts = [path] if path.exists() else []
        for part in parts:
            if (part != path and part.is_symlink()) or not stat.S_ISREG(part.stat().st_mode):
                raise ConfigurationError(
                    f"the source {str(part)!r:.200} is not a regular file; nothing was read",
                    code="source_not_allowed",
                )

    def _refusal(self, source: str) -> ConfigurationError:
        return ConfigurationError(
            f"the source {source!r:.200} is not one that a trigger form may name; allowed are sources below "
            f"{', '.join(self.roots)}. Nothing was read. Put the articles there, or have a "
            "folder added to NIGHTPRESS_ALLOWED_SOURCES, or to the pipeline's allowed_sources.",
            code="source_not_allowed",
        )


def _place(source: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Return scheme, store and path of a source up to its first pattern; None if it is never allowed."""
    if "::" in source or _CONTROL.search(source) or "\\" in source:
        return None
    if "://" not in source:
        scheme, store, path = "file", "", source
    else:
        try:
            parts = urlsplit(source.replace("?", "*").replace("#", "*"))
        except ValueError:
            return None
        scheme, store, path = parts.scheme.lower(), parts.netloc, parts.path
    pieces = [piece for piece in path.split("/") if piece]
    if any(piece in {".", ".."} for piece in pieces):
        return None
    patterns = [number for number, piece in enumerate(pieces) if _GLOB.search(piece)]
    pieces = pieces[: patterns[0]] if patterns else pieces
    if scheme in {"file", "local"}:
        if store or not path.startswith("/"):
            return None
        # Resolve links, because the target of a link is what is read.
        return "file", "", Path("/", *pieces).resolve().parts[1:]
    return scheme, store, tuple(pieces)


def _is_below(place: tuple[str, str, tuple[str, ...]], root: tuple[str, str, tuple[str, ...]]) -> bool:
    return place[:2] == root[:2] and place[2][: len(root[2])] == root[2]


def fixed_part(source: str) -> str:
    """Return a source up to its first pattern or ``{day}``: the root that a DAG file allows by naming it."""
    pieces = source.split("/")
    patterns = [number for number, piece in enumerate(pieces) if _GLOB.search(piece)]
    return "/".join(pieces[: patterns[0]]) if patterns else source


def read_roots(setting: str | None) -> Collection[str]:
    """Return the comma-separated roots of ``NIGHTPRESS_ALLOWED_SOURCES``."""
    return [root.strip() for root in (setting or "").split(",") if root.strip()]
