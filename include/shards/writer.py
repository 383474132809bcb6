"""Cut a stream of articles into shards on disk.

Memory is bounded by one shard, never by the input: a shard is written as soon as it is full. What is
written is, byte for byte, what will be POSTed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.articles.model import Article, Rejected
from include.errors import TooManyRejectsError
from include.settings import ShardLimits
from include.shards.columns import column_name, metadata_column
from include.shards.requests import RequestTemplate, custom_id, request_key, shard_key
from include.shards.shard import Shard, ShardFiles
from include.storage import StoragePath, atomic_writer

_HEAD, _TAIL = b'{"requests":[', b"]}"
_ENTRY_OVERHEAD = len('{"custom_id":"0123456789abcdef-","params":},')
_REJECTED_GROUP = 10_000

REJECTED_SCHEMA = pa.schema(
    [
        pa.field("article_id", pa.string(), metadata={"about": "null when the row has none"}),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), metadata={"about": "row, line or element, counted from 1"}),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
    ]
)


@dataclass(slots=True)
class ReadReport:
    """What reading a source came to.

    :param shards: references, in the order of the articles.
    :param articles: articles that will be sent.
    :param rejected: rows not sent, by reason.
    """

    shards: list[Shard] = field(default_factory=list)
    articles: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def rejected_share(self) -> float:
        """Share of the rows that are lost to the user; an exact repeat of another row is not."""
        lost = self.rejected.total() - self.rejected["duplicate"]
        seen = self.articles + lost
        return lost / seen if seen else 0.0


def write_shards(
    rows: Iterable[Article | Rejected],
    folder: StoragePath,
    template: RequestTemplate,
    *,
    limits: ShardLimits,
    max_rejected_share: float = 1.0,
    salt: str = "",
) -> ReadReport:
    """Write the shards of ``rows`` and ``rejected.parquet`` into ``folder``.

    :param salt: makes the shards differ from those of the same articles sent before (fresh answers).
    :param max_rejected_share: 0 to 1; more rejected rows than this fail the read before anything is spent.
    :raises TooManyRejectsError: naming the counts by reason and where the rejected rows are.
    """
    report = ReadReport()
    shard = _OpenShard(folder, template, limits, salt)
    with _RejectedFile(folder / "rejected.parquet") as rejected_file:
        for row in rows:
            refused = row if isinstance(row, Rejected) else shard.add(row, report)
            if refused is not None:
                report.rejected[refused.reason] += 1
                rejected_file.add(refused)
        shard.close(report)
    if report.rejected_share > max_rejected_share:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in report.rejected.most_common())
        raise TooManyRejectsError(
            f"{report.rejected_share:.1%} of the rows were rejected ({reasons}), more than "
            f"max_rejected_share={max_rejected_share:.1%} allows. Nothing was sent. "
            f"See {folder / 'rejected.parquet'}, mend the source, or raise max_rejected_share."
        )
    return report


class _OpenShard:
    """The shard being filled."""

    def __init__(
        self, folder: StoragePath, template: RequestTemplate, limits: ShardLimits, salt: str
    ) -> None:
        self.folder, self.template, self.limits, self.salt = folder, template, limits, salt
        self._begin()

    def _begin(self) -> None:
        self.size = len(_HEAD) + len(_TAIL)
        self.params: list[bytes] = []
        self.keys: list[bytes] = []
        self.articles: list[Article] = []

    def add(self, article: Article, report: ReadReport) -> Rejected | None:
        params = self.template.params(article)
        entry = _ENTRY_OVERHEAD + len(str(len(self.params))) + len(params)
        if entry + len(_HEAD) + len(_TAIL) > self.limits.max_bytes:
            detail = f"its request of {entry:,} bytes does not fit a batch of {self.limits.max_bytes:,}"
            return Rejected(article.article_id[:200], article.file, article.position, "too_large", detail)
        if len(self.params) == self.limits.max_requests or self.size + entry > self.limits.max_bytes:
            self.close(report)
        self.size += entry
        self.params.append(params)
        self.keys.append(request_key(params))
        # The text is in the request now; what remains goes to the shard's articles.
        self.articles.append(msgspec.structs.replace(article, content=""))
        return None

    def close(self, report: ReadReport) -> None:
        if not self.params:
            return
        key = shard_key(self.keys, self.salt)
        files = ShardFiles(self.folder, f"{len(report.shards):05d}")
        size = self._write_requests(files.requests, key)
        self._write_articles(files.articles, key)
        report.shards.append(Shard(str(files.requests), len(self.params), size, key))
        report.articles += len(self.params)
        self._begin()

    def _write_requests(self, path: StoragePath, key: str) -> int:
        with atomic_writer(path) as stream:
            separator = _HEAD
            for ordinal, params in enumerate(self.params):
                stream.write(
                    b'%b{"custom_id":"%b","params":%b}'
                    % (separator, custom_id(key, ordinal).encode(), params)
                )
                separator = b","
            stream.write(_TAIL)
            return stream.tell()

    def _write_articles(self, path: StoragePath, key: str) -> None:
        columns: dict[str, pa.Array] = {
            "article_id": pa.array([article.article_id for article in self.articles], pa.string()),
            "title": pa.array([article.title for article in self.articles], pa.string()),
        }
        fields = dict.fromkeys(name for article in self.articles for name in article.metadata)
        for name in fields:
            values = [article.metadata.get(name) for article in self.articles]
            columns[column_name(name)] = metadata_column(values)
        columns["request_key"] = pa.array([digest.hex() for digest in self.keys], pa.string())
        columns["source_file"] = pa.array([article.file for article in self.articles], pa.string())
        columns["source_position"] = pa.array([article.position for article in self.articles], pa.int64())
        table = pa.table(columns).replace_schema_metadata({"shard_key": key})
        with atomic_writer(path) as stream:
            pq.write_table(table, stream, compression="zstd")


class _RejectedFile:
    """``rejected.parquet``, written in groups, there even when nothing was rejected."""

    def __init__(self, path: StoragePath) -> None:
        self.path = path
        self.rows: list[Rejected] = []

    def __enter__(self) -> _RejectedFile:
        with ExitStack() as stack:
            stream = stack.enter_context(atomic_writer(self.path))
            self.writer = stack.enter_context(pq.ParquetWriter(stream, REJECTED_SCHEMA, compression="zstd"))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
        self.stack.__exit__(*error)  # type: ignore[arg-type]

    def add(self, row: Rejected) -> None:
        self.rows.append(row)
        if len(self.rows) == _REJECTED_GROUP:
            self._flush()

    def _flush(self) -> None:
        rows = [msgspec.structs.asdict(row) for row in self.rows]
        self.writer.write_table(pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA))
        self.rows.clear()
