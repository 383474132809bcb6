"""Cut a stream of articles into shards on disk.

Memory is bounded by one shard, never by the input: a shard is written as soon as it is full. What is
written is, byte for byte, what will be POSTed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from nightpress.articles.article import Article, Rejected, show_position
from nightpress.articles.field_mapping import show_names
from nightpress.costs.text_sizes import RequestSizes, measure_requests
from nightpress.errors import InputError, TooManyRejectsError
from nightpress.folders import RunFolder
from nightpress.settings import ShardLimits
from nightpress.shards.column_names import MetadataColumnNames
from nightpress.shards.metadata_columns import metadata_column
from nightpress.shards.request_keys import custom_id, request_key, shard_key
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.storage import StoragePath, atomic_writer, write_parquet

_HEAD, _TAIL = b'{"requests":[', b"]}"
_ENTRY_OVERHEAD = len('{"custom_id":"0123456789abcdef-","params":},')
_REJECTED_GROUP = 10_000
_CELL_BYTES = 8
MISSING_FIELD = "missing_field"

REJECTED_SCHEMA = pa.schema(
    [
        pa.field("article_id", pa.string(), metadata={"about": "null when the row has none"}),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), metadata={"about": "row, line or element, counted from 1"}),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("record", pa.int64(), metadata={"about": "null when the position is the number of the row"}),
    ]
)


@dataclass(slots=True)
class ReadReport:
    """What reading a source came to.

    :param shards: references, in the order of the articles.
    :param sizes: what the requests of each shard come to.
    :param articles: articles in the shards.
    :param reused: articles with an answer that was paid for before.
    :param rejected: rows not sent, by reason.
    :param cut: articles that are not sent whole, by the field that is cut.
    :param cut_characters: what is left out of them.
    """

    shards: list[Shard] = field(default_factory=list)
    sizes: list[RequestSizes] = field(default_factory=list)
    articles: int = 0
    reused: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    cut_characters: int = 0

    def notes(self, template: RequestTemplate) -> list[str]:
        """Say how much of the articles is not sent."""
        if not self.cut:
            return []
        fields = ", ".join(f"{name} of {count:,}" for name, count in self.cut.most_common())
        return [
            f"Cut at max_content_chars={template.prompt.max_content_chars:,}: {fields} of "
            f"{self.articles + self.reused:,} articles; {self.cut_characters:,} characters are not sent."
        ]

    @property
    def rejected_share(self) -> float:
        """Share of the rows that are lost to the user; an exact repeat of another row is not."""
        lost = self.rejected.total() - self.rejected["duplicate"]
        seen = self.articles + self.reused + lost
        return lost / seen if seen else 0.0


class StagedRequest(msgspec.Struct, frozen=True, gc=False):
    """A request ready to be put into a shard.

    :param params: its canonical params.
    :param row: the article's columns, without its text.
    """

    params: bytes
    row: dict[str, object]


class Answered(Protocol):
    """Knows which requests were answered before, and takes their articles."""

    def take(self, key: bytes, row: dict[str, object], ordinal: int) -> bool:
        """Take the article of a request key; False when it has to be sent."""

    def flush(self) -> None:
        """Store what was taken."""


def write_shards(
    rows: Iterable[Article | Rejected],
    folder: StoragePath,
    template: RequestTemplate,
    *,
    limits: ShardLimits,
    max_rejected_share: float = 1.0,
    salt: str = "",
    answered: Answered | None = None,
    write: bool = True,
) -> ReadReport:
    """Write the shards of ``rows`` and ``rejected.parquet`` into ``folder``.

    :param answered: takes the articles that need not be sent.
    :param write: False only counts, and makes the keys; nothing is stored.
    :param salt: makes the shards differ from those of the same articles sent before (fresh answers).
    :param max_rejected_share: 0 to 1; more rejected rows than this fail the read before anything is spent.
    :raises InputError: the prompt names a field that no row has.
    :raises TooManyRejectsError: naming the counts by reason and where the rejected rows are.
    """
    report = ReadReport()
    fields: list[str] = []
    writer = _ShardWriter(folder, limits, salt=salt, answered=answered, write=write, betas=template.betas)
    writer.names = MetadataColumnNames(template.output_names)
    with _RejectedFile(RunFolder(folder).rejected) if write else nullcontext() as rejected_file:
        for row in rows:
            refused = row if isinstance(row, Rejected) else _add_article(writer, row, template, report)
            if refused is not None:
                if refused.reason == MISSING_FIELD and not fields and isinstance(row, Article):
                    fields = ["id", "title", "content", *row.metadata]
                report.rejected[refused.reason] += 1
                if rejected_file is not None:
                    rejected_file.add(refused)
        writer.close_shard()
        if answered is not None:
            answered.flush()
    report.shards, report.sizes, report.reused = writer.shards, writer.sizes, writer.reused
    report.articles = sum(shard.articles for shard in writer.shards)
    if fields and not report.articles + report.reused:
        named = ", ".join(f"{{{name}}}" for name in template.prompt.extra_fields)
        raise InputError(
            f"the prompt names {named}, and no row of the source has all of that; its fields are "
            f"{show_names(fields)}. Nothing was sent. Mend the prompt or the source."
        )
    if report.rejected_share > max_rejected_share:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in report.rejected.most_common())
        raise TooManyRejectsError(
            f"{report.rejected_share:.1%} of the rows were rejected ({reasons}), more than "
            f"max_rejected_share={max_rejected_share:.1%} allows. Nothing was sent. "
            f"See {RunFolder(folder).rejected}, mend the source, or raise max_rejected_share."
        )
    return report


def write_staged_shards(
    staged: Iterable[StagedRequest],
    folder: StoragePath,
    *,
    limits: ShardLimits,
    prefix: str,
    salt: str,
    betas: tuple[str, ...] = (),
) -> list[Shard]:
    """Write requests that are staged already into shards named ``<prefix>00000`` and on.

    :param betas: beta headers that their batches are created with.
    :raises ValueError: a request does not fit a shard of these limits.
    """
    writer = _ShardWriter(folder, limits, prefix=prefix, salt=salt, betas=betas)
    for request in staged:
        if not writer.add(request):
            raise ValueError(f"a request of {len(request.params):,} bytes does not fit {limits.max_bytes:,}")
    writer.close_shard()
    return writer.shards


def _add_article(
    writer: _ShardWriter, article: Article, template: RequestTemplate, report: ReadReport
) -> Rejected | None:
    if missing := template.prompt.missing_field(article):
        detail = f"the prompt names the field {missing!r}, which this row does not have"
        return _reject(article, MISSING_FIELD, detail)
    row: dict[str, object] = {"article_id": article.article_id, "title": article.title}
    columns = writer.names.columns(tuple(article.metadata))
    row.update(zip(columns, article.metadata.values(), strict=True))
    _check_width(writer, article)
    row["source_file"], row["source_position"] = article.file, article.position
    params = template.params(article)
    if writer.add(StagedRequest(params, row)):
        for name, characters in template.prompt.cut_fields(article):
            report.cut[name] += 1
            report.cut_characters += characters
        return None
    detail = f"its request of {len(params):,} bytes does not fit a batch of {writer.limits.max_bytes:,}"
    return _reject(article, "too_large", detail)


def _check_width(writer: _ShardWriter, article: Article) -> None:
    most = writer.limits.max_metadata_columns
    if len(writer.names) > most:
        raise InputError(
            f"{article.file}: {show_position(article)}: up to here the articles have more than {most:,} different "
            "fields, and each is a column. Keep the ones you need with metadata=, or raise max_metadata_columns of "
            "limits. Nothing was sent"
        )


def _reject(article: Article, reason: str, detail: str) -> Rejected:
    return Rejected(article.article_id[:200], article.file, article.position, reason, detail, article.record)


class _ShardWriter:
    """Fills shards and writes each when it is full."""

    def __init__(
        self,
        folder: StoragePath,
        limits: ShardLimits,
        *,
        prefix: str = "",
        salt: str = "",
        answered: Answered | None = None,
        write: bool = True,
        betas: tuple[str, ...] = (),
    ) -> None:
        self.betas = betas
        self.folder, self.limits, self.prefix, self.salt = folder, limits, prefix, salt
        self.answered, self.write = answered, write
        self.shards: list[Shard] = []
        self.sizes: list[RequestSizes] = []
        self.reused = 0
        self._ordinal = 0
        self._twins: Counter[str] = Counter()
        self.names = MetadataColumnNames()
        self._begin()

    def _begin(self) -> None:
        self._size = len(_HEAD) + len(_TAIL)
        self._requests: list[StagedRequest] = []
        self._keys: list[bytes] = []
        self._staged_bytes = 0

    def add(self, request: StagedRequest) -> bool:
        """Put a request into the shard being filled; False when it would not fit any."""
        entry = _ENTRY_OVERHEAD + len(str(len(self._requests))) + len(request.params)
        if entry + len(_HEAD) + len(_TAIL) > self.limits.max_bytes:
            return False
        key = request_key(request.params, self.betas)
        self._ordinal += 1
        if self.answered is not None and self.answered.take(key, request.row, self._ordinal - 1):
            self.reused += 1
            return True
        staged = _staged_bytes(request.row)
        full = len(self._requests) == self.limits.max_requests
        # A value that a row lacks takes its place in the column all the same.
        cells = _CELL_BYTES * len(self.names) * len(self._requests)
        over = self._requests and self._staged_bytes + staged + cells > self.limits.max_staged_bytes
        if full or over or self._size + entry > self.limits.max_bytes:
            self.close_shard()
        self._size += entry
        self._staged_bytes += staged
        self._requests.append(request)
        self._keys.append(key)
        return True

    def close_shard(self) -> None:
        """Write the shard being filled, if there is anything in it."""
        if not self._requests:
            return
        # Other articles with the same texts are another shard, or they would share one batch and its bill.
        key = shard_key(self._keys, self.salt)
        twins, self._twins[key] = self._twins[key], self._twins[key] + 1
        if twins:
            key = shard_key(self._keys, f"{self.salt}#{twins}")
        files = ShardFiles(self.folder, f"{self.prefix}{len(self.shards):05d}")
        size = self._size - 1
        if self.write:
            size = self._write_requests(files.requests, key)
            self._write_articles(files.articles, key)
        self.shards.append(Shard(str(files.requests), len(self._requests), size, key, self.betas))
        self.sizes.append(measure_requests(request.params for request in self._requests))
        self._begin()

    def _write_requests(self, path: StoragePath, key: str) -> int:
        with atomic_writer(path) as stream:
            separator = _HEAD
            for ordinal, request in enumerate(self._requests):
                name = custom_id(key, ordinal).encode()
                stream.write(b'%b{"custom_id":"%b","params":%b}' % (separator, name, request.params))
                separator = b","
            stream.write(_TAIL)
            return stream.tell()

    def _write_articles(self, path: StoragePath, key: str) -> None:
        values: dict[str, list[object]] = {}
        for number, request in enumerate(self._requests):
            for name, value in request.row.items():
                column = values.setdefault(name, [])
                if len(column) < number:
                    column += [None] * (number - len(column))
                column.append(value)
        rows = len(self._requests)
        columns = {
            name: metadata_column(column + [None] * (rows - len(column))) for name, column in values.items()
        }
        columns["request_key"] = pa.array([digest.hex() for digest in self._keys], pa.string())
        table = pa.table(columns).replace_schema_metadata({"shard_key": key})
        write_parquet(table, path)


def _staged_bytes(row: dict[str, object]) -> int:
    return sum([len(value) if type(value) is str else _CELL_BYTES for value in row.values()])


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
        rows = [msgspec.structs.asdict(row) | {"record": row.record or None} for row in self.rows]
        self.writer.write_table(pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA))
        self.rows.clear()
