"""A shard: what one batch is made of, and where its files are."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from nightpress.errors import ConfigurationError
from nightpress.folders import RunFolder
from nightpress.storage import StoragePath

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_REQUESTS = re.compile(r"requests-(?P<name>[0-9a-z-]+)\.json")


SECOND_ROUND_PREFIX = "r2-"
"""Prefix of the names of a second round's shards."""

GIVEN_PREFIX = "given-"
"""Prefix of the names of shards of hand-made requests."""


def has_no_second_round(uri: str) -> bool:
    """Return whether what a shard's batch leaves unanswered goes into no other shard: a second round, or hand-made."""
    matched = _REQUESTS.fullmatch(uri.rsplit("/", 1)[-1])
    return matched is not None and matched["name"].startswith((SECOND_ROUND_PREFIX, GIVEN_PREFIX))


def shard_key_of(file: pq.ParquetFile) -> str:
    """Return the key of the shard whose articles or results a Parquet file has; empty if it does not say so."""
    metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    return metadata.get(b"shard_key", b"").decode()


_ARTICLES = re.compile(r"articles-(?P<name>[0-9a-z-]+)\.parquet")


def name_of_articles(file_name: str) -> str | None:
    """Return the name of the shard whose articles a file of this name has; None for another file."""
    matched = _ARTICLES.fullmatch(file_name)
    return matched["name"] if matched else None


class _Reference(msgspec.Struct):
    uri: Annotated[str, Meta(max_length=4_000)]
    articles: Annotated[int, Meta(ge=0, le=1_000_000_000)]
    bytes: Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
    key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,128}\Z")]
    betas: tuple[str, ...] = ()
    look_only: bool | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A small reference to a shard's files; the only form in which a shard travels between tasks.

    :param uri: where the POST body is, e.g. ``…/runs/<pipeline>/<day>/<run>/requests-00000.json``.
    :param articles: requests in the body.
    :param bytes: size of the body.
    :param key: the shard key, 64 hexadecimal characters.
    :param betas: beta headers that its batch is created with.
    :param look_only: the budget does not allow sending it; only a batch that may exist already is looked for.
    """

    uri: str
    articles: int
    bytes: int
    key: str
    betas: tuple[str, ...] = ()
    look_only: bool = False

    @classmethod
    def from_reference(cls, reference: Any) -> Shard:
        """Read what :meth:`to_reference` returned, for instance from XCom.

        :raises ConfigurationError: it is not a shard reference.
        """
        try:
            found = msgspec.convert(reference, _Reference)
        except (msgspec.ValidationError, RecursionError):
            raise ConfigurationError(
                "a shard reference needs uri, articles, bytes and key, as ReadArticlesOperator returns them; "
                f"got {type(reference).__name__}"
            ) from None
        if not _REQUESTS.fullmatch(found.uri.rsplit("/", 1)[-1]):
            raise ConfigurationError(f"shard uri {found.uri!r:.300} does not end in requests-<name>.json")
        return cls(found.uri, found.articles, found.bytes, found.key, found.betas, bool(found.look_only))

    def to_reference(self) -> dict[str, Any]:
        """Return the reference as plain JSON values."""
        values = asdict(self)
        betas, look_only = values.pop("betas"), values.pop("look_only")
        return values | ({"betas": list(betas)} if betas else {}) | ({"look_only": True} if look_only else {})

    @property
    def name(self) -> str:
        """The shard's name within its run, e.g. ``00000``."""
        matched = _REQUESTS.fullmatch(self.uri.rsplit("/", 1)[-1])
        return matched["name"] if matched else self.uri

    @property
    def round(self) -> int:
        """1 for the first sending, 2 for the second."""
        return 2 if self.name.startswith(SECOND_ROUND_PREFIX) else 1


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files of one shard, side by side in its run's folder."""

    folder: StoragePath
    name: str

    @classmethod
    def beside(cls, requests: StoragePath) -> ShardFiles:
        """Return the files beside a POST body."""
        matched = _REQUESTS.fullmatch(requests.name)
        if not matched:
            raise ConfigurationError(
                f"{requests.name!r} is not the name of a POST body: requests-<name>.json"
            )
        return cls(requests.parent, matched["name"])

    @classmethod
    def of_results(cls, results: StoragePath) -> ShardFiles:
        """Return the files beside a shard's results."""
        return cls(results.parent, results.name.removeprefix("results-").removesuffix(".parquet"))

    @property
    def requests(self) -> StoragePath:
        """The exact POST body."""
        return RunFolder(self.folder).requests(self.name)

    @property
    def articles(self) -> StoragePath:
        """The shard's articles, in the order of the body."""
        return RunFolder(self.folder).articles(self.name)

    @property
    def raw(self) -> StoragePath:
        """The result stream, untouched."""
        return RunFolder(self.folder).raw(self.name)

    @property
    def checks(self) -> StoragePath:
        """Answers that the output model's own validators refused, by ordinal; absent when there are none."""
        return RunFolder(self.folder).checks(self.name)

    @property
    def results(self) -> StoragePath:
        """One row for each article of the shard."""
        return RunFolder(self.folder).results(self.name)
