"""What a published day was made of, kept in its own file: enough to make it again without Airflow or the API."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.errors import ResultsError
from nightpress.storage import StoragePath

KEY = "sources"
"""Name in the metadata of ``answers.parquet``."""

TEMPLATE = "template"
"""Name in that metadata of the digest of what was asked."""

OFFLINE = "offline"
"""Name in that metadata of whether the offline API answered: yes or no."""

_NOT_OF_THE_RUN = {"pipeline", "day", "shards", KEY, "ARROW:schema"}
_OF_A_ROW = ["batch_id", "reused", "day"]


class ShardSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A shard's results, about 250 bytes of JSON.

    :param results: URI of its ``results-*.parquet``; its other files are beside it.
    :param articles: rows.
    """

    results: str
    key: str
    articles: int
    batch_id: str
    day: str
    reused: bool = False


class DaySources(msgspec.Struct, frozen=True):
    """The shards of a day in the order they were joined.

    :param rejected: URI of the run's ``rejected.parquet``.
    :param reused: URIs of the run's ``reused-*.parquet``: rows that were copied, not sent.
    """

    first: tuple[ShardSource, ...]
    second: tuple[ShardSource, ...]
    rejected: str
    reused: tuple[str, ...] = ()


def describe_sources(
    first: Iterable[StoragePath],
    second: Iterable[StoragePath],
    rejected: StoragePath,
    reused: Iterable[StoragePath] = (),
) -> str:
    """Return the JSON to keep in the published file."""
    sources = DaySources(
        tuple(map(_describe, first)), tuple(map(_describe, second)), str(rejected), tuple(map(str, reused))
    )
    return msgspec.json.encode(sources).decode()


def _describe(path: StoragePath) -> ShardSource:
    with path.open("rb") as stream:
        file = pq.ParquetFile(pa.PythonFile(stream, mode="r"))
        key = (file.schema_arrow.metadata or {}).get(b"shard_key", b"").decode()
        rows = file.read_row_group(0, columns=_OF_A_ROW).slice(0, 1).to_pylist()
        return ShardSource(results=str(path), key=key, articles=file.metadata.num_rows, **rows[0])


def read_sources(published: StoragePath) -> DaySources:
    """Return what a published day was made of.

    :raises ResultsError: the day was never published, or by a version that did not note it.
    """
    try:
        with published.open("rb") as stream:
            metadata = pq.read_schema(pa.PythonFile(stream, mode="r")).metadata or {}
    except FileNotFoundError:
        raise ResultsError(
            f"there is no {published}: the day was never published here. Run it; batches that are paid for are "
            "attached to, not paid again."
        ) from None
    except pa.ArrowInvalid as error:
        raise ResultsError(
            f"{published} cannot be read ({error}), so it cannot be told which run made it. Clear publish of the run "
            "that did: it joins the shards again and pays nothing."
        ) from None
    found = metadata.get(KEY.encode())
    if found is None:
        raise ResultsError(
            f"{published} does not say what it was made of: an older version published it. Clear publish of its run "
            "once, which pays nothing; then it can be replayed."
        )
    return msgspec.json.decode(found, type=DaySources)


class PublishedFile(msgspec.Struct, frozen=True):
    """What a published file says of itself.

    :param rows: 0 also when there is no file.
    :param made_by: what it says of the run that made it, besides its sources; empty without a file.
    """

    rows: int = 0
    made_by: dict[str, str] = {}


def read_published(path: StoragePath) -> PublishedFile:
    """Read what a published file says of itself."""
    try:
        with path.open("rb") as stream:
            found = pq.read_metadata(pa.PythonFile(stream, mode="r"))
    except (FileNotFoundError, pa.ArrowInvalid):
        return PublishedFile()
    texts = {name.decode(): value.decode() for name, value in (found.metadata or {}).items()}
    # Arrow's own schema is kept there as well.
    made_by = {name: value for name, value in texts.items() if name not in _NOT_OF_THE_RUN}
    return PublishedFile(found.num_rows, made_by)
