"""A shard whose batch has ended: its files, its ledger entry, and an API that serves its results."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
from upath import UPath

from nightpress.articles.article import Article
from nightpress.batches.batch import Batch, RequestCounts
from nightpress.batches.ledger import Entry, Ledger
from nightpress.layout import DataRoot
from nightpress.results.collect import collect_batch
from nightpress.results.shard_rows import Provenance, ShardResults
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.request_keys import custom_id
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard, ShardFiles
from nightpress.shards.writer import write_shards
from tests.support.model_api import Clock, ModelApi
from tests.support.result_lines import succeeded

TEMPLATE = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{content}"))
DAY = "2026-11-22"


class EndedBatchApi(ModelApi):
    """An API whose one batch has ended with these lines."""

    def __init__(self, *streams: bytes | Exception, total: int) -> None:
        super().__init__(Clock())
        self.streams = list(streams)
        self.counts = RequestCounts(succeeded=total)
        self.downloads = 0

    def retrieve(self, batch_id: str) -> Batch:
        batch = self.put(["x"]).state()
        return Batch(batch_id, "ended", batch.created_at, self.counts, results_url="x")

    def stream_results(self, batch: Batch) -> Iterator[bytes]:
        stream = self.streams[min(self.downloads, len(self.streams) - 1)]
        self.downloads += 1
        if isinstance(stream, Exception):
            yield b'{"custom_id'
            raise stream
        for at in range(0, len(stream), 97):
            yield stream[at : at + 97]


class EndedShard:
    def __init__(self, folder: Path, count: int = 5, **metadata: object) -> None:
        self.folder, self.root = folder, DataRoot(UPath(folder))
        rows = [Article(f"id-{n}", f"title {n}", f"text {n}", metadata, "f", n + 1) for n in range(count)]
        report = write_shards(rows, UPath(folder), TEMPLATE, limits=ShardLimits())
        (self.shard,) = report.shards
        self.ledger = Ledger(UPath(folder) / "ledger", "api")
        self.ledger.intend(
            Entry(key=self.shard.key, requests=count, bytes=self.shard.bytes, pipeline="summaries", day=DAY)
        )

    def lines(self, make: Callable[[int, str], bytes] | None = None) -> bytes:
        make = make or (lambda n, name: succeeded(name, f"answer {n}"))
        lines = [make(n, custom_id(self.shard.key, n)) for n in range(self.shard.articles)]
        random.Random(7).shuffle(lines)
        return b"".join(lines)

    def collect(self, api: EndedBatchApi, shard: Shard | None = None) -> ShardResults:
        shard = shard or self.shard
        provenance = Provenance("summaries", DAY, "msgbatch_1")
        return collect_batch(shard, self.root, provenance, api, self.ledger, sleep=lambda _: None)

    @property
    def files(self) -> ShardFiles:
        return ShardFiles.beside(self.root.open(self.shard.uri))

    def rows(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = pq.read_table(self.files.results.path).to_pylist()
        return rows
