"""Sources of a published day, stored in its own file: enough to rebuild it without Airflow or the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import pyarrow as pa

from nightpress.errors import ResultsError
from nightpress.layout import DataRoot
from nightpress.parquet_files import open_parquet
from nightpress.shards.shard import shard_key_of
from nightpress.storage import INVALID_JSON, StoragePath

SCHEMA_VERSION = 2
"""Version of the list of sources."""

KEY = "sources"
"""Name in the metadata of ``answers.parquet``."""

TEMPLATE = "template"
"""Name in that metadata of the digest of the request template."""

OFFLINE = "offline"
"""Name in that metadata of the flag for answers of the offline API: yes or no."""

CHANGED_TYPES = "changed_types"
"""Name in that metadata of a JSON object with the columns whose type differs from the last published day."""

READABLE_AGAIN = (
    "Restore an earlier publication of the day (nightpress history, nightpress restore), or publish the day of the run "
    "that made it once more; both pay nothing."
)
"""What to do about a published file that cannot be read; a replay needs the list of sources that is in it."""

_NOT_OF_THE_RUN = {"pipeline", "day", "shards", KEY, "ARROW:schema"}
_COLUMNS_OF_A_SHARD = ["batch_id", "reused", "day"]


class ShardSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A shard's results, about 250 bytes of JSON.

    :param results: reference of its ``results-*.parquet``; its other files are beside it.
    :param articles: number of rows.
    """

    results: str
    key: str
    articles: int
    batch_id: str
    day: str
    reused: bool = False


class DaySources(msgspec.Struct, frozen=True):
    """The shards of a day in the order they were joined.

    :param rejected: reference of the run's ``rejected.parquet``.
    :param reused: references of the run's ``reused-*.parquet``: rows that were copied, not sent.
    :param schema_version: 1 holds whole URLs (still readable); 2 holds references relative to the data root.
    """

    first: tuple[ShardSource, ...]
    second: tuple[ShardSource, ...]
    rejected: str
    reused: tuple[str, ...] = ()
    schema_version: int = 1


def describe_sources(
    root: DataRoot,
    first: Iterable[StoragePath],
    second: Iterable[StoragePath],
    rejected: StoragePath,
    reused: Iterable[StoragePath] = (),
) -> str:
    """Return the JSON to store in the published file."""
    sources = DaySources(
        tuple(_describe(root, path) for path in first),
        tuple(_describe(root, path) for path in second),
        root.reference(rejected),
        tuple(map(root.reference, reused)),
        SCHEMA_VERSION,
    )
    return msgspec.json.encode(sources).decode()


def _describe(root: DataRoot, path: StoragePath) -> ShardSource:
    with open_parquet(path) as file:
        key = shard_key_of(file)
        row = file.read_row_group(0, columns=_COLUMNS_OF_A_SHARD).slice(0, 1).to_pylist()[0]
        return ShardSource(results=root.reference(path), key=key, articles=file.metadata.num_rows, **row)


def read_sources(published: StoragePath) -> DaySources:
    """Return the sources of a published day.

    :raises ResultsError: the day is not published, or its version recorded no sources or is too new.
    """
    try:
        with open_parquet(published) as file:
            metadata = file.schema_arrow.metadata or {}
    except FileNotFoundError:
        raise ResultsError(
            f"there is no {published}: the day was never published here. Run it; batches that are paid for are "
            "attached to, not paid again.",
            code="not_published",
        ) from None
    except pa.ArrowInvalid as error:
        raise ResultsError(
            f"{published} cannot be read ({error}), so it is unclear which run made it. Publish the day of that "
            "run once more: it joins the shards again and pays nothing.",
            code="damaged_day",
        ) from None
    found = metadata.get(KEY.encode())
    if found is None:
        raise ResultsError(
            f"{published} does not say what it was made of: an older version published it. Publish the day of its "
            "run once more, which pays nothing; then it can be replayed.",
            code="no_sources",
        )
    return _decode(found, published)


def _decode(found: bytes, published: StoragePath) -> DaySources:
    try:
        version = msgspec.json.decode(found, type=_Versioned).schema_version
        if version <= SCHEMA_VERSION:
            return msgspec.json.decode(found, type=DaySources)
    except INVALID_JSON as error:
        raise ResultsError(
            f"the list of sources in {published} cannot be read ({error})", code="damaged_day"
        ) from None
    raise ResultsError(
        f"the list of sources in {published} has schema version {version}, but this version of Nightpress knows up "
        f"to {SCHEMA_VERSION}. Use the version that published it, or a newer one.",
        code="newer_record",
    )


class _Versioned(msgspec.Struct):
    schema_version: int = 1


class PublishedFile(msgspec.Struct, frozen=True):
    """Metadata of a published file.

    :param rows: number of rows; 0 also if there is no file.
    :param made_by: metadata of the run that made it, without its sources; empty if there is no file.
    """

    rows: int = 0
    made_by: dict[str, str] = {}


def read_changed_types(made_by: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata columns whose type differs from the last published day: ``int64 → double``.

    :param made_by: see :class:`PublishedFile`.
    """
    try:
        return msgspec.json.decode(made_by.get(CHANGED_TYPES, "{}"), type=dict[str, str])
    except INVALID_JSON:
        return {}


def read_published(path: StoragePath) -> PublishedFile:
    """Read the metadata of a published file."""
    try:
        with open_parquet(path) as file:
            found = file.metadata
    except (FileNotFoundError, pa.ArrowInvalid):
        return PublishedFile()
    texts = {name.decode(): value.decode() for name, value in (found.metadata or {}).items()}
    # Arrow's own schema is stored there as well.
    made_by = {name: value for name, value in texts.items() if name not in _NOT_OF_THE_RUN}
    return PublishedFile(found.num_rows, made_by)
